"""The national network of the emulated tests, and sites in it."""

from __future__ import annotations

from testbed_server import SITES

from helsewan.topology.model import Kind, Site
from helsewan.topology.national.generator import national_network

NETWORK = national_network(SITES, seed=1)


def sites(kind: Kind) -> list[Site]:
    """Sites of a kind, in the network's order."""
    return [site for site in NETWORK.sites if site.kind is kind]


def far_pair() -> tuple[Site, Site]:
    """The southernmost and the easternmost single-homed hospital, at opposite ends of the country."""
    single = [site for site in sites(Kind.HOSPITAL) if len(site.accesses) == 1]
    return min(single, key=lambda site: site.lat), max(single, key=lambda site: (site.lon, site.lat))
