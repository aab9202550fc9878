"""The live verifier: the questions that rules answer, played on the network that has these rules."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace

from controller.interpreter.fabric import Fabric, Walk
from controller.paths import Failures
from controller.rules import RuleSet
from policies.plan import Plan
from scenarios.probing.player import Heard, Played, Sending
from scenarios.probing.schedule import ANSWER_GAP_US, LINE_GAP_US, turns
from verification.agreement import Answer, LiveReport, side_by_side
from verification.frames import read
from verification.outcome import Foretold, Outcome, together
from verification.questions import Question, mark_of, number_in, questions

NOTHING_DOWN = Failures()
LISTEN_S = 2.0  # after the last frame: more than the longest way there and back, with a machine that stands still
TIMES = 3  # so often is asked what ought to come to something and does not

Player = Callable[[Sequence[Sending], bytes, float], Played]
"""Sends frames from sites in their order and hears what arrives: (frames, mark, seconds to listen at the end)."""


def verify_live(
    plan: Plan,
    rules: Mapping[str, RuleSet],
    player: Player,
    seed: int,
    most: int | None = None,
    down: Failures = NOTHING_DOWN,
) -> LiveReport:
    """Ask a running network all questions of ``seed``, or ``most`` besides the controls, and lay its answers beside
    those of ``rules``, its switches' by router id. ``down`` is what has failed: nothing is asked from such lines.

    What is to come to something and does not is asked again, up to ``TIMES``: a busy machine may lose a datagram. What
    is to come to nothing is asked once, and one arrival is enough."""
    began = time.monotonic()
    fabric = replace(Fabric.of(plan.network, rules), failures=down)
    foretold = Foretold(plan, fabric)
    asked = [each for each in questions(plan, fabric, seed, most) if _has_light(each, plan, down)]
    walks = {question.number: foretold.walk(question) for question in asked}
    static = {question.number: foretold.outcome(question, walks[question.number]) for question in asked}
    prepared_s = time.monotonic() - began
    live: dict[int, Outcome] = defaultdict(Outcome)
    open_questions: Sequence[Question] = asked
    figures = {"prepared_s": prepared_s, "sent": 0.0, "unsent": 0.0, "dropped": 0.0, "held_up_s": 0.0}
    for _ in range(TIMES):
        played = player(_sendings(open_questions, walks, static), mark_of(seed), LISTEN_S)
        for number, outcome in _outcomes(played.heard, asked, foretold, seed).items():
            live[number] |= outcome
        figures["sent"] += len(open_questions)
        figures["unsent"] += played.unsent
        figures["dropped"] += sum(played.dropped.values())
        figures["held_up_s"] += played.held_up_us / 1e6
        open_questions = [question for question in asked if live[question.number].lacks(static[question.number])]
        if not open_questions:
            break
    figures["played_s"] = time.monotonic() - began - prepared_s
    answers = [
        Answer(question, static[question.number], live[question.number], walks[question.number]) for question in asked
    ]
    return side_by_side(answers, seed, figures)


def _has_light(question: Question, plan: Plan, down: Failures) -> bool:
    router = plan.network.site[question.site].accesses[question.line].router
    return router not in down.routers and (question.site, question.line) not in down.lines


def _sendings(asked: Iterable[Question], walks: Mapping[int, Walk], static: Mapping[int, Outcome]) -> list[Sending]:
    by_number = {question.number: question for question in asked}
    order = turns([(number, _takes(question, walks[number], static[number])) for number, question in by_number.items()])
    sendings = []
    for turn in order:
        question = by_number[turn.number]
        sendings.append(Sending(question.site, question.line, question.frame, turn.at_us))
    return sendings


def _takes(question: Question, walk: Walk, foretold: Outcome) -> dict[Hashable, int]:
    """What a question takes of the network, for how long: its line, and the processor of the router that answers."""
    takes: dict[Hashable, int] = {(question.site, question.line): LINE_GAP_US}
    last = walk.hops[-1]
    if foretold.answered and last.visit.handed_up is not None:
        takes[last.came.router] = ANSWER_GAP_US
    return takes


def _outcomes(heard: Iterable[Heard], asked: Sequence[Question], foretold: Foretold, seed: int) -> dict[int, Outcome]:
    """What came of each question that anything was heard of."""
    mark, by_number = mark_of(seed), {question.number: question for question in asked}
    found: defaultdict[int, list[Outcome]] = defaultdict(list)
    for each in heard:
        number = number_in(each.frame, mark)
        if number is not None and number in by_number:
            found[number].append(foretold.heard(by_number[number], each.site, read(each.frame)))
    return {number: together(outcomes) for number, outcomes in found.items()}
