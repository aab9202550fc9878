"""The rules that a plan means, as a fabric, and the probes' seed."""

from __future__ import annotations

from helsewan.controller.rules.generation import first_generation
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric

SEED = 1947


def intended(plan: Plan) -> Fabric:
    generation = first_generation(plan)
    return Fabric.of(plan.network, {router: generation.rules(router) for router in plan.network.router})
