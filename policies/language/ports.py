"""Transport port ranges: parsed from text, and split into the value/mask pairs that OpenFlow can match."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from helsewan.policies.language.refusal import Refusal
from helsewan.policies.plan import PortMatch

MAX_PORT = 0xFFFF
ANY = "any"
_RANGE = re.compile(r"\s*(\d{1,5})\s*-\s*(\d{1,5})\s*", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """The ports ``first`` to ``last``, both included; ``first`` = 0 means all ports."""

    first: int
    last: int

    def __str__(self) -> str:
        if self.first == 0:
            return ANY
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def overlaps(self, other: PortRange) -> bool:
        """Whether a port is in both."""
        return self.first <= other.last and other.first <= self.last


def parse_ports(value: object) -> PortRange:
    """A range from a port number, from text ``16384-16639``, or ``any`` for all; raises ``Refusal`` outside 1..65535
    or if reversed."""
    if isinstance(value, PortRange):
        return value
    if value == ANY:
        return PortRange(0, MAX_PORT)
    if isinstance(value, int) and not isinstance(value, bool):
        first = last = value
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        first, last = int(match[1]), int(match[2])
    else:
        raise Refusal("is no port", "write a number, a range like 16384-16639, or any")
    if not (1 <= first <= MAX_PORT and 1 <= last <= MAX_PORT):
        raise Refusal("is no port", f"ports are 1..{MAX_PORT}")
    if first > last:
        raise Refusal("is reversed", f"write {last}-{first}")
    return PortRange(first, last)


def split(ports: PortRange) -> Iterator[PortMatch]:
    """The fewest aligned value/mask blocks that cover exactly ``ports``, lowest first."""
    first = ports.first
    while first <= ports.last:
        size = first & -first or MAX_PORT + 1  # the largest block aligned at first; only all ports begin with 0
        while first + size - 1 > ports.last:
            size >>= 1
        yield PortMatch(first, MAX_PORT & -size)
        first += size


def joined(matches: Iterable[PortMatch]) -> tuple[PortRange, ...]:
    """The port ranges of value/mask pairs, in order of port, adjacent ones joined."""
    found: list[PortRange] = []
    for first, last in sorted((match.value, match.value | ~match.mask & MAX_PORT) for match in matches):
        if found and found[-1].last + 1 >= first:
            found[-1] = PortRange(found[-1].first, max(found[-1].last, last))
        else:
            found.append(PortRange(first, last))
    return tuple(found)


def match_all(ranges: Iterable[PortRange]) -> tuple[PortMatch, ...]:
    """Value/mask pairs for several ranges, in order of port."""
    return tuple(match for ports in sorted(ranges) for match in split(ports))
