"""Faults in rules: they are sampled evenly, their effect is determined by packets alone, and harmless ones are
explained."""

from __future__ import annotations

from collections import Counter

import pytest
from mutation_case import SEED, changed, entry, oracle, plan, rules

from helsewan.controller.openflow.entries import FlowRule, RuleSet, SetField, Table
from helsewan.controller.openflow.pipeline import Purpose, purpose_of
from helsewan.verification.mutation.effect import Effect
from helsewan.verification.mutation.explain import SurvivorAnalysis
from helsewan.verification.mutation.mutant import Held, Mutant, Mutation
from helsewan.verification.mutation.sampling import mutants


def test_faults_are_the_same_for_a_seed_and_spread_over_kinds_tables_and_routers() -> None:
    sampled = mutants(plan().network, rules(), 200, SEED)
    assert sampled == mutants(plan().network, rules(), 200, SEED)
    assert sampled != mutants(plan().network, rules(), 200, SEED + 1)
    assert len({(each.router, each.before, each.after) for each in sampled}) == 200
    assert {each.kind for each in sampled} == set(Mutation)
    # No link of the network has a small MTU.
    tables = {table.name.lower() for table in Table} - {"fit"} | {"group", "meter", "port"}
    assert {each.table for each in sampled} == tables
    assert {each.router for each in sampled} == set(rules())
    cells = Counter((each.kind, each.table) for each in sampled)
    assert max(cells.values()) <= 4


def test_a_fault_changes_what_it_says_and_no_more() -> None:
    for each in mutants(plan().network, rules(), 60, SEED):
        right, faulty = held(rules()[each.router]), held(each.apply(rules()[each.router]))
        assert right - faulty == set(each.before) - set(each.after), each
        assert faulty - right == set(each.after) - right, each


def held(rules: RuleSet) -> set[Held]:
    """Entries and ports."""
    return {*rules, *rules.ports}


def with_fields(rule: FlowRule, **changes: object) -> FlowRule:
    """An entry with some fields replaced."""
    known = {name: getattr(rule, name) for name in rule.__slots__}
    return FlowRule(**{**known, **changes})


def above(rule: FlowRule) -> FlowRule:
    """The same entry with a higher priority."""
    return with_fields(rule, priority=rule.priority + 1)


def test_packets_alone_show_what_a_fault_does() -> None:
    contract = entry(Table.CONTRACT, udp_dst=(16384, 0xFF00))
    marked = with_fields(contract, actions=(SetField("ip_dscp", 0),))
    anything = with_fields(entry(Table.CONTRACT, ip_proto=6), match=(("eth_type", 0x0800),), priority=999)
    no_meter = with_fields(next(rule for rule in rules()["r1"].flows if rule.meter is not None), meter=None)
    ping = entry(Table.ADMIT, ip_proto=1)
    for mutant, effect in (
        (changed(contract), {Effect.REACHES}),
        (changed(contract, marked), {Effect.MARK}),
        (changed(contract, contract, anything), {Effect.REACHES, Effect.MARK}),
        (changed(entry_with_meter(), no_meter), {Effect.POLICED}),
        (changed(ping), {Effect.ANSWERS}),
    ):
        assert oracle().evaluate(mutant).effect in effect, mutant


def entry_with_meter() -> FlowRule:
    """An entry that polices a class of an access link."""
    return next(rule for rule in rules()["r1"].flows if rule.meter is not None)


def test_what_is_used_after_a_failure_only_is_seen_too() -> None:
    detours = [
        rule
        for rule in rules()["r1"].flows
        if rule.table is Table.CORE and purpose_of(rule.cookie)[0] is Purpose.LABEL and "Output" in str(rule.actions)
    ]
    found = [oracle().evaluate(changed(rule)) for rule in detours]
    assert any(each.effect is Effect.REACHES and each.failures.links | each.failures.routers for each in found)


@pytest.mark.parametrize(
    ("mutant", "reason"),
    [
        (Mutant(Mutation.ADDED, "contract", "r1", "", (), (above(entry(Table.CONTRACT)),)), "the same is done by"),
        (Mutant(Mutation.ADDED, "foreign", "r1", "", (), (FlowRule(Table(42), 1, ()),)), "no entry leads to table"),
    ],
    ids=["same", "foreign"],
)
def test_what_does_no_harm_is_explained(mutant: Mutant, reason: str) -> None:
    witness = oracle().evaluate(mutant)
    assert witness.effect is Effect.NONE
    assert reason in SurvivorAnalysis(oracle().corpus).why(mutant, witness)
