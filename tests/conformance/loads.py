"""Offered loads, as lists of frames; and frames as bytes that carry their number even with one bit of them wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from reference import Frame

QUEUES = 8
HEADER_BYTES = 16  # Ethernet's header and the first two bytes of IPv4's
NUMBER_BYTES = 4
SHORTEST = 60  # Ethernet's shortest frame; the number stands in it eleven times


def steady(count: int, gap_ns: int, length: int, queue: int = 0, start_ns: int = 0, precedence: int = 1) -> list[Frame]:
    """Frames one after the other; a gap of 0 makes a burst."""
    return [Frame(start_ns + number * gap_ns, length, queue, precedence) for number in range(count)]


def together(*loads: Iterable[Frame]) -> list[Frame]:
    """Several loads at the same time, in the order of their frames."""
    return sorted((frame for load in loads for frame in load), key=lambda frame: frame.time_ns)


def dscp_of(queue: int, precedence: int = 1) -> int:
    """The code point that tests give a frame of a queue: AF for the higher drop precedences (RFC 2597), in the first
    four queues alone, as there are four AF classes."""
    if precedence == 1:
        return queue
    if not 0 <= queue < 4 or precedence not in (2, 3):
        raise ValueError(f"queue {queue} has no code point of drop precedence {precedence}")
    return (queue + 1) * 8 + precedence * 2


def queue_of_dscp() -> list[int]:
    """The queue of each of the 64 code points, as ``dscp_of`` gives them."""
    table = [value if value < QUEUES else 0 for value in range(64)]
    for queue in range(4):
        for precedence in (2, 3):
            table[dscp_of(queue, precedence)] = queue
    return table


def encode(frame: Frame, number: int) -> bytes:
    """The frame's bytes: Ethernet, its own tags, the start of an IPv4 header, and then its number over and over."""
    tags = b"\x81\x00\x00\x07" * frame.tags
    head = bytes(12) + tags + b"\x08\x00" + bytes([0x45, dscp_of(frame.queue, frame.precedence) << 2])
    body = number.to_bytes(NUMBER_BYTES, "big") * (frame.length // NUMBER_BYTES + 1)
    return (head + body)[: frame.length]


def decode(data: bytes) -> int:
    """The number of a frame of at least SHORTEST bytes: what most of its body says."""
    words = [data[at : at + NUMBER_BYTES] for at in range(HEADER_BYTES, len(data) - NUMBER_BYTES + 1, NUMBER_BYTES)]
    return int.from_bytes(Counter(words).most_common(1)[0][0], "big")


def flipped_bits(data: bytes, original: bytes) -> int:
    """In how many bits two frames differ; in all of the longer one if one is cut."""
    if len(data) != len(original):
        return 8 * max(len(data), len(original))
    return (int.from_bytes(data, "big") ^ int.from_bytes(original, "big")).bit_count()
