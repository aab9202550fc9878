"""Three independent opinions on what rules do: constraints for Z3, written from OpenFlow's text, the interpreter, and
the verifier's sets. They agree on random small networks, intact, after failures, and with faults in the rules: with the
interpreter packet by packet, with the verifier on all packets at once.

HELSEWAN_ORACLE_NETWORKS=n looks at n networks (each takes about four seconds); HELSEWAN_ORACLE_SEED=s begins at seed s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random

import pytest
import z3
from oracle_executor import Fate, Machine
from oracle_networks import random_network, random_plan
from oracle_packets import as_packet, edges, made_up, model_of, of_model, sane
from oracle_sets import as_constraint, parts_of
from oracle_state import DEEPEST, possible

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network
from helsewan.verification.concrete.fabric import End, Fabric
from helsewan.verification.concrete.lookup import ChanceError
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
MADE_UP, FAULTS = 60, 3
AT_THE_EDGE = {"admit", "vrf", "contract", "police", "route"}

INTACT = Failures()
Rules = dict[str, RuleSet]


def drawn(seed: int) -> tuple[Network, Plan, Rules]:
    """A network, a policy and its rules."""
    rng = Random(seed)
    network = random_network(rng)
    plan = random_plan(rng, network)
    generation = first_generation(plan)
    return network, plan, {router.id: generation.rules(router.id) for router in network.routers}


def lines(network: Network, failed: Failures = INTACT) -> Iterator[tuple[str, int]]:
    """The access lines that are there."""
    for site in network.sites:
        for number, access in enumerate(site.accesses):
            if access.router not in failed.routers and (site.id, number) not in failed.access_links:
                yield site.id, number


def fate_of(machine: Machine, site: str, line: int) -> Fate:
    """What Z3 says of a line's packets."""
    return machine.fate(site, line, sane)


def samples(fate: Fate, machine: Machine, rng: Random) -> Iterator[dict[str, int]]:
    """A packet for every end that Z3 knows, and packets beside each of them."""
    known = edges(machine.rules)
    for condition in (*fate.delivered.values(), fate.lost, fate.travelling, fate.chance, fate.elsewhere):
        solver = z3.SolverFor("QF_BV")
        solver.add(condition, fate.given)
        if solver.check() == z3.sat:
            found = of_model(solver.model(), fate.packet)
            yield found
            yield from made_up(known, found, rng, MADE_UP // max(1, len(fate.delivered)))


def check_line(machine: Machine, fabric: Fabric, site: str, line: int, seed: int) -> set[str]:
    """Both opinions on packets from one line; the ends that were seen."""
    fate, rng, ends = fate_of(machine, site, line), Random(f"{seed} {site} {line}"), set()
    for values in samples(fate, machine, rng):
        model = model_of(values, fate.packet)

        def says(condition: z3.BoolRef, model: z3.ModelRef = model) -> bool:
            return z3.is_true(model.eval(condition, model_completion=True))

        if not says(fate.given):
            continue
        shown = f"seed {seed}, {fabric.failures}, {site} line {line}: {values}"
        try:
            walk = fabric.trace_from(site, as_packet(values), line)
        except ChanceError:
            assert says(fate.chance), shown
            ends.add("chance")
            continue
        except NotModelledError:
            continue
        assert not says(fate.chance), shown
        there = {name for name, condition in fate.delivered.items() if says(condition)}
        assert there == ({walk.site} if walk.end is End.DELIVERED else set()), (shown, str(walk))
        if walk.end is not End.LOOPED:
            assert says(fate.lost) is (walk.end is End.LOST), (shown, str(walk))
        if walk.end is End.DELIVERED and walk.packet and "ip_dscp" in walk.packet.fields:
            assert model.eval(fate.marked[walk.site or ""]).as_long() == walk.packet.fields["ip_dscp"], shown
        ends.add(walk.end.name)
    return ends


@pytest.mark.parametrize("seed", SEEDS)
def test_z3_and_the_interpreter_agree_on_random_networks(seed: int) -> None:
    network, _, rules = drawn(seed)
    machine, fabric = Machine(network, rules), Fabric.of(network, rules)
    ends = set().union(*(check_line(machine, fabric, *line, seed) for line in lines(network)))
    assert {"DELIVERED", "DROPPED"} <= ends, seed


@pytest.mark.parametrize("seed", SEEDS)
def test_they_agree_after_failures(seed: int) -> None:
    network, _, rules = drawn(seed)
    rng = Random(seed)
    dual = [
        Failures(access_links=frozenset({(site.id, n)}))
        for site in network.sites
        if len(site.accesses) > 1
        for n in (0, 1)
    ]
    cases = [failed for _, failed in single_failures(network)] + dual
    for failed in rng.sample(cases, 3):
        machine = Machine(network, rules, failed)
        fabric = Fabric(network, Fabric.of(network, rules).switches, failed)
        for line in rng.sample(list(lines(network, failed)), 2):
            check_line(machine, fabric, *line, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_they_agree_on_faulty_rules(seed: int) -> None:
    network, _, rules = drawn(seed)
    rng = Random(seed)
    for mutant in mutants(network, rules, FAULTS, seed):
        faulty = mutant.among(rules)
        machine, fabric = Machine(network, faulty), Fabric.of(network, faulty)
        near = [line for line in lines(network) if mutant.router in network.site[line[0]].homing]
        for line in rng.sample(near, min(2, len(near))):
            check_line(machine, fabric, *line, seed)


def differing(right: Fate, faulty: Fate, site: str) -> z3.BoolRef:
    """Where other sites get other packets, or with other marks; only where no entries dispute, and of packets that are
    not too old for any way."""
    never = z3.BoolVal(False)
    found = []
    for name in (right.delivered.keys() | faulty.delivered.keys()) - {site}:
        one, other = right.delivered.get(name, never), faulty.delivered.get(name, never)
        found.append(z3.Xor(one, other))
        if name in right.marked and name in faulty.marked:
            found.append(z3.And(one, other, right.marked[name] != faulty.marked[name]))
    return z3.And(right.given, right.packet["nw_ttl"] == 64, z3.Not(faulty.chance), z3.Or(*found))


def changed_for(network: Network, rules: Rules, mutant: Mutant) -> tuple[str, int] | None:
    """A line whose packets a fault treats otherwise, by Z3 alone."""
    right, faulty = Machine(network, rules), Machine(network, mutant.among(rules))
    for line in lines(network):
        if mutant.table in AT_THE_EDGE and network.site[line[0]].accesses[line[1]].router != mutant.router:
            continue
        if possible(differing(fate_of(right, *line), fate_of(faulty, *line), line[0])):
            return line
    return None


@pytest.mark.parametrize("seed", SEEDS)
def test_z3_and_the_jury_of_packets_agree_on_what_faults_change(seed: int) -> None:
    network, plan, rules = drawn(seed)
    jury = FaultOracle(Corpus(plan, rules, seed, most=2_000))
    for mutant in mutants(network, rules, FAULTS, seed + 1000):
        witness = jury.judge(mutant)
        intact = witness.failures == INTACT and witness.effect in (Effect.REACHES, Effect.MARK)
        if witness.effect is not Effect.CHANCE and (intact or witness.effect in HARMLESS):
            line = changed_for(network, rules, mutant)
            assert (line is not None) is intact, (seed, line, witness, str(mutant))


# The verifier.


def check_sets(static: Static, machine: Machine, line: tuple[str, int]) -> None:
    """The verifier's relation is Z3's for every packet: to each site both deliver the same, with the same marks."""
    fate, out, mark = fate_of(machine, *line), z3.BitVec("out", 16), z3.BitVec("mark", 6)
    relation = static.became(line, static.during(machine.failures))
    ends = as_constraint(static.space.bdd, relation, parts_of(fate.packet, out, mark))
    packet = fate.packet
    # What the verifier takes for granted: hops enough, lengths that fit into its bits, on the trunk the line's tag.
    given = [fate.given, z3.Not(fate.chance), packet["nw_ttl"] == 64, z3.ULT(packet["frame_bytes"], 1 << 16)]
    given += [packet[f"age{place}"] == 64 for place in range(DEEPEST)]
    given += [] if static.own_port(line) else [packet["vlan_vid"] == 0]
    for number, site in enumerate(static.network.sites):
        if site.id == line[0]:
            continue  # what comes back to its own line is the gateway's answer to the verifier
        there = fate.delivered.get(site.id, z3.BoolVal(False))
        by_sets = z3.substitute(ends, (out, z3.BitVecVal(number, 16)))
        marked = z3.substitute(by_sets, (mark, fate.marked[site.id])) if site.id in fate.marked else by_sets
        for one, other in ((there, marked), (by_sets, there)):
            solver = z3.SolverFor("QF_BV")
            solver.add(*given, one, z3.Not(other))
            found = solver.check()
            assert found == z3.unsat, (line, site.id, machine.failures, as_packet(of_model(solver.model(), packet)))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_verifiers_sets_are_z3s(seed: int) -> None:
    network, _, rules = drawn(seed)
    static, machine = Static(network, rules), Machine(network, rules)
    for line in lines(network):
        check_sets(static, machine, line)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_verifiers_sets_are_z3s_after_failures(seed: int) -> None:
    network, _, rules = drawn(seed)
    rng, static = Random(seed), Static(network, rules)
    for case in rng.sample(cases(network, "single")[1:], 4):
        for line in rng.sample(list(lines(network, case.failures)), 2):
            check_sets(static, Machine(network, rules, case.failures), line)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_fault_that_changes_what_passes_by_z3_is_caught(seed: int) -> None:
    network, plan, rules = drawn(seed)
    assert not verify(plan, rules).violations
    for mutant in mutants(network, rules, FAULTS, seed + 2000):
        line, report = changed_for(network, rules, mutant), verify(plan, mutant.among(rules))
        assert line is None or report.violations, (seed, line, str(mutant))
