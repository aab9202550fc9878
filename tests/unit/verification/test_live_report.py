"""Predicted and live outcomes side by side: what counts as agreement, what as a leak, and how often a probe is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from controller_plan import small_plan
from intended_rules import SEED, intended
from live_answers import answer, first

from helsewan.controller.rules.generation import first_generation
from helsewan.lab.probing.packet_injector import InjectionResult, ScheduledFrame
from helsewan.lab.probing.schedule import ACCESS_LINK_GAP_US, RATE_PER_S, schedule_probes
from helsewan.lab.probing.session_prober import SessionSpec
from helsewan.lab.probing.verify_live import TIMES, verify_live
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.expected.expected import Disposition
from helsewan.verification.findings import FindingKind
from helsewan.verification.live.generators.draft import ProbeKind
from helsewan.verification.live.live_report import side_by_side
from helsewan.verification.live.outcome import Arrival, Outcome
from helsewan.verification.live.test_packets import ProbePacket, mark_of, number_in, probe_packets


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def fabric(plan: Plan) -> Fabric:
    return intended(plan)


@pytest.fixture(scope="module")
def probes(plan: Plan, fabric: Fabric) -> tuple[ProbePacket, ...]:
    return probe_packets(plan, fabric, SEED)


@dataclass
class DroppingNetwork:
    """A network that drops everything, and counts how often each probe is sent."""

    sent: Counter[int] = field(default_factory=Counter)
    called: Counter[SessionSpec] = field(default_factory=Counter)

    def inject(self, sendings: Sequence[ScheduledFrame], mark: bytes, listen_s: float) -> InjectionResult:
        self.sent.update(number for each in sendings if (number := number_in(each.frame, mark)) is not None)
        return InjectionResult((), 0, 0, {})

    def run_sessions(self, calls: Sequence[SessionSpec]) -> Sequence[bool | None]:
        self.called.update(calls)
        return [False] * len(calls)


def test_outcomes_that_agree_pass(plan: Plan, fabric: Fabric, probes: tuple[ProbePacket, ...]) -> None:
    report = side_by_side([answer(plan, fabric, each) for each in probes], [], SEED, {})
    assert report.passed and report.deaf == ()
    assert sum(row[1] for row in report.table()) == len(probes)
    assert all(row[3:] == (0, 0) for row in report.table())


def test_a_delivery_that_is_denied_is_a_leak_with_its_packet_and_trace(
    plan: Plan, fabric: Fabric, probes: tuple[ProbePacket, ...]
) -> None:
    kept = first(probes, Disposition.DENIED)
    live = Outcome(frozenset({Arrival(plan.network.sites[0].id, kept.packet)}))
    (finding,) = side_by_side([answer(plan, fabric, kept, live)], [], SEED, {}).findings
    assert (finding.kind, finding.site, finding.packet) == (FindingKind.LEAK, kept.site, kept.packet)
    assert finding.trace is not None and plan.network.sites[0].id in finding.reason


def test_a_packet_lost_misdelivered_or_changed_fails(
    plan: Plan, fabric: Fabric, probes: tuple[ProbePacket, ...]
) -> None:
    allowed = first(probes, Disposition.ARRIVES)
    right = answer(plan, fabric, allowed)
    (arrival,) = right.static.arrivals
    elsewhere = next(site.id for site in plan.network.sites if site.id not in (allowed.expected.towards, allowed.site))
    cases = {
        FindingKind.BLACKHOLE: Outcome(),
        FindingKind.MISDELIVERED: Outcome(frozenset({arrival, Arrival(elsewhere, arrival.packet)})),
        FindingKind.DIFFERS: Outcome(frozenset({Arrival(arrival.site, arrival.packet.but(ip_dscp=63))})),
    }
    for kind, live in cases.items():
        (finding,) = side_by_side([answer(plan, fabric, allowed, live)], [], SEED, {}).findings
        assert finding.kind is kind
    assert "ip_dscp=63" in finding.reason


def test_an_access_link_without_its_control_is_named_and_nothing_passes(
    plan: Plan, fabric: Fabric, probes: tuple[ProbePacket, ...]
) -> None:
    control = probes[0]
    report = side_by_side([answer(plan, fabric, control, Outcome())], [], SEED, {})
    assert report.deaf == (f"{control.site}/wan{control.line}",)
    assert not report.passed and report.findings == ()


def test_what_should_be_delivered_is_sent_again_and_all_else_once(plan: Plan, fabric: Fabric) -> None:
    generation = first_generation(plan)
    rules = {router: generation.rules(router) for router in plan.network.router}
    network = DroppingNetwork()
    report = verify_live(plan, rules, network, SEED)
    for each in report.answers:
        expected = TIMES if each.static != Outcome() else 1
        assert network.sent[each.probe.number] == expected, each.probe.name
    assert set(network.called.values()) == {1, TIMES}
    assert sum(times for times in network.called.values()) == sum(
        TIMES if each.session.static else 1 for each in report.sessions
    )
    assert mark_of(SEED) in report.answers[0].probe.frame


def test_turns_keep_the_rate_and_every_pause() -> None:
    needs = [(number, {number % 3: ACCESS_LINK_GAP_US}) for number in range(300)]
    done = schedule_probes(needs)
    assert sorted(turn.number for turn in done) == list(range(300))
    gaps = [b.at_us - a.at_us for a, b in pairwise(done)]
    assert min(gaps) >= 1_000_000 // RATE_PER_S
    for line in range(3):
        own = [turn.at_us for turn in done if turn.number % 3 == line]
        assert min(b - a for a, b in pairwise(own)) >= ACCESS_LINK_GAP_US


def test_a_leak_in_the_rules_is_one_in_both_outcomes(plan: Plan) -> None:
    generation = first_generation(plan)
    rules = {router: generation.rules(router) for router in plan.network.router}
    kept = next(
        each
        for each in probe_packets(plan, Fabric.of(plan.network, rules), SEED)
        if each.expected.reason == "no contract allows it" and each.kind is ProbeKind.CONTRACTS
    )
    router = plan.network.site[kept.site].accesses[kept.line].router
    trace = Fabric.of(plan.network, rules).trace_from(kept.site, kept.packet, kept.line)
    denied = trace.hops[0].visit.rules[-1]
    opened = replace(
        denied, priority=1000, goto=next(r.goto for r in rules[router].flows if r.table is denied.table and r.goto)
    )
    leaky = Fabric.of(plan.network, {**rules, router: replace(rules[router], flows=(opened, *rules[router].flows))})
    (finding,) = side_by_side([answer(plan, leaky, kept)], [], SEED, {}).findings
    assert (finding.kind, finding.towards) == (FindingKind.LEAK, kept.expected.towards)
