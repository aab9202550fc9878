"""The failure cases that a verifier examines, and which sites are still connected in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import Network
from helsewan.verification.findings import FailureCase

INTACT = FailureCase("intact", Failures())
SCOPES = ("none", "single", "srlg")


def cases(network: Network, scope: str) -> tuple[FailureCase, ...]:
    """The intact network and, by ``scope``, nothing else (none), every failure of one link, router, PoP or access link
    (single), or these and every shared-risk link group (srlg).

    Raises ValueError for another scope."""
    if scope not in SCOPES:
        raise ValueError(f"{scope!r} is none of {', '.join(SCOPES)}")
    found = [INTACT]
    if scope != "none":
        found += [FailureCase(name, failures) for name, failures in single_failures(network) if _is_single(name)]
        found += [
            FailureCase(f"line {site} {number}", Failures(access_links=frozenset({(site, number)})))
            for site, number in _dual_homed_access_links(network)
        ]
    if scope == "srlg":
        found += [FailureCase(name, failures) for name, failures in single_failures(network) if not _is_single(name)]
    return tuple(found)


def common_failures(cases: Sequence[FailureCase]) -> Failures:
    """The failures of the first case if every case includes them, as where something is down already; otherwise
    none."""
    if not cases:
        return Failures()
    first = cases[0].failures
    is_common = all(
        first.links <= each.failures.links
        and first.routers <= each.failures.routers
        and first.access_links <= each.failures.access_links
        for each in cases
    )
    return first if is_common else Failures()


def _is_single(name: str) -> bool:
    return not name.startswith("srlg ")


def _dual_homed_access_links(network: Network) -> Iterator[tuple[str, int]]:
    """The access links of dual-homed sites; without its only access link, a single-homed site is disconnected."""
    return ((site.id, number) for site in network.sites if len(site.accesses) > 1 for number in (0, 1))


def single_failures(network: Network) -> Iterator[tuple[str, Failures]]:
    """Every link, router, PoP and shared-risk link group, by name, as what has failed."""
    for link in network.links:
        yield f"link {link.id}", Failures(links=frozenset({link.id}))
    for router in network.routers:
        yield f"router {router.id}", Failures(routers=frozenset({router.id}))
    for pop in network.pops:
        yield f"pop {pop.id}", Failures(routers=frozenset(pop.routers))
    for group in sorted({group for link in network.links for group in link.srlg}):
        yield f"srlg {group}", Failures(links=frozenset(link.id for link in network.links if group in link.srlg))


def components(network: Network, failed: Failures) -> dict[str, int]:
    """The number of the connected component of each router that has not failed."""
    neighbours: dict[str, list[str]] = {router.id: [] for router in network.routers if router.id not in failed.routers}
    for link in network.links:
        if link.id not in failed.links and link.a in neighbours and link.b in neighbours:
            neighbours[link.a].append(link.b)
            neighbours[link.b].append(link.a)
    found: dict[str, int] = {}
    for number, first in enumerate(neighbours):  # a graph library copies the network for each case, which takes longer
        left = [] if first in found else [first]
        while left:
            if (router := left.pop()) not in found:
                found[router] = number
                left += neighbours[router]
    return found


def examined(network: Network, failed: Failures) -> tuple[int, int]:
    """What is left to examine under ``failed``: the number of access links that packets can come from, and of ordered
    pairs of different sites that are connected."""
    component = components(network, failed)
    at: Counter[frozenset[int]] = Counter()  # sites by the components that they have access links to
    access_links = 0
    for site in network.sites:
        homes = [
            component[access.router]
            for index, access in enumerate(site.accesses)
            if (site.id, index) not in failed.access_links and access.router in component
        ]
        access_links += len(homes)
        at[frozenset(homes)] += bool(homes)
    pairs = sum(count * sum(n for other, n in at.items() if other & homes) - count for homes, count in at.items())
    return access_links, pairs


def cut_off(network: Network, failed: Failures) -> dict[int, frozenset[str]]:
    """By number of component (see `components`), the sites that are not reachable from its routers."""
    component = components(network, failed)
    reached: dict[int, set[str]] = {number: set() for number in component.values()}
    for site in network.sites:
        for index, access in enumerate(site.accesses):
            if (site.id, index) not in failed.access_links and access.router in component:
                reached[component[access.router]].add(site.id)
    every_site = frozenset(site.id for site in network.sites)
    return {number: every_site - sites for number, sites in reached.items()}
