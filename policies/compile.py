"""The policy compiler: turns a policy and a network into a plan, in named passes.

Each pass takes frozen values, returns one and adds problems to the report. All problems of the policy are raised
together; address overlaps are checked after that, when the VPNs are known to be valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from helsewan.common.document import loads
from helsewan.common.suggestions import hints_limited
from helsewan.policies.language.policy_report import PolicyReport
from helsewan.policies.language.schema import PolicySpec
from helsewan.policies.language.source import Policy, library_names, library_path, load_policy, policy_path, read_policy
from helsewan.policies.passes.catalogue import compile_classes, compile_services
from helsewan.policies.passes.constraints import check_constraints, compile_constraints
from helsewan.policies.passes.contracts import check_imports, compile_contracts, compile_roles
from helsewan.policies.passes.coverage import check_coverage
from helsewan.policies.passes.exceptions import compile_exceptions, in_force
from helsewan.policies.passes.internet import check_internet
from helsewan.policies.passes.membership import compile_clauses, compile_vpns
from helsewan.policies.passes.prefixes import Aggregates
from helsewan.policies.passes.routing import check_overlaps, compile_egresses, compile_routes
from helsewan.policies.passes.selection import Population
from helsewan.policies.passes.selectors import check_selectors
from helsewan.policies.passes.vpn_topologies import compile_quarantine_groups, compile_vrfs
from helsewan.policies.paths.capacity_check import check_capacity
from helsewan.policies.paths.demand import compile_traffic
from helsewan.policies.paths.placement import place
from helsewan.policies.plan import Attachment, Plan, Role
from helsewan.topology.construction.backbone import check_emulated_size
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.model import Network

__all__ = [
    "Policy",
    "compile_anew",
    "compile_policy",
    "library_names",
    "library_path",
    "load_policy",
    "policy_path",
    "read_policy",
]


@hints_limited()
def compile_policy(policy: Policy, network: Network, *, now: datetime | None = None) -> Plan:
    """The plan of ``policy`` on ``network`` at time ``now``; without a time, no exception is in force.
    Raises ``InputError`` with every problem and its line, schema errors included."""
    check_emulated_size(f"network {network.name}", len(network.routers), len(network.links))
    spec, report = policy.spec, PolicyReport.of(policy)
    population, aggregates = Population(network), Aggregates(network)

    classes = compile_constraints(spec, compile_classes(spec, report), network, report)
    services = compile_services(spec, report)
    check_selectors(spec, population, report)
    quarantines = compile_quarantine_groups(spec, population, report)
    vrfs = compile_vrfs(spec, population, quarantines, report)
    vpns = compile_vpns(spec, vrfs, population, report)
    clauses = compile_clauses(spec, population, report, quarantines)
    check_imports(clauses, vpns, vrfs, report)
    check_internet(spec, clauses, population, report)
    check_coverage(spec, clauses, quarantines, population, report)
    exceptions = compile_exceptions(spec, now, report)
    report.raise_if_any()

    egresses = compile_egresses(network, vpns, classes, report)
    routes = compile_routes(vpns, egresses, aggregates)
    check_overlaps(vpns, routes, report)
    report.raise_if_any()

    clauses = in_force(clauses, exceptions)
    roles = compile_roles(vpns, clauses, aggregates)
    contracts = compile_contracts(clauses, roles, report)
    attachments = compile_attachments(spec, roles, network)
    parts = classes, services, vpns, roles, contracts, attachments, egresses, routes
    plan = Plan(
        spec.name,
        network,
        *parts,
        detect_within_us=spec.repair.detect_within,
        source=policy.document.text,
        file=policy.document.name,
        exceptions=exceptions,
        contracts_at=report.source(("contracts",)),
        remarks=report.remarked,
    )
    plan = _with_paths(spec, plan, report)
    report.raise_if_any()
    return plan


def compile_anew(plan: Plan, now: datetime) -> Plan:
    """The policy of ``plan``, compiled again for its network at time ``now``."""
    return compile_policy(read_policy(loads(plan.source.encode(), plan.file)), plan.network, now=now)


def _with_paths(spec: PolicySpec, plan: Plan, report: PolicyReport) -> Plan:
    """The plan with its traffic demand; checks path constraints and capacity on the network without failures."""
    if spec.paths is not None:
        plan = replace(plan, traffic=compile_traffic(spec, spec.paths, plan))
    if plan.traffic.fill or any(cls.path.is_constrained for cls in plan.classes):
        placement = place(BackboneGraph(plan.network), plan.egresses, plan.traffic)
        check_constraints(plan, placement, report)
        check_capacity(plan, placement, report)
    return plan


def compile_attachments(spec: PolicySpec, roles: Sequence[Role], network: Network) -> tuple[Attachment, ...]:
    """Every access link with its VPN, role and policers, in order of sites, primary links first."""
    role_of = {site: role for role in roles for site in role.sites}
    rates = {access.rate_bps for site in network.sites for access in site.accesses}
    policers = {rate: _policers(spec, rate) for rate in rates}
    return tuple(
        Attachment(
            site=site.id,
            router=access.router,
            vlan=access.vlan,
            backup=i > 0,
            vpn=role_of[site.id].vpn,
            role=role_of[site.id].id,
            police=policers[access.rate_bps],
        )
        for site in network.sites
        for i, access in enumerate(site.accesses)
    )


def _policers(spec: PolicySpec, rate_bps: int) -> tuple[tuple[str, int], ...]:
    """(class name, policer rate in bit/s) on an access link of ``rate_bps``; a share of 0 means no policer."""
    shares = ((name, cls.share_at(rate_bps)) for name, cls in spec.classes.items())
    return tuple((name, round(rate_bps * share)) for name, share in shares if share > 0)
