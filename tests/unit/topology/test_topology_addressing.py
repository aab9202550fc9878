"""Addresses: no two sites share one, every aggregate covers exactly its own, all of it fits."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helsewan.common.errors import InputError
from helsewan.topology.construction.addressing import (
    SITE_PREFIX4,
    SUPERNET4,
    SUPERNET6,
    UNASSIGNED4,
    UNASSIGNED6,
    assign,
)
from helsewan.topology.model import AccessLink, Kind, Region, Site
from helsewan.topology.national.generator import national_network

ROUTERS = ("a", "b-1", "b-2", "c")


def make_site(index, kind, region, homing):
    accesses = tuple(AccessLink(router, 2, 2_000_000, 50) for router in homing)
    name = f"{kind.value}-{index}"
    return Site(name, name, kind, region, 60.0, 10.0, "X", index, accesses, UNASSIGNED4, UNASSIGNED6)


@st.composite
def site_lists(draw):
    homings = st.lists(st.sampled_from(ROUTERS), min_size=1, max_size=2, unique=True)
    entries = st.tuples(st.sampled_from(Kind), st.sampled_from(Region), homings)
    return [make_site(index, *entry) for index, entry in enumerate(draw(st.lists(entries, max_size=60)), start=1)]


def disjoint(networks):
    ordered = sorted(networks, key=lambda net: int(net.network_address))
    return all(not low.overlaps(high) for low, high in pairwise(ordered))


def check(sites, zones4, zones6, blocks4, blocks6):
    assert disjoint([site.prefix4 for site in sites]) and disjoint([site.prefix6 for site in sites])
    assert all(disjoint(aggregates.values()) for aggregates in (zones4, zones6, blocks4, blocks6))
    assert set(zones4) == set(zones6) == {site.zone for site in sites}
    assert set(blocks4) == set(blocks6) == {(site.zone, site.homing) for site in sites}
    for site in sites:
        block = blocks4[site.zone, site.homing]
        assert site.prefix4.prefixlen == SITE_PREFIX4[site.kind] and site.prefix6.prefixlen == 64
        assert site.prefix4.subnet_of(block) and block.subnet_of(zones4[site.zone])
        assert zones4[site.zone].subnet_of(SUPERNET4)
        block6 = blocks6[site.zone, site.homing]
        assert site.prefix6.subnet_of(block6) and block6.subnet_of(zones6[site.zone])
        assert zones6[site.zone].subnet_of(SUPERNET6)
        assert site.gateway4 in site.prefix4 and site.address4 in site.prefix4


@settings(deadline=None)
@given(site_lists())
def test_aggregates_cover_exactly_their_own(sites):
    addressed = assign(sites)
    check(addressed.sites, addressed.zones4, addressed.zones6, addressed.blocks4, addressed.blocks6)
    assert [site.id for site in addressed.sites] == [site.id for site in sites]
    assert assign(addressed.sites) == addressed


@settings(deadline=None)
@given(site_lists())
def test_blocks_waste_less_than_half(sites):
    addressed = assign(sites)
    for (zone, homing), block in addressed.blocks4.items():
        used = sum(site.prefix4.num_addresses for site in addressed.sites if (site.zone, site.homing) == (zone, homing))
        assert used <= block.num_addresses < 2 * used


@pytest.mark.parametrize("size", [None, 400, 10_000])
def test_the_national_network_fits(size):
    network = national_network(size)
    check(network.sites, network.zones4, network.zones6, network.blocks4, network.blocks6)


def test_one_site_gets_one_prefix():
    addressed = assign([make_site(1, Kind.HOSPITAL, Region.NORD, ("a",))])
    assert str(addressed.sites[0].prefix4) == "10.0.0.0/24" == str(addressed.zones4["hospital-nord"])
    assert str(addressed.sites[0].prefix6) == "fd68:776e::/64"
    assert str(addressed.sites[0].address4) == "10.0.0.2"


def test_too_many_sites_are_refused():
    # 32,769 sites of /24 need a block for 65,536, which is all of 10.0.0.0/8; one zone more does not fit
    sites = [make_site(index, Kind.HOSPITAL, Region.NORD, ("a",)) for index in range(1, 32_770)]
    with pytest.raises(InputError, match=r"sites: 32770 do not fit into 10\.0\.0\.0/8"):
        assign([*sites, make_site(40_000, Kind.GP, Region.NORD, ("a",))])
