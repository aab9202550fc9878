"""Every compile pass against its golden file, on one small policy and network."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import policy_golden
import pytest
from policy_network import small_network

from helsewan.policies.compile import compile_policy
from helsewan.policies.language.dscp import dscp_name
from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.passes.membership import compile_clauses
from helsewan.policies.passes.selection import Population
from helsewan.policies.plan import Plan, PortMatch


@pytest.fixture(scope="module")
def plan() -> Plan:
    return compile_policy(policy_golden.small_policy(), small_network())


def classes(plan: Plan) -> Iterable[str]:
    for cls in plan.classes:
        yield (
            f"{cls.queue} {cls.name}: {' '.join(map(dscp_name, cls.dscps))} tc={cls.mpls_tc} {cls.scheduling.value}"
            f" weight={cls.weight} police={cls.police_share} buffer={cls.buffer_us} us"
            f" delay={cls.delay_target_us} us jitter={cls.jitter_target_us} us loss={cls.loss_target}"
        )


def services(plan: Plan) -> Iterable[str]:
    for service in plan.services:
        yield f"{service.name}: {service.protocol.name} {_ports(service.ports)} in {service.class_name}"


def _ports(ports: Iterable[PortMatch]) -> str:
    return ",".join(f"{port.value}/{port.mask:#06x}" for port in ports) or "-"


def vpns(plan: Plan) -> Iterable[str]:
    for vpn in plan.vpns:
        labels, targets = f"labels {vpn.label} {vpn.label6}", (sorted(vpn.imports), sorted(vpn.exports))
        yield f"{vpn.id} {vpn.name}: {labels}, imports {targets[0]}, exports {targets[1]}"
        yield f"  sees {', '.join(other.name for other in plan.imports_from(vpn))}; sites {' '.join(vpn.sites)}"


def clauses(plan: Plan) -> Iterable[str]:
    policy = policy_golden.small_policy()
    for clause in compile_clauses(policy.spec, Population(plan.network), PolicyReport(policy.document)):
        clients, servers = (" ".join(sorted(side)) for side in (clause.clients, clause.servers))
        yield f"{clause.name}: {clients} -> {servers}: {' '.join(clause.services)}"


def roles(plan: Plan) -> Iterable[str]:
    for role in plan.roles:
        yield f"{role.id} {role.name} in {role.vpn}: {' '.join(role.sites)} at {' '.join(map(str, role.prefixes))}"


def contracts(plan: Plan) -> Iterable[str]:
    names = {role.id: role.name for role in plan.roles}
    for contract in plan.contracts:
        sides = f"{names[contract.client]} -> {names[contract.server]}"
        yield f"{sides}: {contract.service} by {contract.name} at {contract.source}"


def egresses(plan: Plan) -> Iterable[str]:
    for egress in plan.egresses:
        yield f"{egress.index}: {' '.join(egress.routers)}"


def routes(plan: Plan) -> Iterable[str]:
    for route in plan.routes:
        yield f"{route.vpn} {route.prefix} over {' '.join(plan.egresses[route.egress].routers)}"


def attachments(plan: Plan) -> Iterable[str]:
    for line in plan.attachments:
        police = " ".join(f"{name}={rate}" for name, rate in line.police)
        backup = " backup" if line.backup else ""
        yield f"{line.site} {line.router} vlan {line.vlan}{backup}: {line.vpn} role {line.role} police {police}"


PASSES = (classes, services, vpns, clauses, roles, contracts, egresses, routes, attachments)


@pytest.mark.parametrize("show", PASSES, ids=lambda show: show.__name__)
def test_pass_gives_golden_value(show: Callable[[Plan], Iterable[str]], plan: Plan) -> None:
    policy_golden.check(f"small.{show.__name__}.txt", "".join(f"{line}\n" for line in show(plan)))
