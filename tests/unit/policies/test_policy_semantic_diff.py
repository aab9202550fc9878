"""The difference between two policies in effect: who may open what that could not, counted."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from itertools import product

import policy_golden
import pytest
from policy_network import small_network

from helsewan.cli.tables.policy_text import show_difference
from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.analysis.semantic_diff import Change, Effect, semantic_diff
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Region

NATIONAL = library_path("national").read_text(encoding="utf-8")


def plan(text: str) -> Plan:
    return compile_policy(policy_golden.policy(text), small_network())


def test_a_policy_has_no_effect_beside_itself() -> None:
    found = semantic_diff(plan(NATIONAL), plan(NATIONAL + "# the same\n"))
    assert found.effects == () and set(found.pairs.values()) == {0}


def test_a_contract_that_opens_one_way_only_is_told_that_way() -> None:
    wider = NATIONAL.replace("services: [voice, hl7]", "services: [voice, hl7, dicom]")
    pairs = {(Region.MIDT, Region.MIDT): 6, (Region.NORD, Region.NORD): 2}
    opened = Effect(Change.OPENED, Kind.GP, Kind.HOSPITAL, ("dicom",), pairs)
    assert semantic_diff(plan(NATIONAL), plan(wider)).effects == (opened,)
    (closed,) = semantic_diff(plan(wider), plan(NATIONAL)).effects
    assert closed.change is Change.CLOSED


def test_a_service_with_other_ports_is_closed_and_opened() -> None:
    moved = NATIONAL.replace("ports: [3128]", "ports: [8888]")
    found = semantic_diff(plan(NATIONAL), plan(moved))
    assert [(each.change, each.services) for each in found.effects] == [
        (change, ("proxy",)) for change in (Change.OPENED, Change.CLOSED) for _ in range(5)
    ]


@pytest.mark.parametrize("ports", ["[3128, 8888]", "[3100-3199]"])
def test_a_service_with_more_ports_opens_these_and_closes_nothing(ports: str) -> None:
    wider = plan(NATIONAL.replace("ports: [3128]", f"ports: {ports}"))
    found = semantic_diff(plan(NATIONAL), wider)
    added = "8888" if "8888" in ports else "3100-3127, 3129-3199"
    assert {(each.change, each.services) for each in found.effects} == {(Change.OPENED, (f"proxy (tcp {added})",))}
    proxy = len([site for site in wider.network.sites if site.kind is not Kind.SERVICE])
    assert (found.pairs[Change.OPENED], found.pairs[Change.CLOSED]) == (proxy, 0)


def test_a_service_with_another_name_is_the_same() -> None:
    renamed = NATIONAL.replace("  proxy:", "  web:").replace("[proxy]", "[web]").replace("[proxy, ping]", "[web, ping]")
    assert semantic_diff(plan(NATIONAL), plan(renamed)).effects == ()


def test_a_changed_class_is_told_with_its_pairs() -> None:
    moved = NATIONAL.replace("ports: [3128], class: best-effort", "ports: [3128], class: bulk")
    found = semantic_diff(plan(NATIONAL), plan(moved))
    assert {each.services for each in found.effects} == {("proxy in class bulk instead of best-effort",)}
    assert found.pairs[Change.CLASS] == sum(sum(each.pairs.values()) for each in found.effects) > 0
    assert found.pairs[Change.OPENED] == found.pairs[Change.CLOSED] == 0


@pytest.mark.parametrize(("old", "new"), [("weight: 30", "weight: 31"), ("- {share: 20 %}", "- {share: 19 %}")])
def test_a_class_that_is_treated_otherwise_is_told(old: str, new: str) -> None:
    """Also where only the rate of some access links' policers changed."""
    found = semantic_diff(plan(NATIONAL), plan(NATIONAL.replace(old, new, 1)))
    told = {service for each in found.effects for service in each.services}
    name = "video" if "weight" in old else "voice"
    assert told == {f"{name} in class {name}, which changed"}
    assert {each.change for each in found.effects} == {Change.CLASS}


def test_a_pair_with_several_changes_is_counted_once() -> None:
    wider = NATIONAL.replace("services: [voice, hl7]", "services: [voice, hl7, dicom]").replace(
        "ports: [2575]", "ports: [2575, 2576]"
    )
    found = semantic_diff(plan(NATIONAL), plan(wider))
    apart = semantic_diff(plan(NATIONAL), plan(NATIONAL.replace("ports: [2575]", "ports: [2575, 2576]")))
    assert found.pairs[Change.OPENED] == apart.pairs[Change.OPENED]


def test_counts_are_those_of_packets_asked_one_by_one() -> None:
    """Between all sites, for a port inside and beside every range of the smaller policy."""
    before, after = plan(NATIONAL), compile_policy(load_policy(library_path("open")), small_network())
    for old, new in ((before, after), (after, before)):
        found = semantic_diff(old, new)
        could, can = _packets(old), _packets(new)
        for change, expected in ((Change.OPENED, can - could), (Change.CLOSED, could - can)):
            assert found.pairs[change] == len({(client, server) for client, server, *_ in expected})


def _packets(policy: Plan) -> set[tuple[str, str, int, int]]:
    sites = [site.id for site in policy.network.sites]
    samples = [(6, port) for port in (25, 26, 443, 2575, 3128, 8443)] + [(17, 16384), (17, 53), (1, 0)]
    return {
        (client, server, protocol, port)
        for client, server in product(sites, sites)
        for protocol, port in samples
        for service in policy.services
        if service.protocol == protocol and (port in service.port_numbers or not service.ports)
        if client != server and is_allowed(policy, client, server, service.name)
    }


def test_json_has_everything() -> None:
    wider = NATIONAL.replace("services: [voice, hl7]", "services: [voice, hl7, dicom]")
    out = io.StringIO()
    with redirect_stdout(out):
        show_difference(plan(NATIONAL), plan(wider), as_json=True)
    found = json.loads(out.getvalue())
    assert found["changes"] == ['contracts.referrals.services: added "dicom"']
    assert found["pairs"] == {"opened": 8, "closed": 0, "class": 0}
    (effect,) = found["effects"]
    assert (effect["change"], effect["client"], effect["server"], effect["services"]) == (
        "opened", "gp", "hospital", ["dicom"],
    )  # fmt: skip
    assert sum(each["count"] for each in effect["pairs"]) == 8


def test_a_service_of_all_protocols_has_what_no_other_has() -> None:
    text = library_path("open").read_text(encoding="utf-8")
    narrow = plan(text.replace("[tcp, udp, ping, other]", "[tcp, udp, ping]"))
    whole = plan(text)
    found = semantic_diff(narrow, whole)
    assert {(each.change, each.services) for each in found.effects} == {(Change.OPENED, ("other",))}
    moved = plan(text.replace("  udp:", "  # udp:").replace("[tcp, udp, ping, other]", "[tcp, ping, other]"))
    assert semantic_diff(whole, moved).effects == (), "it keeps the same classes"
    alone = plan(text.replace("[tcp, udp, ping, other]", "[other]"))
    assert semantic_diff(whole, alone).effects == () == semantic_diff(alone, whole).effects
