"""Checks of a complete network read from a file: references, names, value ranges and access links."""

from __future__ import annotations

from collections.abc import Iterator

from helsewan.common.errors import Problem
from helsewan.topology.construction.access import FIRST_VLAN, LAST_VLAN
from helsewan.topology.construction.naming import is_name, unprintable
from helsewan.topology.model import MOST_BPS, MOST_DELAY_US, MOST_SEED, Network

LONGEST_PREFIXES = 30, 126  # of IPv4 and IPv6: four addresses, with room for network, gateway and site


def validation_problems(network: Network, name: str) -> Iterator[Problem]:
    """All problems of ``network``; ``name`` is the file name in their locations."""
    yield from _dangling(network, name)
    yield from _impossible(network, name)
    yield from _unconnectable(network, name)


def shared_names(network: Network) -> Iterator[tuple[str, str]]:
    """Sites with a router's or PoP's name, and which of the two: commands take either. A link's may be a site's."""
    for site in network.site:
        if site in network.router:
            yield site, "router"
        elif site in network.pop:
            yield site, "PoP"


def _dangling(network: Network, name: str) -> Iterator[Problem]:
    """References to PoPs and routers that are not in the network."""
    hint = "export the network again"
    if network.operations and network.operations not in network.pop:
        yield Problem(f"{name}: operations", network.operations, "is not a PoP of this network", hint)
    for router in network.routers:
        if router.pop not in network.pop:
            yield Problem(f"{name}: router {router.id}", router.pop, "is not a PoP of this network", hint)
    ends = [(f"link {link.id}", end) for link in network.links for end in (link.a, link.b)]
    ends += [(f"site {site.id}", router) for site in network.sites for router in site.homing]
    ends += [(f"PoP {pop.id}", router) for pop in network.pops for router in pop.routers]
    for owner, router_id in ends:
        if router_id not in network.router:
            yield Problem(f"{name}: {owner}", router_id, "is not a router of this network", hint)


def _impossible(network: Network, name: str) -> Iterator[Problem]:
    """Invalid names, duplicate ids, and coordinates, rates and delays out of range."""
    for id_ in (*network.pop, *network.router, *network.link, *network.site):
        if not is_name(id_):
            yield Problem(name, id_, "is no name", "use letters, digits, dots, dashes and underscores")
    texts = [pop.town for pop in network.pops]
    texts += [text for site in network.sites for text in (site.name, site.municipality, site.tier, *site.tags)]
    for text in dict.fromkeys([*texts, *(group for link in network.links for group in link.srlg)]):
        if unprintable(text):
            yield Problem(name, text, "has characters that cannot be printed", "leave out control characters")
    if not 0 <= network.seed <= MOST_SEED:
        yield Problem(f"{name}: seed", network.seed, "is no seed", f"0 to {MOST_SEED}")
    counts = [("PoPs", len(network.pops) - len(network.pop)), ("routers", len(network.routers) - len(network.router))]
    counts += [("links", len(network.links) - len(network.link)), ("sites", len(network.sites) - len(network.site))]
    for what, surplus in counts:
        if surplus:
            yield Problem(name, surplus, f"{what} have another one's id", "give each its own")
    points = [(f"PoP {pop.id}", pop.lat, pop.lon) for pop in network.pops]
    for owner, lat, lon in points + [(f"site {site.id}", site.lat, site.lon) for site in network.sites]:
        if not (-90 <= lat <= 90 and -180 <= lon <= 180):
            hint = "latitude -90 to 90, longitude -180 to 180"
            yield Problem(f"{name}: {owner}", f"{lat} {lon}", "is out of range", hint)
    links = [(f"link {link.id}", link.rate_bps, link.delay_us) for link in network.links]
    links += [(f"site {site.id}", link.rate_bps, link.delay_us) for site in network.sites for link in site.accesses]
    for owner, rate_bps, delay_us in links:
        if not 1 <= rate_bps <= MOST_BPS:
            yield Problem(f"{name}: {owner}: rate_bps", rate_bps, "is no rate of a link", f"1 to {MOST_BPS}")
        if not 0 <= delay_us <= MOST_DELAY_US:
            yield Problem(f"{name}: {owner}: delay_us", delay_us, "is no delay of a link", f"0 to {MOST_DELAY_US}")


def _unconnectable(network: Network, name: str) -> Iterator[Problem]:
    """Indices out of range or duplicate; sites with a wrong number of access links, too small prefixes or bad VLANs."""
    for what, numbers in (("router", [r.index for r in network.routers]), ("site", [s.index for s in network.sites])):
        for number in numbers:
            if not 1 <= number < 1 << 16:
                yield Problem(name, number, f"is no index of a {what}", f"1 to {(1 << 16) - 1}")
        if len(set(numbers)) < len(numbers):
            yield Problem(name, None, f"two {what}s have one index", "number them from 1")
    seen: set[tuple[str, int]] = set()
    for site in network.sites:
        if not 1 <= len(site.accesses) <= 2 or len(set(site.homing)) < len(site.homing):
            hint = "a primary, and a backup to another router"
            yield Problem(f"{name}: site {site.id}", len(site.accesses), "is no number of access links of a site", hint)
        for prefix, longest in zip(site.prefixes, LONGEST_PREFIXES, strict=True):
            if prefix.prefixlen > longest:
                hint = f"at most {longest} bits"
                yield Problem(f"{name}: site {site.id}", str(prefix), "has no room for gateway and site", hint)
        for link in site.accesses:
            if not FIRST_VLAN <= link.vlan <= LAST_VLAN or (link.router, link.vlan) in seen:
                hint = f"{FIRST_VLAN} to {LAST_VLAN}, each once on a router"
                yield Problem(f"{name}: site {site.id}: vlan", link.vlan, "cannot be this access link's", hint)
            seen.add((link.router, link.vlan))
