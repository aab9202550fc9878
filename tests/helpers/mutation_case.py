"""The national policy on three routers, and faults in its rules."""

from __future__ import annotations

from functools import cache

from policy_network import small_network

from helsewan.controller.openflow.entries import FlowRule, RuleSet, Table
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.verification.mutation.corpus import Corpus
from helsewan.verification.mutation.mutant import Mutant, Mutation
from helsewan.verification.mutation.state_faults import with_ports
from helsewan.verification.mutation.witness import FaultOracle

SEED = 5


@cache
def plan() -> Plan:
    """The national policy on a network of three routers."""
    return compile_policy(load_policy(library_path("national")), small_network())


@cache
def rules() -> dict[str, RuleSet]:
    """Its rules, and the ports of its switches."""
    generation = first_generation(plan())
    intended = {router.id: generation.rules(router.id) for router in plan().network.routers}
    return with_ports(plan().network, intended)


@cache
def oracle() -> FaultOracle:
    """The fault oracle, which is independent of the verifier."""
    return FaultOracle(Corpus(plan(), rules(), SEED, most=3_000))


def entry(table: Table, router: str = "r1", **wanted: object) -> FlowRule:
    """The first entry of a table with these match fields."""
    return next(
        rule for rule in rules()[router].flows if rule.table is table and wanted.items() <= dict(rule.match).items()
    )


def changed(old: FlowRule, *new: FlowRule) -> Mutant:
    """A fault at r1: an entry is replaced by others."""
    return Mutant(Mutation.WIDENED, old.table.name.lower(), "r1", "", (old,), new)
