"""Answers to live probes, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.expected.expected import Disposition
from helsewan.verification.live.generators.draft import Group
from helsewan.verification.live.live_report import Answer
from helsewan.verification.live.outcome import Outcome, Predicted
from helsewan.verification.live.test_packets import ProbePacket


def answer(plan: Plan, fabric: Fabric, question: ProbePacket, live: Outcome | None = None) -> Answer:
    """A question with the rules' answer, and the network's: the same unless told otherwise."""
    foretold = Predicted(plan, fabric)
    walk = foretold.walk(question)
    static = foretold.outcome(question, walk)
    return Answer(question, static, static if live is None else live, walk)


def first(asked: Sequence[ProbePacket], verdict: Disposition) -> ProbePacket:
    return next(each for each in asked if each.says.disposition is verdict and each.group is not Group.CONTROLS)
