"""The static verifier: what rules do to every packet that any site can send, compared with what the policy expects.

Entry point: `verify`, which returns a `VerificationReport`. `Static` computes what rules do to single packets or to
all; `Verification` compares some access links only, or one router's changed rules.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from helsewan.controller.openflow.entries import RuleSet
from helsewan.policies.plan import Plan
from helsewan.verification.comparison import ASSUMED, Verification
from helsewan.verification.failures import INTACT, common_failures
from helsewan.verification.findings import FailureCase, VerificationReport
from helsewan.verification.symbolic.static_model import Static

__all__ = ["ASSUMED", "Static", "Verification", "verify"]


def verify(
    plan: Plan, rules: Mapping[str, RuleSet], cases: Sequence[FailureCase] = (INTACT,), workers: int = 1
) -> VerificationReport:
    """Compares ``rules``, by router id, with ``plan`` in each of ``cases``, the intact network first. More than one of
    ``workers`` share the access links: processes forked from this one, which must then have no other threads."""
    with _without_gc():
        return Verification(plan, Static(plan.network, rules, common_failures(cases))).run(cases, workers)


@contextmanager
def _without_gc() -> Iterator[None]:
    """Disables garbage collection: the objects created here stay alive, and scanning them would take most of the
    time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
