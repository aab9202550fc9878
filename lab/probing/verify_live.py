"""The live verifier: compares what becomes of probe packets and sessions with what the rules predict."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.lab.probing.packet_injector import InjectionResult, ReceivedFrame, ScheduledFrame
from helsewan.lab.probing.schedule import ACCESS_LINK_GAP_US, ANSWER_GAP_US, schedule_probes
from helsewan.lab.probing.session_prober import SessionSpec
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric, Trace
from helsewan.verification.concrete.frames import read
from helsewan.verification.live.generators.draft import TTL
from helsewan.verification.live.live_report import Answer, LiveReport, SessionAnswer, side_by_side
from helsewan.verification.live.outcome import Outcome, Predicted, together
from helsewan.verification.live.sessions import Session, sessions
from helsewan.verification.live.test_packets import ProbePacket, mark_of, number_in, probe_packets
from helsewan.verification.static import Static

NO_FAILURES = Failures()
LISTEN_S = 2.0  # after the last frame: longer than any round trip, with a machine that stalls
MAX_PROVED = 2000  # probes that are also checked against the static verifier's sets: some milliseconds each
PROBES_PER_SESSION = 4  # where the number of probes is limited
TIMES = 3  # attempts, for a probe or session that should arrive and does not


class Prober(Protocol):
    """A running network's sites."""

    def inject(self, frames: Sequence[ScheduledFrame], mark: bytes, listen_s: float) -> InjectionResult:
        """Send frames in order; returns the received frames that contain ``mark``, until ``listen_s`` after the
        last."""

    def run_sessions(self, specs: Sequence[SessionSpec]) -> Sequence[bool | None]:
        """Try sessions: whether each was established, None where it could not be tried."""


def verify_live(
    plan: Plan,
    rules: Mapping[str, RuleSet],
    prober: Prober,
    seed: int,
    most: int | None = None,
    down: Failures = NO_FAILURES,
) -> LiveReport:
    """Send a running network the probes that ``seed`` selects, and compare their outcomes with the predictions of
    ``rules``, its switches' rules by router id. ``most`` limits the probes, controls not counted, and the sessions to a
    quarter of it. ``down``: current failures; no probe is sent from failed access links.

    A probe or session that should arrive and does not is repeated, up to ``TIMES`` attempts in all, as a busy machine
    may drop a datagram. One that should not arrive is sent once: a single arrival is a violation."""
    began = time.monotonic()
    fabric = replace(Fabric.of(plan.network, rules), failures=down)
    predicted = Predicted(plan, fabric)
    probes = [
        each for each in probe_packets(plan, fabric, seed, most) if _has_carrier(each.site, each.line, plan, down)
    ]
    tried = [
        each
        for each in sessions(plan, fabric, seed, most and most // PROBES_PER_SESSION)
        if _use_first_links(each, plan, down)
    ]
    traces = {probe.number: predicted.trace(probe) for probe in probes}
    static = {probe.number: predicted.outcome(probe, traces[probe.number]) for probe in probes}
    proved = _proved(probes, plan, rules, down)
    prepared_s = time.monotonic() - began
    live, figures = _injected(probes, traces, static, predicted, prober, seed)
    established = _established(tried, plan, prober)
    figures |= {"proved": len(proved)}
    figures["untried"] = established.count(None)
    figures |= {"prepared_s": prepared_s, "played_s": time.monotonic() - began - prepared_s}
    answers = [
        Answer(each, static[each.number], live[each.number], traces[each.number], proved.get(each.number))
        for each in probes
    ]
    return side_by_side(
        answers,
        [SessionAnswer(session, done) for session, done in zip(tried, established, strict=True) if done is not None],
        seed,
        figures,
    )


def _proved(
    probes: Sequence[ProbePacket], plan: Plan, rules: Mapping[str, RuleSet], down: Failures
) -> dict[int, frozenset[str]]:
    """The sites that the first ``MAX_PROVED`` probes reach according to the static verifier's sets, by probe number.
    The sets do not include expired TTLs, so probes with a lower TTL than usual are left out."""
    static = Static(plan.network, rules)
    machine = static.with_failures(down) if down != NO_FAILURES else static.executor
    sites, found = plan.network.sites, dict[int, frozenset[str]]()
    for probe in probes[:MAX_PROVED]:
        if probe.packet.fields.get("nw_ttl", TTL) >= TTL:
            packet, line = static.space.of(probe.packet), (probe.site, probe.line)
            ends = static.space.ends(static.outcomes(line, machine) & packet)
            found[probe.number] = frozenset(sites[end].id for end in ends if end < len(sites))
    return found


def _injected(
    probes: Sequence[ProbePacket],
    traces: Mapping[int, Trace],
    static: Mapping[int, Outcome],
    predicted: Predicted,
    prober: Prober,
    seed: int,
) -> tuple[Mapping[int, Outcome], dict[str, float]]:
    """Send the probes; returns the outcome of each, by number, and figures."""
    live: defaultdict[int, Outcome] = defaultdict(Outcome)
    figures = {"sent": 0.0, "unsent": 0.0, "dropped": 0.0, "held_up_s": 0.0}
    left = probes
    for _ in range(TIMES):
        result = prober.inject(_frames(left, traces, static), mark_of(seed), LISTEN_S)
        for number, outcome in _outcomes(result.received, probes, predicted, seed).items():
            live[number] |= outcome
        figures["sent"] += len(left)
        figures["unsent"] += result.unsent
        figures["dropped"] += sum(result.dropped.values())
        figures["held_up_s"] += result.delayed_us / 1e6
        left = [probe for probe in probes if live[probe.number].lacks(static[probe.number])]
        if not left:
            break
    return live, figures


def _established(tried: Sequence[Session], plan: Plan, prober: Prober) -> list[bool | None]:
    """Whether each session was established; those that should be and were not are repeated."""
    established: list[bool | None] = [None] * len(tried)
    left = list(range(len(tried)))
    for _ in range(TIMES):
        results = prober.run_sessions([_spec(tried[number], plan) for number in left])
        for number, done in zip(left, results, strict=True):
            established[number] = done
        left = [number for number in left if tried[number].static and established[number] is False]
        if not left:
            break
    return established


def _spec(session: Session, plan: Plan) -> SessionSpec:
    client, server = (plan.network.site[name] for name in (session.client, session.server))
    ends = (client.address4, server.address4) if session.version == 4 else (client.address6, server.address6)
    return SessionSpec(client.id, server.id, str(ends[0]), str(ends[1]), int(session.protocol), session.port)


def _has_carrier(site: str, line: int, plan: Plan, down: Failures) -> bool:
    router = plan.network.site[site].accesses[line].router
    return router not in down.routers and (site, line) not in down.access_links


def _use_first_links(session: Session, plan: Plan, down: Failures) -> bool:
    """Whether both sites send on their first access link, as predictions assume: with that link down they use
    another."""
    return all(_has_carrier(site, 0, plan, down) for site in (session.client, session.server))


def _frames(
    probes: Iterable[ProbePacket], traces: Mapping[int, Trace], static: Mapping[int, Outcome]
) -> list[ScheduledFrame]:
    by_number = {probe.number: probe for probe in probes}
    needs = [(number, _resources(probe, traces[number], static[number])) for number, probe in by_number.items()]
    frames = []
    for scheduled in schedule_probes(needs):
        probe = by_number[scheduled.number]
        frames.append(ScheduledFrame(probe.site, probe.line, probe.frame, scheduled.at_us))
    return frames


def _resources(probe: ProbePacket, trace: Trace, predicted: Outcome) -> dict[Hashable, int]:
    """The resources that a probe uses, and for how long (us): its access link, and the slow path of the router that
    answers."""
    uses: dict[Hashable, int] = {(probe.site, probe.line): ACCESS_LINK_GAP_US}
    last = trace.hops[-1]
    if predicted.answered and last.visit.packet_in is not None:
        uses[last.ingress.router] = ANSWER_GAP_US
    return uses


def _outcomes(
    received: Iterable[ReceivedFrame], probes: Sequence[ProbePacket], predicted: Predicted, seed: int
) -> dict[int, Outcome]:
    """The outcome of each probe of which a frame was received, by number."""
    mark, by_number = mark_of(seed), {probe.number: probe for probe in probes}
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    for each in received:
        number = number_in(each.frame, mark)
        if number is not None and number in by_number:
            found[number].append(predicted.outcome_of_arrival(by_number[number], each.site, read(each.frame)))
    return {number: together(outcomes) for number, outcomes in found.items()}
