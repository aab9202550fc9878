"""``helsewan topology paths``: independent paths between two places, and the sites that have few."""

from __future__ import annotations

from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.table import Table

from helsewan.common.counts import counted
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table
from helsewan.topology.graph.independence import MAX_PATHS, independent_paths, path_redundancy
from helsewan.topology.model import Kind, Network
from helsewan.topology.place_names import routers_named


def show_paths(network: Network, start: str, end: str) -> None:
    """Print the independent paths from one place to another, the shortest first. Raises InputError for a place that
    the network does not have, and for two places in one town."""
    here, there = _routers_of(network, "START", start), _routers_of(network, "END", end)
    common = {network.pop_of(router).town for router in here} & {network.pop_of(router).town for router in there}
    if common:
        raise InputError(
            Problem("END", end, f"shares {', '.join(sorted(common))} with {start}", "name places in different towns")
        )
    paths, console = independent_paths(network, here, there), Screen()
    for number, path in enumerate(paths, start=1):
        console.print(f"{number}  {path.delay_us / 1000:.2f} ms  {' - '.join(path.routers)}", markup=False)
        groups = sorted({group for link in path.links for group in network.link[link].srlg})
        console.print(f"   over {', '.join(groups) or 'no shared-risk group'}", markup=False)
    if len(paths) < MAX_PATHS:
        console.print("no other path is independent of these" if paths else "no path")


def show_few(network: Network) -> None:
    """Print which sites have fewer than three independent paths to some national service. Raises InputError if the
    network has no such service."""
    services = [site for site in network.sites if site.kind is Kind.SERVICE]
    if not services:
        raise InputError(Problem("START", None, "is missing, and there is no national service", "name two places"))
    found = path_redundancy(network, services)
    table = Table(title="fewest independent paths to a national service", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("sites in")
    table.add_column("sites", justify="right")
    table.add_column("paths", justify="right")
    table.add_column("to")
    for group in found:
        if group.paths < MAX_PATHS:
            towns, to = (", ".join(network.pop[town].town for town in each) for each in (group.towns, group.to))
            table.add_row(towns, str(group.sites), str(group.paths), to)
    console = Screen()
    if not found:  # the whole network is in the services' towns
        console.print("no site is outside the towns of the services")
        return
    print_table(console, table)
    counts = Counter[int]()
    for group in found:
        counts[group.paths] += group.sites
    numbers = ", ".join(f"{counts[paths]} have {paths}" for paths in range(MAX_PATHS + 1) if counts[paths])
    console.print(
        f"of {counted(counts.total(), 'site')} outside the towns of some service: {numbers} "
        f"(at most {MAX_PATHS} are counted)"
    )


def _routers_of(network: Network, where: str, place: str) -> tuple[str, ...]:
    if found := routers_named(network, place, where):
        return found
    known = (*network.pop, *network.site)
    raise InputError(Problem(where, place, "is no site, town or router of this network", nearest(place, known)))
