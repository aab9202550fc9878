"""What classes say of their paths is kept by the rules themselves, on the whole network; and nothing is lost for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations

import pytest
from single_failures import single_failures
from test_controller_paths import unrepaired

from controller.generation import Generation, first_generation
from controller.interpreter.fabric import End, Fabric, Walk
from controller.interpreter.packet import Packet
from controller.paths import compute_paths
from policies.compile import compile_policy, library_path
from policies.constraints import breaches
from policies.placement import place
from policies.plan import Egress, Plan, TrafficClass
from policies.source import read_policy
from topology.document import loads
from topology.errors import InputError
from topology.fibres import Fibres
from topology.model import Kind, Link, Site
from topology.national import national_network

CHOICES = ("least-delay", "least-loaded", "min-max")


@cache
def country(constraint: str, path: str = "least-delay") -> Plan:
    """Hospitals, services and data centres under the national policy, with a line more in class voice."""
    text = library_path("national").read_text(encoding="utf-8")
    voice = "  voice: # a G.711 call"
    assert text.count(voice) == 1
    added = f"  voice:\n    path: {path}\n    {constraint} # a G.711 call"
    policy = read_policy(loads(text.replace(voice, added).encode(), "bent.yaml"))
    return compile_policy(policy, national_network(sites=None, seed=1))


@cache
def generation(constraint: str, path: str = "least-delay") -> Generation:
    """The rules of the whole network under it."""
    return first_generation(country(constraint, path))


def call(plan: Plan, a: Site, b: Site, cls: TrafficClass) -> Packet:
    """A voice datagram from one site to another, or the like of another class."""
    service = next(service for service in plan.services if service.class_name == cls.name and service.protocol == 17)
    port = service.ports[0].value
    ends = {"ipv4_src": str(a.address4), "ipv4_dst": str(b.address4)}
    return Packet.of(eth_type=0x0800, nw_ttl=64, ip_proto=17, udp_src=port, udp_dst=port, ip_dscp=0, ip_frag=0, **ends)


def ways(plan: Plan, rules: Generation, name: str) -> Iterator[tuple[Walk, tuple[Link, ...]]]:
    """The way of a datagram of a class between hospitals at many routers, as the rules lead it."""
    fabric = Fabric.of(plan.network, {router: rules.rules(router) for router in plan.network.router})
    hospitals = {site.homing[0]: site for site in plan.network.sites if site.kind is Kind.HOSPITAL}
    for a, b in permutations(list(hospitals.values())[::3], 2):
        walk = fabric.walk_from(a.id, call(plan, a, b, plan.traffic_class[name]))
        assert (walk.end, walk.site) == (End.DELIVERED, b.id)
        yield walk, tuple(plan.network.link[link] for link in fabric.links(walk))


def taken(constraint: str, path: str = "least-delay", name: str = "voice") -> tuple[set[str], set[str]]:
    """The links that a class takes, and the routers it goes through."""
    plan, rules = country(constraint, path), generation(constraint, path)
    links, through = set[str](), set[str]()
    for walk, each in ways(plan, rules, name):
        links |= {link.id for link in each}
        through |= set(walk.routers[1:-1])
    return links, through


@pytest.mark.parametrize("path", CHOICES)
def test_what_is_avoided_is_on_no_way(path: str) -> None:
    links, through = taken("avoid: {links: [oslo-hamar], srlg: [e39-n], pops: [drammen]}", path)
    assert not {"oslo-hamar", "haugesund-bergen"} & links and "drammen" not in through


def test_other_classes_go_where_they_went() -> None:
    links, through = taken("avoid: {links: [oslo-hamar], pops: [drammen]}", name="video")
    assert "oslo-hamar" in links and "drammen" in through


def test_what_is_preferred_is_taken_though_it_is_longer() -> None:
    """From Oslo to Trondheim over Dovre: the Røros line is 22 km shorter."""
    without, _ = taken("prefer: {links: [vadso-kirkenes]}")
    links, _ = taken("prefer: {srlg: [dovre]}")
    assert "elverum-tynset" in without - links


def test_every_failure_is_survived_with_what_a_class_avoids() -> None:
    """Repaired where it happens, and led anew once the controller knows: at worst over what is avoided."""
    plan = country("avoid: {links: [vadso-kirkenes, oslo-hamar]}")
    path, ends = plan.traffic_class["voice"].path, ["kirkenes", "hamar", "oslo-1"]
    apart = tuple(Egress(index, (end,), path) for index, end in enumerate(ends))
    calm, over = compute_paths(plan.network, apart), set[str]()
    for name, failed in single_failures(plan.network):
        assert not unrepaired(plan.network, apart, calm, failed), name
        paths = compute_paths(plan.network, apart, failed)
        assert not unrepaired(plan.network, apart, paths, failed), name
        over |= set(paths.primary.values())
    assert "vadso-kirkenes" not in calm.primary.values() and "vadso-kirkenes" in over


def test_breaches_of_trees_are_found() -> None:
    """Trees placed after a failure that leaves no clean way: the check of the whole network would refuse them."""
    plan = country("avoid: {links: [vadso-kirkenes]}")
    whole = Fibres(plan.network)
    assert not list(breaches(plan, place(whole, plan.egresses, plan.traffic)))
    cut = place(whole.without(["karasjok-kirkenes"], ()), plan.egresses, plan.traffic)
    found = list(breaches(plan, cut))
    assert found and all("kirkenes" in {breach.router, *breach.egress.routers} for breach in found)


def test_a_policy_that_leaves_no_way_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        country("avoid: {links: [vadso-kirkenes, karasjok-kirkenes]}")
    assert "classes.voice.avoid: leaves no way from" in str(caught.value) and "kirkenes" in str(caught.value)
