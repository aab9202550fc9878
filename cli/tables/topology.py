"""``helsewan topology show``: what a network consists of."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.table import Table

from helsewan.common.counts import counted
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table
from helsewan.topology.model import Network
from helsewan.topology.summary import summary


def print_topology(network: Network, remarks: Iterable[str] = ()) -> None:
    """Print sites by region and kind, the network's size, its single points of failure, and the ``remarks``."""
    numbers = summary(network)
    header, *rows, total = numbers.rows
    table = Table(title=f"{numbers.name}, seed {numbers.seed}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in header:
        table.add_column(name, justify="left" if name == header[0] else "right")
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*total, style="bold")
    console = Screen()
    print_table(console, table)
    console.print(
        f"{counted(numbers.pops, 'PoP')}, {counted(numbers.routers, 'router')}, {counted(numbers.links, 'link')}, "
        f"{numbers.fibre_km:,.0f} km of fibre; {numbers.dual_homed} of {counted(numbers.sites, 'site')} on two PoPs"
    )
    for town, cut_off in numbers.single_points.items():
        name = network.pop[town].town
        console.print(f"single point of failure: {name} (its loss cuts off {counted(cut_off, 'site')})", markup=False)
    for remark in remarks:
        console.print(remark, markup=False)
