"""The live verifier: sends the probe packets and opens the sessions that the rules were asked about."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.lab.probing.packet_injector import Heard, Injected, Sending
from helsewan.lab.probing.schedule import ANSWER_GAP_US, LINE_GAP_US, turns
from helsewan.lab.probing.session_prober import Call
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric, Trace
from helsewan.verification.concrete.frames import read
from helsewan.verification.live.generators.draft import TTL
from helsewan.verification.live.live_report import Answer, LiveReport, SessionAnswer, side_by_side
from helsewan.verification.live.outcome import Outcome, Predicted, together
from helsewan.verification.live.sessions import Session, sessions
from helsewan.verification.live.test_packets import ProbePacket, mark_of, number_in, probe_packets
from helsewan.verification.static import Static

NOTHING_DOWN = Failures()
LISTEN_S = 2.0  # after the last frame: more than the longest way there and back, with a machine that stands still
PROVED = 2000  # questions that the sets of the proof are asked as well: some milliseconds each
QUESTIONS_PER_TALK = 4  # where they are bounded
TIMES = 3  # so often is asked what ought to come to something and does not


class Prober(Protocol):
    """A running network's sites."""

    def inject(self, sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Injected:
        """Send frames in their order, and hear what arrives with a mark, so long also at the end."""

    def run_sessions(self, calls: Sequence[Call]) -> Sequence[bool | None]:
        """Have conversations: whether each came about, None where it could not be tried."""


def verify_live(
    plan: Plan,
    rules: Mapping[str, RuleSet],
    prober: Prober,
    seed: int,
    most: int | None = None,
    down: Failures = NOTHING_DOWN,
) -> LiveReport:
    """Ask a running network all questions of ``seed``, or ``most`` besides the controls and a quarter as many
    conversations, and lay its answers beside
    those of ``rules``, its switches' by router id. ``down`` is what has failed: nothing is asked from such lines.

    What is to come to something and does not is asked again, up to ``TIMES``: a busy machine may lose a datagram. What
    is to come to nothing is asked once, and one arrival is enough."""
    began = time.monotonic()
    fabric = replace(Fabric.of(plan.network, rules), failures=down)
    foretold = Predicted(plan, fabric)
    asked = [each for each in probe_packets(plan, fabric, seed, most) if _has_light(each.site, each.line, plan, down)]
    wanted = [
        each
        for each in sessions(plan, fabric, seed, most and most // QUESTIONS_PER_TALK)
        if _may_talk(each, plan, down)
    ]
    walks = {question.number: foretold.walk(question) for question in asked}
    static = {question.number: foretold.outcome(question, walks[question.number]) for question in asked}
    proved = _proved(asked, plan, rules, down)
    prepared_s = time.monotonic() - began
    live, figures = _played(asked, walks, static, foretold, prober, seed)
    came_about = _talked(wanted, plan, prober)
    figures |= {"proved": len(proved)}
    figures["untried"] = came_about.count(None)
    figures |= {"prepared_s": prepared_s, "played_s": time.monotonic() - began - prepared_s}
    answers = [
        Answer(each, static[each.number], live[each.number], walks[each.number], proved.get(each.number))
        for each in asked
    ]
    return side_by_side(
        answers,
        [SessionAnswer(talk, done) for talk, done in zip(wanted, came_about, strict=True) if done is not None],
        seed,
        figures,
    )


def _proved(
    asked: Sequence[ProbePacket], plan: Plan, rules: Mapping[str, RuleSet], down: Failures
) -> dict[int, frozenset[str]]:
    """The sites that the proof's sets have the first ``PROVED`` questions' packets reach, by number. It takes for
    granted that a packet has hops enough, so those that may not are left out."""
    static = Static(plan.network, rules)
    machine = static.during(down) if down != NOTHING_DOWN else static.machine
    sites, found = plan.network.sites, dict[int, frozenset[str]]()
    for question in asked[:PROVED]:
        if question.packet.fields.get("nw_ttl", TTL) >= TTL:
            packet, line = static.space.of(question.packet), (question.site, question.line)
            ends = static.space.ends(static.became(line, machine) & packet)
            found[question.number] = frozenset(sites[end].id for end in ends if end < len(sites))
    return found


def _played(
    asked: Sequence[ProbePacket],
    walks: Mapping[int, Trace],
    static: Mapping[int, Outcome],
    foretold: Predicted,
    prober: Prober,
    seed: int,
) -> tuple[Mapping[int, Outcome], dict[str, float]]:
    """What came of each question by number, and figures."""
    live: defaultdict[int, Outcome] = defaultdict(Outcome)
    figures = {"sent": 0.0, "unsent": 0.0, "dropped": 0.0, "held_up_s": 0.0}
    left = asked
    for _ in range(TIMES):
        played = prober.inject(_sendings(left, walks, static), mark_of(seed), LISTEN_S)
        for number, outcome in _outcomes(played.heard, asked, foretold, seed).items():
            live[number] |= outcome
        figures["sent"] += len(left)
        figures["unsent"] += played.unsent
        figures["dropped"] += sum(played.dropped.values())
        figures["held_up_s"] += played.held_up_us / 1e6
        left = [question for question in asked if live[question.number].lacks(static[question.number])]
        if not left:
            break
    return live, figures


def _talked(wanted: Sequence[Session], plan: Plan, prober: Prober) -> list[bool | None]:
    """Whether each conversation came about; those that were to and did not are tried again."""
    came_about: list[bool | None] = [None] * len(wanted)
    left = list(range(len(wanted)))
    for _ in range(TIMES):
        done_of = prober.run_sessions([_call(wanted[number], plan) for number in left])
        for number, done in zip(left, done_of, strict=True):
            came_about[number] = done
        left = [number for number in left if wanted[number].static and came_about[number] is False]
        if not left:
            break
    return came_about


def _call(talk: Session, plan: Plan) -> Call:
    client, server = (plan.network.site[name] for name in (talk.client, talk.server))
    ends = (client.address4, server.address4) if talk.version == 4 else (client.address6, server.address6)
    return Call(client.id, server.id, str(ends[0]), str(ends[1]), int(talk.protocol), talk.port)


def _has_light(site: str, line: int, plan: Plan, down: Failures) -> bool:
    router = plan.network.site[site].accesses[line].router
    return router not in down.routers and (site, line) not in down.access_links


def _may_talk(talk: Session, plan: Plan, down: Failures) -> bool:
    """Whether both send on the lines that are foretold: a site whose first is dark takes its other."""
    return all(_has_light(site, 0, plan, down) for site in (talk.client, talk.server))


def _sendings(asked: Iterable[ProbePacket], walks: Mapping[int, Trace], static: Mapping[int, Outcome]) -> list[Sending]:
    by_number = {question.number: question for question in asked}
    order = turns([(number, _takes(question, walks[number], static[number])) for number, question in by_number.items()])
    sendings = []
    for turn in order:
        question = by_number[turn.number]
        sendings.append(Sending(question.site, question.line, question.frame, turn.at_us))
    return sendings


def _takes(question: ProbePacket, walk: Trace, foretold: Outcome) -> dict[Hashable, int]:
    """What a question takes of the network, for how long: its line, and the processor of the router that answers."""
    takes: dict[Hashable, int] = {(question.site, question.line): LINE_GAP_US}
    last = walk.hops[-1]
    if foretold.answered and last.visit.handed_up is not None:
        takes[last.came.router] = ANSWER_GAP_US
    return takes


def _outcomes(
    heard: Iterable[Heard], asked: Sequence[ProbePacket], foretold: Predicted, seed: int
) -> dict[int, Outcome]:
    """What came of each question that anything was heard of."""
    mark, by_number = mark_of(seed), {question.number: question for question in asked}
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    for each in heard:
        number = number_in(each.frame, mark)
        if number is not None and number in by_number:
            found[number].append(foretold.heard(by_number[number], each.site, read(each.frame)))
    return {number: together(outcomes) for number, outcomes in found.items()}
