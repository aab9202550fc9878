"""Planned application traffic: who exchanges what with whom and when, and what is refused."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from scenario_text import SMALL, read

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.lab.flows.applications import Dicom, Ebxml, SipTransport, Span
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.source import library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.spec import read_scenario
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.topology.national.generator import national_network

ANY = "from: {kind: [hospital]}, to: {kind: [service]}"
WITHIN = "between: {kind: [hospital]}, relation: within"
HL7 = f"kind: hl7, service: hl7, count: 1, {WITHIN}, every: 1 s, deadline: 1 s"
ENTRIES = {
    "letters": f"{{kind: ebxml, service: ebxml, count: 6, {ANY}, every: 5 s, deadline: 5 s, family: both}}",
    "answers": f"{{kind: hl7, service: hl7, count: 4, {WITHIN}, every: 2 s, deadline: 2 s, message: 4 kB}}",
    "recipes": f"{{kind: prescription, service: prescription, count: 4, {ANY}, every: 1 s, deadline: 3 s, family: 6}}",
    "images": f"{{kind: dicom, service: dicom, count: 2, {WITHIN}, every: 9 s, deadline: 9 s, associations: 4}}",
    "pages": f"{{kind: web, service: proxy, count: 3, {ANY}, every: 3 s, deadline: 9 s, arrivals: poisson}}",
    "desks": f"{{kind: thin-client, service: thin-client, count: 3, {WITHIN}, every: 1 s, deadline: 1 s}}",
    "sip-calls": f"{{kind: sip, service: sip, count: 4, {ANY}, every: 4 s, deadline: 9 s, family: both}}",
    "sip-calls-tcp": f"{{kind: sip, service: sip-tcp, count: 1, {ANY}, every: 4 s, deadline: 9 s}}",
}


@cache
def small_plan() -> Plan:
    return compile_policy(load_policy(library_path("national")), national_network(120, 1))


def text(**entries: str) -> str:
    """The small scenario with these entries besides its own."""
    more = "".join(f"  {name.replace('_', '-')}: {entry}\n" for name, entry in entries.items())
    return SMALL.replace("traffic:\n", "traffic:\n" + more)


def planned(**entries: str) -> TrafficPlan:
    scenario = read(text(**entries))
    return plan_traffic(scenario.spec, small_plan(), scenario.document)


def problems(**entries: str) -> list[str]:
    document = loads(text(**entries).encode(), "small.yaml")
    with pytest.raises(InputError) as caught:
        plan_traffic(read_scenario(document).spec, small_plan(), document)
    return [str(problem) for problem in caught.value.problems]


ALL = planned(**ENTRIES)


def test_every_exchange_is_allowed_by_the_policy() -> None:
    plan = small_plan()
    for exchange in ALL.exchanges:
        roles = plan.role_of_site[exchange.client].id, plan.role_of_site[exchange.server].id
        assert (*roles, exchange.service) in plan.allowed, exchange.name
        assert exchange.port in plan.service[exchange.service].port_numbers
        assert exchange.dscp == plan.traffic_class[exchange.class_name].dscp


def test_kinds_become_applications_with_their_defaults() -> None:
    applications = {exchange.entry: exchange.application for exchange in ALL.exchanges}
    receipts = Span(3_000, 6_000), Span(3_000, 6_000)
    assert applications["letters"] == Ebxml(Span(10_000, 25_000), *receipts, Span(50_000, 500_000))
    assert applications["recipes"] == Ebxml(Span(8_000, 20_000), *receipts, Span(50_000, 500_000))
    assert applications["images"] == Dicom("CT", Span(300, 500), Span(524_288, 524_288), 4)
    transports = [getattr(applications[name], "transport", None) for name in ("sip-calls", "sip-calls-tcp")]
    assert transports == [SipTransport.UDP, SipTransport.TCP]


def test_messages_go_by_http_not_to_the_port_of_smtp() -> None:
    assert {exchange.port for exchange in ALL.exchanges if exchange.entry == "letters"} == {8080}


def test_both_ends_have_addresses_of_the_family() -> None:
    versions = {
        name: {(one.client_address.version, one.server_address.version) for one in ALL.exchanges if one.entry == name}
        for name in ENTRIES
    }
    assert versions["recipes"] == {(6, 6)}
    assert versions["answers"] == {(4, 4)}
    assert versions["letters"] == versions["sip-calls"] == {(4, 4), (6, 6)}


def test_the_same_seed_plans_the_same() -> None:
    assert planned(**ENTRIES) == ALL


def test_an_entry_more_changes_no_other() -> None:
    fewer = planned(**{name: entry for name, entry in ENTRIES.items() if name != "letters"})
    kept = [one for one in ALL.exchanges if one.entry == "desks"]
    assert [one.begins_us for one in fewer.exchanges if one.entry == "desks"] == [one.begins_us for one in kept]


def test_probes_keep_away_from_the_sockets_of_agents() -> None:
    agents = {(site, 5060) for one in ALL.exchanges if one.entry == "sip-calls" for site in (one.client, one.server)}
    assert agents
    assert not agents & {(end.site, end.port) for end in ALL.endpoints}


def gaps(entry: str) -> list[list[int]]:
    """Times between the begins of each of an entry's clients."""
    return [[after - one for one, after in pairwise(one.begins_us)] for one in ALL.exchanges if one.entry == entry]


def test_datagrams_for_the_socket_of_an_agent_are_refused() -> None:
    datagrams = f"{{kind: messages, service: sip, count: 4, {ANY}, every: 1 s, request: 100 B, reply: 100 B}}"
    (problem,) = problems(**{"sip-calls": ENTRIES["sip-calls"], "more": datagrams})
    assert "traffic.more: takes UDP port 5060 at " in problem


def test_constant_arrivals_are_evenly_spaced() -> None:
    assert all(abs(gap - 1_000_000) <= 1 for own in gaps("desks") for gap in own)
    assert len({one.begins_us[0] for one in ALL.exchanges if one.entry == "desks"}) == 3, "they begin together"


def test_poisson_arrivals_are_no_even_ones() -> None:
    many = planned(pages=ENTRIES["pages"].replace("3 s", "50 ms", 1))
    (begins, *_) = (one.begins_us for one in many.exchanges if one.entry == "pages")
    between = [after - one for one, after in pairwise(begins)]
    assert 150 < len(begins) < 250  # 200 on average, with a standard deviation of 14
    assert 0.25 < sum(gap > 50_000 for gap in between) / len(between) < 0.5  # 1 / e are longer than the mean


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            f"{{kind: hl7, service: sip, count: 1, {ANY}, every: 1 s, deadline: 1 s}}",
            "small.yaml:18: traffic.extra.service: 'sip' is no TCP service of policy 'national'",
        ),
        (
            f"{{kind: sip, service: ping, count: 1, {ANY}, every: 1 s, deadline: 1 s}}",
            "small.yaml:18: traffic.extra.service: 'ping' is no UDP or TCP service of policy 'national'",
        ),
        (
            f"{{kind: hl7, service: hl7, port: 80, count: 1, {WITHIN}, every: 1 s, deadline: 1 s}}",
            "small.yaml:18: traffic.extra.port: 80 is no port of 'hl7' (hint: it has 2575)",
        ),
        (
            f"{{kind: sip, service: sip, count: 1, {WITHIN}, every: 1 s, deadline: 1 s}}",
            "small.yaml:18: traffic.extra.between: selects no two sites between which policy 'national' allows 'sip'",
        ),
        (
            f"{{{HL7}, message: {{least: 9 kB, most: 1 kB}}}}",
            "small.yaml:18: traffic.extra.message: has a least above its most (hint: exchange them)",
        ),
        (
            f"{{kind: dicom, service: dicom, modality: XX, count: 1, {WITHIN}, every: 1 s, deadline: 1 s}}",
            "small.yaml:18: traffic.extra.modality: 'XX'",
        ),
        (
            f"{{kind: hl7, service: ehr, count: 60, {WITHIN}, every: 1 s, deadline: 1 s}}",
            "to 'extra', which speaks MLLP there (hint: choose another service, or other servers)",
        ),
    ],
)
def test_what_cannot_be_planned_is_refused(entry: str, message: str) -> None:
    (problem,) = problems(extra=entry)
    assert message in problem


@pytest.mark.parametrize(
    ("check", "message"),
    [
        ('{metric: call_setup_p95, traffic: answers, limit: "< 1 s"}', "'answers' has no call_setup_p95"),
        ('{metric: response_p99, traffic: calls-sip, limit: "< 1 s"}', "'calls-sip' has no response_p99"),
        ('{metric: loss, traffic: calls-sip, limit: "< 1 %"}', "'calls-sip' has no loss"),
    ],
)
def test_a_check_of_another_kind_of_traffic_is_refused(check: str, message: str) -> None:
    scenario = text(**{"answers": ENTRIES["answers"], "calls-sip": ENTRIES["sip-calls"]}).replace(
        "checks:\n", f"checks:\n  odd: {check}\n"
    )
    with pytest.raises(InputError) as caught:
        read(scenario)
    (problem,) = map(str, caught.value.problems)
    assert message in problem
