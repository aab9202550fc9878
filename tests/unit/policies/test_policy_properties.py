"""Any policy on any network: the plan allows what the YAML says, and its parts fit each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from policy_network import Row, small_network
from policy_samples import CLASSES, SERVICES, compiled

from helsewan.policies.analysis.explain import is_allowed
from helsewan.topology.model import Kind, Network, Region, Site

VPNS = ("red", "green", "blue")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Between one and twelve sites with drawn kinds, regions, homings, tiers and tags."""
    homings = st.sampled_from(["r1", "r2", "r1 r2", "r2 r1"])
    rows: list[Row] = [
        (
            f"s{number}",
            draw(st.sampled_from([Kind.HOSPITAL, Kind.GP, Kind.SERVICE])),
            draw(st.sampled_from([Region.MIDT, Region.NORD])),
            draw(homings),
            draw(st.sampled_from([2, 10, 1000])),
            draw(st.sampled_from(["", "local"])),
            draw(st.sampled_from(["", "messages", "messages video"])),
        )
        for number in range(draw(st.integers(1, 12)))
    ]
    return small_network(rows)


def selectors(sites: Sequence[Site]) -> st.SearchStrategy[dict[str, Any]]:
    """A selector with at least one key; without tags and tier where they would leave no site, which is an error."""
    keys = {
        "kind": st.sampled_from(["hospital", "gp", "service"]),
        "region": st.sampled_from(["midt", "nord", "sor"]),
        "tier": st.sampled_from(["", "local", "central"]),
        "tags": st.sampled_from(["messages", "video", "records"]),
        "site": st.sampled_from([site.id for site in sites]),
    }

    def effective(selector: dict[str, Any]) -> dict[str, Any]:
        if any(matches(selector, site) for site in sites):
            return selector
        return {key: values for key, values in selector.items() if key not in ("tier", "tags")} or {"kind": ["gp"]}

    some = {key: st.lists(values, min_size=1, max_size=3) for key, values in keys.items()}
    return st.fixed_dictionaries({}, optional=some).filter(bool).map(effective)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], Network]:
    """A policy as plain data, with VPNs that all see each other, and a network it fits."""
    network = draw(networks())
    ids = [site.id for site in network.sites]
    colours = {site: draw(st.sampled_from(VPNS)) for site in ids}
    members = {vpn: [site for site in ids if colours[site] == vpn] for vpn in VPNS}
    contract = st.fixed_dictionaries(
        {
            "from": selectors(network.sites),
            "to": selectors(network.sites),
            "services": st.lists(st.sampled_from(sorted(SERVICES)), min_size=1, max_size=2),
            "both_ways": st.booleans(),
            "same_region": st.booleans(),
        }
    )
    contracts = draw(st.lists(contract, max_size=4))
    data = {
        "name": "drawn",
        "classes": CLASSES,
        "services": SERVICES,
        "vpns": {
            vpn: {"members": {"site": sites}, "import": ["all"], "export": ["all"]}
            for vpn, sites in members.items()
            if sites
        },
        "contracts": {f"c{number}": entry for number, entry in enumerate(contracts)},
    }
    return data, network


def matches(selector: dict[str, Any], site: Site) -> bool:
    """The selector's meaning, read straight from the file's data."""
    facts = {
        "kind": {site.kind.value},
        "region": {site.region.value},
        "tier": {site.tier},
        "tags": set(site.tags),
        "site": {site.id},
    }
    return all(facts[key] & set(values) for key, values in selector.items())


def grants(contract: dict[str, Any], client: Site, server: Site, service: str) -> bool:
    """Whether a contract as written lets ``client`` open ``service`` to ``server``."""
    if service not in contract["services"] or (contract["same_region"] and client.region is not server.region):
        return False
    forth = matches(contract["from"], client) and matches(contract["to"], server)
    back = matches(contract["from"], server) and matches(contract["to"], client)
    return forth or (contract["both_ways"] and back)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_allowed_is_what_the_file_says(case: tuple[dict[str, Any], Network]) -> None:
    data, network = case
    plan = compiled(data, network)
    for client, server, service in product(network.sites, network.sites, SERVICES):
        granting = [name for name, entry in data["contracts"].items() if grants(entry, client, server, service)]
        contract = is_allowed(plan, client.id, server.id, service)
        assert (contract.name if contract else None) == (granting[0] if granting else None)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_every_site_has_one_vpn_one_role_and_its_lines(case: tuple[dict[str, Any], Network]) -> None:
    data, network = case
    plan = compiled(data, network)
    ids = sorted(site.id for site in network.sites)
    assert sorted(site for vpn in plan.vpns for site in vpn.sites) == ids
    assert sorted(site for role in plan.roles for site in role.sites) == ids
    assert [role.id for role in plan.roles] == list(range(1, len(plan.roles) + 1))
    assert len({role.name for role in plan.roles}) == len(plan.roles)
    assert len({(contract.client, contract.server, contract.service) for contract in plan.contracts}) == len(
        plan.contracts
    )
    lines = [(line.site, line.router, line.vlan, line.backup) for line in plan.attachments]
    assert lines == [(s.id, a.router, a.vlan, i > 0) for s in network.sites for i, a in enumerate(s.accesses)]
    for line in plan.attachments:
        assert (line.vpn, line.role) == (plan.role_of_site[line.site].vpn, plan.role_of_site[line.site].id)
        assert line.site in plan.vpn[line.vpn].sites


@settings(max_examples=40, deadline=None)
@given(cases())
def test_prefixes_of_a_role_hold_its_sites_and_no_other(case: tuple[dict[str, Any], Network]) -> None:
    data, network = case
    plan = compiled(data, network)
    for role, site in product(plan.roles, network.sites):
        for own in site.prefixes:
            near = [prefix for prefix in role.prefixes if prefix.version == own.version and prefix.overlaps(own)]
            assert len(near) == (site.id in role.sites)
            assert all(own.subnet_of(prefix) for prefix in near)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_routes_of_a_vpn_lead_to_its_sites_and_no_other(case: tuple[dict[str, Any], Network]) -> None:
    data, network = case
    plan = compiled(data, network)
    assert [egress.index for egress in plan.egresses] == list(range(len(plan.egresses)))
    for vpn, site, version in product(plan.vpns, network.sites, (0, 1)):
        own = site.prefixes[version]
        theirs = [route for route in plan.routes if route.vpn == vpn.name and route.prefix.version == own.version]
        routes = [route for route in theirs if route.prefix.overlaps(own)]
        assert len(routes) == (site.id in vpn.sites)
        for route in routes:
            assert own.subnet_of(route.prefix)
            assert plan.egresses[route.egress].routers == site.homing


@settings(max_examples=20, deadline=None)
@given(cases())
def test_same_input_gives_the_same_plan(case: tuple[dict[str, Any], Network]) -> None:
    assert compiled(*case) == compiled(*case)


_PRINT_PLAN = """
import sys; sys.path[:0] = sys.argv[1:]
from policy_network import small_network
from helsewan.policies.compile import compile_policy, library_path, load_policy
plan = compile_policy(load_policy(library_path("national")), small_network())
print(plan.roles, plan.contracts, plan.attachments, plan.egresses, plan.routes, plan.services, plan.classes)
print([(vpn.id, vpn.name, vpn.label, vpn.label6, vpn.sites) for vpn in plan.vpns])
"""


def test_plan_does_not_depend_on_the_hash_seed() -> None:
    command = [sys.executable, "-c", _PRINT_PLAN, str(Path(__file__).parents[2] / "helpers")]
    plans = {
        subprocess.run(
            command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(plans) == 1
