"""Finds a smallest part of something that still fails. Pure: what fails is asked of an oracle.

The minimising delta debugging algorithm (ddmin) of Zeller and Hildebrandt, Simplifying and Isolating Failure-Inducing
Input, IEEE Transactions on Software Engineering 28(2), 2002.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

Part = TypeVar("Part")


def smallest(parts: Sequence[Part], fails: Callable[[Sequence[Part]], bool]) -> list[Part]:
    """A subset of ``parts``, all of which ``fails``, that fails, and of which nothing can be left out: without any one
    of its parts it does not fail. Order is kept. ``fails`` is asked at most quadratically often in the number of
    parts, and nothing twice in a row."""
    if not parts or fails([]):
        return []
    left, chunks = list(parts), 2
    while len(left) > 1:
        pieces = _split(left, chunks)
        for number, piece in enumerate(pieces):
            rest = [part for other, each in enumerate(pieces) if other != number for part in each]
            if chunks > 2 and fails(piece):  # of two pieces, each is the other's rest
                left, chunks = piece, 2
                break
            if fails(rest):
                left, chunks = rest, max(chunks - 1, 2)
                break
        else:
            if chunks == len(left):
                break
            chunks = min(2 * chunks, len(left))
    return left


def least(most: int, floor: int, fails: Callable[[int], bool]) -> int:
    """A value from ``floor`` to ``most``, at which it fails, that fails and is small: halved as long as that fails. The
    oracle is asked at most logarithmically often."""
    value = most
    while value > floor:
        half = max(value // 2, floor)
        if not fails(half):
            return value
        value = half
    return value


def _split(parts: Sequence[Part], chunks: int) -> list[list[Part]]:
    """``parts`` in so many pieces of nearly the same length, none empty."""
    edges = [len(parts) * number // chunks for number in range(chunks + 1)]
    return [list(parts[begin:end]) for begin, end in pairwise(edges) if end > begin]
