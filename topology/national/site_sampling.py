"""Sampling of the GP practices, pharmacies and municipalities in a network of a given size.

All candidates are in one infinite order that depends only on the seed; a network takes the first ones. So a larger
network contains every smaller one, each size has the country's mix of kinds, and each kind is spread over the
municipalities by population.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

from helsewan.topology.model import Kind
from helsewan.topology.national.reference_data import Municipality

# Numbers in Norway in about 2006 and today; sources: topology/data/README.md.
MILESTONES = {Kind.GP: (1_500, 2_100), Kind.PHARMACY: (554, 1_050)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """The ``number``-th site (from 1) of its kind in a municipality."""

    kind: Kind
    municipality: Municipality
    number: int


def candidates(municipalities: Sequence[Municipality], seed: int) -> Iterator[Candidate]:
    """All candidates in sampling order; the iterator is infinite."""
    streams = [_timed(kind, _by_population(kind, municipalities, seed)) for kind in MILESTONES]
    streams.append(_municipalities(municipalities, seed))
    for _, _, candidate in heapq.merge(*streams, key=lambda entry: entry[:2]):
        yield candidate


def _timed(kind: Kind, stream: Iterator[Candidate]) -> Iterator[tuple[float, str, Candidate]]:
    """Give each candidate its sort key, the time: up to 1 for the number of sites of 2006, up to 2 for today's number,
    and 1 more for each further multiple of today's number."""
    then, today = MILESTONES[kind]
    for rank, candidate in enumerate(stream, start=1):
        if rank <= then:
            time = rank / then
        elif rank <= today:
            time = 1 + (rank - then) / (today - then)
        else:
            time = 1 + rank / today
        yield time, kind.value, candidate


def _municipalities(municipalities: Sequence[Municipality], seed: int) -> Iterator[tuple[float, str, Candidate]]:
    """Each municipality once, in random order, with times up to 1."""
    order = list(municipalities)
    Random(f"{seed}:municipality").shuffle(order)
    for rank, place in enumerate(order, start=1):
        yield rank / len(order), Kind.MUNICIPALITY.value, Candidate(Kind.MUNICIPALITY, place, 1)


def _by_population(kind: Kind, municipalities: Sequence[Municipality], seed: int) -> Iterator[Candidate]:
    """Candidates of one kind, spread by population with systematic sampling.

    The n-th candidate of a municipality has the key (n - u) / population, u uniform in [0, 1). For any number of
    candidates taken, each municipality has its quota rounded up or down, and exactly its quota in expectation. Unlike
    with largest remainders, no municipality loses a site when the total grows."""
    random = Random(f"{seed}:{kind.value}")
    streams = [_of_one(kind, place, random.random()) for place in municipalities]
    for _, _, candidate in heapq.merge(*streams, key=lambda entry: entry[:2]):
        yield candidate


def _of_one(kind: Kind, place: Municipality, offset: float) -> Iterator[tuple[float, str, Candidate]]:
    for number in count(1):
        yield (number - offset) / place.population, place.id, Candidate(kind, place, number)
