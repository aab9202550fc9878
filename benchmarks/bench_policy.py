"""A change of policy in one VPN of the national network with 2,500 sites: processor time until the commands to all
switches are encoded as messages."""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks import Figure
from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.numbering import renumbered
from helsewan.controller.update.commands import Prepare, updates
from helsewan.controller.update.rule_diff import difference
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network

SITES = 2_500
TARGET = "< 1"


def run() -> list[Figure]:
    """Measure the change once, for a controller that has programmed the network."""
    plan = compile_policy(load_policy(library_path("national")), national_network(SITES))
    current, encoder = first_generation(plan), Encoder()
    for router in current.core:
        for command in updates(difference(RuleSet(), current.rules(router))):
            encoder.encode(command, 1)
    wanted = with_one_contract_less(plan)
    began = time.process_time()
    steps = current.steps_to(current.with_plan(renumbered(wanted, plan)))
    computed_s = time.process_time() - began
    commands = [each for step in steps.values() for part in (step.add, step.remove) for each in updates(part)]
    bundles = [Prepare(step.turn, 2) for step in steps.values() if len(step.turn)]
    for command in (*commands, *bundles):
        encoder.encode(command, 1)
    encoded_s = time.process_time() - began - computed_s
    name = f"a policy of one VPN less a contract, {SITES:,} sites:"
    return [
        Figure(f"{name} computed and as messages, processor time", computed_s + encoded_s, "s", TARGET),
        Figure(f"{name} of it computing the difference", computed_s, "s"),
        Figure(f"{name} switches that change", len(bundles), ""),
        Figure(f"{name} entries that change", sum(len(step.turn) for step in steps.values()), ""),
    ]


def with_one_contract_less(plan: Plan) -> Plan:
    """The policy without one contract of the first VPN's sites."""
    roles = {role.id for role in plan.roles if role.vpn == plan.vpns[0].name}
    gone = next(contract for contract in plan.contracts if contract.client in roles)
    return replace(plan, policy="less", contracts=tuple(each for each in plan.contracts if each is not gone))
