"""Outcomes of live probes, constructed for tests."""

from __future__ import annotations

from collections.abc import Sequence

from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.expected.expected import Disposition
from helsewan.verification.live.generators.draft import ProbeKind
from helsewan.verification.live.live_report import Answer
from helsewan.verification.live.outcome import Outcome, Predicted
from helsewan.verification.live.test_packets import ProbePacket


def answer(plan: Plan, fabric: Fabric, probe: ProbePacket, live: Outcome | None = None) -> Answer:
    """A probe with its predicted outcome, and ``live`` as the network's; by default the same."""
    predicted = Predicted(plan, fabric)
    trace = predicted.trace(probe)
    static = predicted.outcome(probe, trace)
    return Answer(probe, static, static if live is None else live, trace)


def first(asked: Sequence[ProbePacket], verdict: Disposition) -> ProbePacket:
    return next(each for each in asked if each.expected.disposition is verdict and each.kind is not ProbeKind.CONTROLS)
