"""The national network: what it contains, that it is whole, and that a seed fixes it."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import networkx as nx
import pytest

from helsewan.common.errors import InputError
from helsewan.topology.construction.access import FIRST_VLAN, LAST_VLAN, MIN_DELAY_US, SiteRequest, attach_sites
from helsewan.topology.construction.addressing import UNASSIGNED4, UNASSIGNED6
from helsewan.topology.construction.geo import bearing_deg, great_circle_km
from helsewan.topology.model import Kind, Pop, Region, Site
from helsewan.topology.national.generator import national_network
from helsewan.topology.national.reference_data import reference_data
from helsewan.topology.national.site_sampling import MILESTONES, candidates
from helsewan.topology.summary import summary

GOLDEN = Path(__file__).parents[2] / "golden"
FIXED = 83  # 72 hospitals, 6 services, 5 data centres
COUNTRY_2006 = FIXED + 426 + 1_500 + 554
COUNTRY_TODAY = FIXED + 426 + 2_100 + 1_050


@pytest.fixture(scope="module")
def network():
    return national_network()


@pytest.fixture(scope="module")
def country():
    return national_network(COUNTRY_2006)


def kinds(network):
    return Counter(site.kind for site in network.sites)


def test_the_default_network_in_numbers(network):
    found = summary(network)
    lines = [
        f"{found.name}, seed {found.seed}: {found.pops} PoPs, {found.routers} routers, {found.links} links,"
        f" {found.fibre_km} km of fibre, {found.sites} sites, {found.dual_homed} dual-homed",
        *(",".join(row) for row in found.rows),
        *(f"without {town}: {sites} sites cut off" for town, sites in found.single_points.items()),
    ]
    assert "\n".join(lines) + "\n" == (GOLDEN / "topology-summary.txt").read_text(encoding="utf-8")


def test_the_same_seed_gives_the_same_network_and_another_another(network):
    assert national_network(400, seed=1) == network
    assert {site.id for site in national_network(400, seed=2).sites} != {site.id for site in network.sites}


def test_a_larger_network_contains_the_smaller_one(network, country):
    for small, large in zip(network.sites, country.sites, strict=False):
        assert (small.id, small.lat, small.lon, small.index, small.accesses) == (
            large.id,
            large.lat,
            large.lon,
            large.index,
            large.accesses,
        )


@pytest.mark.parametrize(
    ("sites", "gps", "pharmacies", "municipalities"),
    [(None, 0, 0, 0), (FIXED, 0, 0, 0), (COUNTRY_2006, 1_500, 554, 426), (COUNTRY_TODAY, 2_100, 1_050, 426)],
)
def test_the_mix_is_the_countrys(sites, gps, pharmacies, municipalities):
    assert kinds(national_network(sites)) == {
        Kind.HOSPITAL: 72,
        Kind.SERVICE: 6,
        Kind.DATACENTRE: 5,
        **({Kind.GP: gps, Kind.PHARMACY: pharmacies, Kind.MUNICIPALITY: municipalities} if gps else {}),
    }


def test_ten_thousand_sites_keep_todays_ratio():
    counts = kinds(national_network(10_000))
    assert abs(counts[Kind.GP] - 2 * counts[Kind.PHARMACY]) <= 2  # 2,100 to 1,050
    assert sum(counts.values()) == 10_000


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        (82, "--sites: 82 is too few (hint: hospitals, services and data centres alone are 83)"),
        (-1, "--sites: -1 is too few (hint: hospitals, services and data centres alone are 83)"),
        (20_001, "--sites: 20001 is too many (hint: use 20000 at most)"),
    ],
)
def test_impossible_sizes_are_refused(sites, message):
    with pytest.raises(InputError) as caught:
        national_network(sites)
    assert str(caught.value) == message


def test_each_municipality_has_its_quota_rounded_up_or_down(country):
    population = {place.name: place.population for place in reference_data().municipalities}
    total = sum(population.values())
    for kind, (then, _) in MILESTONES.items():
        held = Counter(site.municipality for site in country.sites if site.kind is kind)
        for name, people in population.items():
            # systematic sampling rounds the quota at a time near 1; the time wanders by less than 2 %
            assert abs(held[name] - then * people / total) < 1 + 0.02 * then * people / total


def test_regions_are_those_of_the_municipalities_and_sized_like_them(country):
    regions = {place.name: place.region for place in reference_data().municipalities}
    drawn = [site for site in country.sites if site.kind in MILESTONES or site.kind is Kind.MUNICIPALITY]
    assert all(site.region is regions[site.municipality] for site in drawn)
    gps = Counter(site.region for site in drawn if site.kind is Kind.GP)
    for region in Region:
        share = sum(place.population for place in reference_data().municipalities if place.region is region) / 4_737_171
        assert gps[region] == pytest.approx(1_500 * share, rel=0.05)


def test_candidates_are_fixed_by_the_seed_and_never_name_a_site_twice():
    places = reference_data().municipalities[:40]
    first, again, other = (list(islice(candidates(places, seed), 3_000)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == len(first)


def test_the_routers_graph_survives_any_router_or_link(network):
    graph = nx.Graph(network.graph)
    assert len(network.routers) == 39 and nx.is_biconnected(graph) and nx.edge_connectivity(graph) >= 2


def test_every_shared_risk_group_can_fail(network):
    for group in {group for link in network.links for group in link.srlg}:
        graph = nx.Graph((link.a, link.b) for link in network.links if group not in link.srlg)
        assert nx.is_connected(graph) and len(graph) == len(network.routers), group


def test_routers_and_links_follow_the_data(network):
    assert [router.index for router in network.routers] == list(range(1, 40))
    fibres = {fibre.id: fibre for fibre in reference_data().links}
    interconnects = {f"{town}-1--{town}-2" for town in ("oslo", "bergen", "trondheim", "tromso")}
    assert set(network.link) == set(fibres) | interconnects
    for id_, fibre in fibres.items():
        link = network.link[id_]
        assert link.delay_us == round(fibre.fibre_km * 4.9)
        assert (network.pop_of(link.a).id, network.pop_of(link.b).id) == (fibre.a, fibre.b)
    dealt = Counter(end for link in network.links for end in (link.a, link.b))
    for town in ("oslo", "bergen", "trondheim", "tromso"):
        assert abs(dealt[f"{town}-1"] - dealt[f"{town}-2"]) <= 1


def test_the_swedish_route_joins_narvik_and_oslo_and_changes_nothing_else(network):
    with_route = national_network(swedish_route=True)
    assert with_route.links[:-1] == network.links and with_route.sites == network.sites
    link = with_route.links[-1]
    assert (link.a, link.b, link.srlg) == ("narvik", "oslo-1", ("sweden",))
    # Oslo-Stockholm is about 417 km and Stockholm-Narvik about 1,013 km as the crow flies
    assert link.fibre_km == pytest.approx(1.4 * (417 + 1_013), rel=0.01)
    assert link.delay_us == round(link.fibre_km * 4.9)
    assert "trondheim" not in summary(with_route).single_points


def test_all_hospitals_are_there_with_their_lines(network):
    hospitals = [site for site in network.sites if site.kind is Kind.HOSPITAL]
    assert len(hospitals) == 72
    lines = {(site.tier, tuple(access.rate_bps for access in site.accesses)) for site in hospitals}
    assert lines == {
        ("university", (10**9, 10**9)),
        ("central", (10**8, 10**8)),
        ("local", (34_000_000,)),
    }
    assert network.site["hospital-rikshospitalet"].region is Region.SOR  # in Oslo, but of Helse Sør


def test_longyearbyen_hangs_on_harstad_by_the_sea_cable(network):
    line = network.site["hospital-longyearbyen"].accesses[0]
    assert line.router == "harstad" and 7_000 < line.delay_us < 7_500


def test_a_backup_line_ends_in_another_town(network):
    for site in network.sites:
        towns = [network.pop_of(router).id for router in site.homing]
        assert len(set(towns)) == len(towns)


def test_the_primary_is_the_nearest_pop(country):
    for site in country.sites[::50]:
        if site.id == "hospital-longyearbyen":
            continue
        km = {pop.id: great_circle_km(site.lat, site.lon, pop.lat, pop.lon) for pop in country.pops}
        assert country.pop_of(site.homing[0]).id == min(km, key=km.__getitem__)
        assert site.accesses[0].delay_us == max(MIN_DELAY_US, round(min(km.values()) * 1.4 * 4.9))


def test_vlans_are_unique_on_each_router(country):
    lines = [(access.router, access.vlan) for site in country.sites for access in site.accesses]
    assert len(set(lines)) == len(lines)
    assert all(FIRST_VLAN <= vlan <= LAST_VLAN for _, vlan in lines)


def test_dual_towns_share_their_sites(country):
    held = Counter(site.homing[0] for site in country.sites)
    for town in ("oslo", "bergen", "trondheim", "tromso"):
        one, two = held[f"{town}-1"], held[f"{town}-2"]
        assert abs(one - two) < 0.2 * (one + two)


def test_a_router_can_run_out_of_vlans():
    site = Site("gp-x", "x", Kind.GP, Region.OST, 60.0, 10.0, "X", 1, (), UNASSIGNED4, UNASSIGNED6)
    pops = [Pop("x", "X", Region.OST, 60.0, 10.0, ("x",))]
    orders = [SiteRequest(site, 2_000_000)] * (LAST_VLAN - FIRST_VLAN + 1)
    assert attach_sites(orders, pops, 4.9)[-1].accesses[0].vlan == LAST_VLAN
    with pytest.raises(InputError, match="router x: more than 4093 access links"):
        attach_sites([*orders, orders[0]], pops, 4.9)


def test_services_and_data_centres_are_spread_and_dual_homed(network):
    services = [site for site in network.sites if site.kind is Kind.SERVICE]
    assert Counter(site.municipality for site in services) == {"Oslo": 2, "Trondheim": 2, "Tromsø": 2}
    centres = [site for site in network.sites if site.kind is Kind.DATACENTRE]
    assert [site.region for site in centres] == list(Region)
    assert all(len(site.accesses) == 2 for site in services + centres)


def test_the_atlas_agrees_with_itself():
    data = reference_data()
    towns = {town.id for town in data.towns}
    assert len(data.towns) == 35 and len(data.links) == 55 and len(data.hospitals) == 72
    assert len(data.municipalities) == 426
    assert sum(place.population for place in data.municipalities) == 4_737_171
    assert {end for fibre in data.links for end in (fibre.a, fibre.b)} == towns
    assert {hospital.via for hospital in data.hospitals} <= towns | {""}
    names = {place.name for place in data.municipalities}
    assert {hospital.municipality for hospital in data.hospitals} <= names | {"Svalbard"}


def test_geography():
    # Oslo-Bergen is about 305 km, a degree of latitude 111.2 km, a quarter turn east bears 90 degrees
    assert great_circle_km(59.9127, 10.7461, 60.393, 5.3242) == pytest.approx(305, abs=2)
    assert great_circle_km(60, 10, 61, 10) == pytest.approx(111.2, abs=0.1)
    assert bearing_deg(0, 0, 0, 1) == pytest.approx(90) and bearing_deg(1, 0, 0, 0) == pytest.approx(180)
