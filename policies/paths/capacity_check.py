"""Checks that the backbone can carry the demand of the policy."""

from __future__ import annotations

import numpy as np

from helsewan.common.units import format_rate
from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.paths.minmax import least_utilisation
from helsewan.policies.paths.placed_trees import Placement
from helsewan.policies.plan import Plan

_SHOWN = 3  # most utilised links that are named


def check_capacity(plan: Plan, placement: Placement, report: PolicyReport) -> None:
    """Without failures, the demand may use no link beyond the policy's limit ``paths.fill``, if there is one."""
    excess = np.argsort(-placement.utilisation, kind="stable")[:_SHOWN]
    too_full = [int(arc) for arc in excess if placement.utilisation[arc] > plan.traffic.fill]
    if not (plan.traffic.fill and too_full):
        return
    hint = _hint(placement, plan)
    for arc in too_full:
        start = placement.graph.arcs.routers[placement.graph.arcs.ends[arc][0]]
        load, rate = (_shown(each[arc]) for each in (placement.load_bps, placement.rate_bps))
        link = placement.graph.carrier[arc]
        reason = f"is exceeded: {link} from {start} would carry {load} of its {rate} at the busiest hour"
        report.add(("paths", "fill"), f"{plan.traffic.fill:.0%}", reason, hint)


def _shown(rate_bps: float) -> str:
    """A rate with three significant digits."""
    return format_rate(int(float(f"{rate_bps:.3g}")))


def _hint(placement: Placement, plan: Plan) -> str:
    bound = least_utilisation(placement, plan.egresses).bound
    if bound > plan.traffic.fill:
        return f"no choice of paths stays below {bound:.0%}; allow more, lower busy, or add links"
    return (
        f"if demand were split, {bound:.0%} would suffice; allow more, or give a class with much traffic path: min-max"
    )
