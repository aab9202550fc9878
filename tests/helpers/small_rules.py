"""The small plan and the rules that follow from it, made once."""

from __future__ import annotations

from functools import cache

from controller_plan import small_plan

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.plan import Plan

Rules = dict[str, RuleSet]


@cache
def plan() -> Plan:
    return small_plan()


@cache
def _intended() -> tuple[tuple[str, RuleSet], ...]:
    generation = first_generation(plan())
    return tuple((router.id, generation.rules(router.id)) for router in plan().network.routers)


def rules() -> Rules:
    """A copy, to change."""
    return dict(_intended())
