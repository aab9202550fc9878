"""The difference between two policies in effect: who may open what that could not, counted."""

from __future__ import annotations

from itertools import product

import policy_golden
from policy_network import small_network

from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.analysis.semantic_diff import Effect, semantic_diff
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Region

NATIONAL = library_path("national").read_text(encoding="utf-8")


def plan(text: str) -> Plan:
    return compile_policy(policy_golden.policy(text), small_network())


def test_a_policy_has_no_effect_beside_itself() -> None:
    assert semantic_diff(plan(NATIONAL), plan(NATIONAL + "# the same\n")) == ()


def test_a_contract_that_opens_one_way_only_is_told_that_way() -> None:
    wider = NATIONAL.replace("services: [voice, hl7]", "services: [voice, hl7, dicom]")
    opened = Effect(
        True, Kind.GP, Kind.HOSPITAL, ("dicom",), {(Region.MIDT, Region.MIDT): 6, (Region.NORD, Region.NORD): 2}
    )
    assert semantic_diff(plan(NATIONAL), plan(wider)) == (opened,)
    assert semantic_diff(plan(wider), plan(NATIONAL))[0].opened is False


def test_a_service_with_other_ports_is_closed_and_opened() -> None:
    moved = NATIONAL.replace("ports: [3128]", "ports: [8888]")
    assert [(each.opened, each.services) for each in semantic_diff(plan(NATIONAL), plan(moved))] == [
        (opened, ("proxy",)) for opened in (True, False) for _ in range(5)
    ]


def test_counts_are_those_of_pairs_asked_one_by_one() -> None:
    before, after = plan(NATIONAL), compile_policy(load_policy(library_path("open")), small_network())
    sites = [site.id for site in before.network.sites]
    could, can = (
        {
            (client, server, service.name)
            for client, server in product(sites, sites)
            for service in each.services
            if client != server and is_allowed(each, client, server, service.name)
        }
        for each in (before, after)
    )
    found = semantic_diff(before, after)
    for opened, expected in ((True, can - could), (False, could - can)):
        counted = sum(sum(each.pairs.values()) * len(each.services) for each in found if each.opened is opened)
        assert counted == len(expected)
