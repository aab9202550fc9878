"""Sampling of faults: evenly over kinds, tables and routers, the same ones for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random

from helsewan.controller.openflow.entries import Entry, RuleSet, SetField, Table
from helsewan.controller.openflow.pipeline import PipelineError, check
from helsewan.topology.model import Network
from helsewan.verification.mutation.faults import FAULTS, FOREIGN_TABLE, Place
from helsewan.verification.mutation.mutant import Mutant, Mutation, key_of, table_of

_TRIES = 12  # at routers and entries before a kind counts as not to be had in a table
_TABLES = (*(table.name.lower() for table in Table), "group", "meter")


def mutants(network: Network, rules: Mapping[str, RuleSet], number: int, seed: int) -> tuple[Mutant, ...]:
    """``number`` different faults that a switch would take: in turn one of every kind in every table, each at a router
    of its own choice. Fewer if there are no more."""
    rng = Random(seed)
    labels = _labels(rules)
    places = {
        router: Place(router, each, tuple(network.ports[router].values()), labels) for router, each in rules.items()
    }
    cells = list(product(Mutation, _TABLES))
    found: dict[tuple[object, ...], Mutant] = {}
    while cells and len(found) < number:
        rng.shuffle(cells)
        alive = []
        for cell in cells:
            mutant = next(_made(*cell, places, rng), None)
            if mutant is None:
                continue
            alive.append(cell)
            found.setdefault((mutant.router, mutant.before, mutant.after), mutant)
            if len(found) == number:
                break
        cells = alive
    return tuple(found.values())


def _labels(rules: Mapping[str, RuleSet]) -> tuple[int, ...]:
    """All labels that are pushed anywhere."""
    flows = {action for each in rules.values() for rule in each.flows for action in rule.actions}
    buckets = {action for each in rules.values() for group in each.groups
               for bucket in group.buckets for action in bucket.actions}  # fmt: skip
    labels = {each.value for each in flows | buckets if isinstance(each, SetField) and each.field == "mpls_label"}
    return tuple(sorted(label for label in labels if isinstance(label, int)))


def _made(kind: Mutation, table: str, places: Mapping[str, Place], rng: Random) -> Iterator[Mutant]:
    """Faults of one kind in one table."""
    homes = [place for place in places.values() if place.tables.get(table)]
    for _ in range(_TRIES if homes else 0):
        place = rng.choice(homes)
        fault = FAULTS[kind](place, rng.choice(place.tables[table]), rng)
        if fault is None or not all(map(_is_taken, fault.after)):
            continue
        keys = set(map(key_of, fault.after))
        replaced = tuple(entry for entry in place.rules if entry not in fault.before and key_of(entry) in keys)
        mutant = Mutant(kind, table, place.router, fault.what, (*fault.before, *replaced), fault.after)
        if len(keys) == len(fault.after) and set(mutant.before) != set(mutant.after):
            yield mutant


def _is_taken(entry: Entry) -> bool:
    """Whether a switch accepts an entry."""
    if table_of(entry) == FOREIGN_TABLE.name.lower():
        return True
    try:
        check(entry)
    except PipelineError:
        return False
    return True
