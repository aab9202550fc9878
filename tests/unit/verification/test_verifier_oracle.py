"""Three independent models of what rules do: Z3 constraints written from the OpenFlow specification, the interpreter,
and the verifier's sets. They agree on random small networks, intact, after failures, and with faults in the rules: Z3
with the interpreter packet by packet, and with the verifier on all packets at once.

HELSEWAN_ORACLE_NETWORKS=n tests n networks (about four seconds each); HELSEWAN_ORACLE_SEED=s starts at seed s."""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest
import z3
from oracle_executor import SymbolicNetwork, SymbolicOutcome
from oracle_networks import random_network, random_plan
from oracle_packets import as_packet, boundaries, model_of, of_model, random_packets, well_formed
from oracle_sets import as_constraint, parts_of
from oracle_state import DEEPEST, possible

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network
from helsewan.verification.concrete.fabric import End, Fabric
from helsewan.verification.concrete.lookup import AmbiguousMatchError
from helsewan.verification.concrete.switch import NotModelledError
from helsewan.verification.failures import cases, single_failures
from helsewan.verification.mutation.corpus import Corpus
from helsewan.verification.mutation.effect import HARMLESS, Effect
from helsewan.verification.mutation.mutant import Mutant
from helsewan.verification.mutation.sampling import mutants
from helsewan.verification.mutation.witness import FaultOracle
from helsewan.verification.static import Static, verify

pytestmark = pytest.mark.exhaustive

NETWORKS = int(os.environ.get("HELSEWAN_ORACLE_NETWORKS", "2"))
FIRST = int(os.environ.get("HELSEWAN_ORACLE_SEED", "1"))
SEEDS = range(FIRST, FIRST + NETWORKS)
RANDOM_PACKETS, FAULTS = 60, 3
INGRESS_TABLES = {"admit", "vrf", "contract", "police", "route"}

INTACT = Failures()
Rules = dict[str, RuleSet]


def random_case(seed: int) -> tuple[Network, Plan, Rules]:
    """A random network, a policy for it, and its rules."""
    rng = Random(seed)
    network = random_network(rng)
    plan = random_plan(rng, network)
    generation = first_generation(plan)
    return network, plan, {router.id: generation.rules(router.id) for router in network.routers}


def lines(network: Network, failed: Failures = INTACT) -> Iterator[tuple[str, int]]:
    """The access links that have not failed."""
    for site in network.sites:
        for number, access in enumerate(site.accesses):
            if access.router not in failed.routers and (site.id, number) not in failed.access_links:
                yield site.id, number


def outcome_of(machine: SymbolicNetwork, site: str, line: int) -> SymbolicOutcome:
    """The outcome of an access link's packets according to Z3."""
    return machine.outcome(site, line, well_formed)


def samples(outcome: SymbolicOutcome, machine: SymbolicNetwork, rng: Random) -> Iterator[dict[str, int]]:
    """A packet for every kind of outcome in Z3's model, and random packets near each of them."""
    known = boundaries(machine.rules)
    for condition in (*outcome.delivered.values(), outcome.lost, outcome.travelling, outcome.chance, outcome.elsewhere):
        solver = z3.SolverFor("QF_BV")
        solver.add(condition, outcome.given)
        if solver.check() == z3.sat:
            found = of_model(solver.model(), outcome.packet)
            yield found
            yield from random_packets(known, found, rng, RANDOM_PACKETS // max(1, len(outcome.delivered)))


def check_line(machine: SymbolicNetwork, fabric: Fabric, site: str, line: int, seed: int) -> set[str]:
    """Compares both models on packets from one access link; returns the kinds of ends that occurred."""
    outcome, rng, ends = outcome_of(machine, site, line), Random(f"{seed} {site} {line}"), set()
    for values in samples(outcome, machine, rng):
        model = model_of(values, outcome.packet)

        def holds(condition: z3.BoolRef, model: z3.ModelRef = model) -> bool:
            return z3.is_true(model.eval(condition, model_completion=True))

        if not holds(outcome.given):
            continue
        shown = f"seed {seed}, {fabric.failures}, {site} line {line}: {values}"
        try:
            trace = fabric.trace_from(site, as_packet(values), line)
        except AmbiguousMatchError:
            assert holds(outcome.chance), shown
            ends.add("chance")
            continue
        except NotModelledError:
            continue
        assert not holds(outcome.chance), shown
        there = {name for name, condition in outcome.delivered.items() if holds(condition)}
        assert there == ({trace.site} if trace.end is End.DELIVERED else set()), (shown, str(trace))
        if trace.end is not End.LOOPED:
            assert holds(outcome.lost) is (trace.end is End.LOST), (shown, str(trace))
        if trace.end is End.DELIVERED and trace.packet and "ip_dscp" in trace.packet.fields:
            assert model.eval(outcome.marked[trace.site or ""]).as_long() == trace.packet.fields["ip_dscp"], shown
        ends.add(trace.end.name)
    return ends


@pytest.mark.parametrize("seed", SEEDS)
def test_z3_and_the_interpreter_agree_on_random_networks(seed: int) -> None:
    network, _, rules = random_case(seed)
    machine, fabric = SymbolicNetwork(network, rules), Fabric.of(network, rules)
    ends = set().union(*(check_line(machine, fabric, *line, seed) for line in lines(network)))
    assert {"DELIVERED", "DROPPED"} <= ends, seed


@pytest.mark.parametrize("seed", SEEDS)
def test_they_agree_after_failures(seed: int) -> None:
    network, _, rules = random_case(seed)
    rng = Random(seed)
    dual = [
        Failures(access_links=frozenset({(site.id, n)}))
        for site in network.sites
        if len(site.accesses) > 1
        for n in (0, 1)
    ]
    cases = [failed for _, failed in single_failures(network)] + dual
    for failed in rng.sample(cases, 3):
        machine = SymbolicNetwork(network, rules, failed)
        fabric = Fabric(network, Fabric.of(network, rules).switches, failed)
        for line in rng.sample(list(lines(network, failed)), 2):
            check_line(machine, fabric, *line, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_they_agree_on_faulty_rules(seed: int) -> None:
    network, _, rules = random_case(seed)
    rng = Random(seed)
    for mutant in mutants(network, rules, FAULTS, seed):
        faulty = mutant.apply_to_all(rules)
        machine, fabric = SymbolicNetwork(network, faulty), Fabric.of(network, faulty)
        near = [line for line in lines(network) if mutant.router in network.site[line[0]].homing]
        for line in rng.sample(near, min(2, len(near))):
            check_line(machine, fabric, *line, seed)


def differing(right: SymbolicOutcome, faulty: SymbolicOutcome, site: str) -> z3.BoolRef:
    """The condition that another site gets other packets, or with other marks; only where no entries conflict, and for
    packets whose TTL suffices on any path."""
    never = z3.BoolVal(False)
    found = []
    for name in (right.delivered.keys() | faulty.delivered.keys()) - {site}:
        one, other = right.delivered.get(name, never), faulty.delivered.get(name, never)
        found.append(z3.Xor(one, other))
        if name in right.marked and name in faulty.marked:
            found.append(z3.And(one, other, right.marked[name] != faulty.marked[name]))
    return z3.And(right.given, right.packet["nw_ttl"] == 64, z3.Not(faulty.chance), z3.Or(*found))


def changed_for(network: Network, rules: Rules, mutant: Mutant) -> tuple[str, int] | None:
    """An access link whose packets a fault treats differently according to Z3; None if there is none."""
    right, faulty = SymbolicNetwork(network, rules), SymbolicNetwork(network, mutant.apply_to_all(rules))
    for line in lines(network):
        if mutant.table in INGRESS_TABLES and network.site[line[0]].accesses[line[1]].router != mutant.router:
            continue
        if possible(differing(outcome_of(right, *line), outcome_of(faulty, *line), line[0])):
            return line
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_z3_and_the_fault_oracle_agree_on_what_faults_change(seed: int) -> None:
    network, plan, rules = random_case(seed)
    oracle = FaultOracle(Corpus(plan, rules, seed, most=2_000))
    for mutant in mutants(network, rules, FAULTS, seed + 1000):
        witness = oracle.evaluate(mutant)
        intact = witness.failures == INTACT and witness.effect in (Effect.REACHES, Effect.MARK)
        if witness.effect is not Effect.UNDEFINED and (intact or witness.effect in HARMLESS):
            line = changed_for(network, rules, mutant)
            assert (line is not None) is intact, (seed, line, witness, str(mutant))


# The static verifier.


def check_sets(static: Static, machine: SymbolicNetwork, line: tuple[str, int]) -> None:
    """The verifier's relation equals Z3's for every packet: the same packets are delivered to each site, with the same
    marks."""
    outcome, out, mark = outcome_of(machine, *line), z3.BitVec("out", 16), z3.BitVec("mark", 6)
    relation = static.outcomes(line, static.with_failures(machine.failures))
    ends = as_constraint(static.space.bdd, relation, parts_of(outcome.packet, out, mark))
    packet = outcome.packet
    # The verifier's assumptions: a sufficient TTL, lengths that fit into its variables, on the trunk the link's VLAN.
    given = [outcome.given, z3.Not(outcome.chance), packet["nw_ttl"] == 64, z3.ULT(packet["frame_bytes"], 1 << 16)]
    given += [packet[f"age{place}"] == 64 for place in range(DEEPEST)]
    given += [] if static.own_port(line) else [packet["vlan_vid"] == 0]
    for number, site in enumerate(static.network.sites):
        if site.id == line[0]:
            continue  # for the verifier, what returns to the sending link is the gateway's reply
        there = outcome.delivered.get(site.id, z3.BoolVal(False))
        by_sets = z3.substitute(ends, (out, z3.BitVecVal(number, 16)))
        marked = z3.substitute(by_sets, (mark, outcome.marked[site.id])) if site.id in outcome.marked else by_sets
        for one, other in ((there, marked), (by_sets, there)):
            solver = z3.SolverFor("QF_BV")
            solver.add(*given, one, z3.Not(other))
            found = solver.check()
            assert found == z3.unsat, (line, site.id, machine.failures, as_packet(of_model(solver.model(), packet)))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_verifiers_sets_are_z3s(seed: int) -> None:
    network, _, rules = random_case(seed)
    static, machine = Static(network, rules), SymbolicNetwork(network, rules)
    for line in lines(network):
        check_sets(static, machine, line)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_verifiers_sets_are_z3s_after_failures(seed: int) -> None:
    network, _, rules = random_case(seed)
    rng, static = Random(seed), Static(network, rules)
    for case in rng.sample(cases(network, "single")[1:], 4):
        for line in rng.sample(list(lines(network, case.failures)), 2):
            check_sets(static, SymbolicNetwork(network, rules, case.failures), line)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_that_changes_what_passes_by_z3_is_caught(seed: int) -> None:
    network, plan, rules = random_case(seed)
    assert not verify(plan, rules).violations
    for mutant in mutants(network, rules, FAULTS, seed + 2000):
        line, report = changed_for(network, rules, mutant), verify(plan, mutant.apply_to_all(rules))
        assert line is None or report.violations, (seed, line, str(mutant))
