"""The static verifier: what rules do to every packet that any site can send, compared with what the policy says of it.

Entry point: `verify`, which returns a `VerificationReport`. `Static` answers single questions about the rules;
`Verification` compares some access links only, or one router's changed rules.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from helsewan.controller.openflow.entries import RuleSet
from helsewan.policies.plan import Plan
from helsewan.verification.comparison import ASSUMED, Verification
from helsewan.verification.failures import INTACT
from helsewan.verification.findings import Case, VerificationReport
from helsewan.verification.symbolic.static_model import Static

__all__ = ["ASSUMED", "Static", "Verification", "verify"]


def verify(
    plan: Plan, rules: Mapping[str, RuleSet], cases: Sequence[Case] = (INTACT,), workers: int = 1
) -> VerificationReport:
    """Holds ``rules``, by router id, against ``plan`` in every one of ``cases``, the intact network first. If there
    is more than one of ``workers``, they share the lines: processes forked from this one, which must have no other
    threads then."""
    with _uncollected():
        return Verification(plan, Static(plan.network, rules)).run(cases, workers)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: what is made here stays, and looking through it takes most of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
