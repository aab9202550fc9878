"""Sampling of faults: evenly over kinds, tables and routers, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from random import Random

from helsewan.controller.openflow.entries import Port, RuleSet, SetField, Table
from helsewan.controller.openflow.pipeline import PipelineError, check
from helsewan.topology.model import Network
from helsewan.verification.mutation.faults import ANY_ACTIONS, FAULTS, FOREIGN_TABLE
from helsewan.verification.mutation.mutant import Held, Mutant, Mutation, MutationTarget, key_of, table_of

_TRIES = 12  # random routers and entries per kind and table before the kind is given up there
TABLES = (*(table.name.lower() for table in Table), "group", "meter", "port")


Cell = tuple[Mutation, str]  # a kind of fault, and a table
ALL_CELLS: tuple[Cell, ...] = tuple(product(Mutation, TABLES))


def mutants(
    network: Network, rules: Mapping[str, RuleSet], number: int, seed: int, among: Iterable[Cell] = ALL_CELLS
) -> tuple[Mutant, ...]:
    """``number`` different faults that a switch would accept, fewer if there are no more: round robin over kinds and
    tables, those of ``among``, each at a random router."""
    rng = Random(seed)
    labels = _labels(rules)
    targets = {
        router: MutationTarget(router, each, tuple(network.ports[router].values()), labels)
        for router, each in rules.items()
    }
    cells = list(among)
    found: dict[tuple[object, ...], Mutant] = {}
    while cells and len(found) < number:
        rng.shuffle(cells)
        remaining = []
        for cell in cells:
            mutant = next(_mutants_of(*cell, targets, rng), None)
            if mutant is None:
                continue
            remaining.append(cell)
            found.setdefault((mutant.router, mutant.before, mutant.after), mutant)
            if len(found) == number:
                break
        cells = remaining
    return tuple(found.values())


def _labels(rules: Mapping[str, RuleSet]) -> tuple[int, ...]:
    """All labels that any router pushes."""
    flows = {action for each in rules.values() for rule in each.flows for action in rule.actions}
    buckets = {action for each in rules.values() for group in each.groups
               for bucket in group.buckets for action in bucket.actions}  # fmt: skip
    labels = {each.value for each in flows | buckets if isinstance(each, SetField) and each.field == "mpls_label"}
    return tuple(sorted(label for label in labels if isinstance(label, int)))


def _mutants_of(kind: Mutation, table: str, targets: Mapping[str, MutationTarget], rng: Random) -> Iterator[Mutant]:
    """Random mutants of one kind in one table."""
    candidates = [target for target in targets.values() if target.tables.get(table)]
    for _ in range(_TRIES if candidates else 0):
        target = rng.choice(candidates)
        fault = FAULTS[kind](target, rng.choice(target.tables[table]), rng)
        if fault is None or not (kind in ANY_ACTIONS or all(map(_is_accepted, fault.after))):
            continue
        keys = set(map(key_of, fault.after))
        known = (*target.rules, *target.rules.ports)
        replaced = tuple(entry for entry in known if entry not in fault.before and key_of(entry) in keys)
        mutant = Mutant(kind, table, target.router, fault.what, (*fault.before, *replaced), fault.after)
        if len(keys) == len(fault.after) and set(mutant.before) != set(mutant.after):
            yield mutant


def _is_accepted(entry: Held) -> bool:
    """Whether a switch accepts an entry."""
    if isinstance(entry, Port) or table_of(entry) == FOREIGN_TABLE.name.lower():
        return True
    try:
        check(entry)
    except PipelineError:
        return False
    return True
