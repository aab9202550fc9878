"""Classification of frames into queues, as classic BPF programs for the kernel's ``bpf`` filter.

One program parses VLAN tags and MPLS labels; u32 and flower would need a filter for each code point, protocol and tag.
A tag that the kernel stores outside the frame's bytes is not visible to the program.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_LD_BYTE, _LD_HALF, _LD_BYTE_AT_X, _LD_HALF_AT_X = 0x30, 0x28, 0x50, 0x48
_LDX, _LD_LENGTH, _RET = 0x01, 0x80, 0x06
_AND, _SHIFT_RIGHT, _SUBTRACT_X = 0x54, 0x74, 0x1C
_JUMP, _EQUAL, _GREATER = 0x05, 0x15, 0x25

TAGS = (0x8100, 0x88A8)  # 802.1Q and 802.1ad
MPLS = (0x8847, 0x8848)  # unicast and multicast
IPV4, IPV6 = 0x0800, 0x86DD
ETHERNET_HEADER_BYTES = 14
MATCH = 0xFFFFFFFF


@dataclass(frozen=True)
class Classes:
    """The queue of each DSCP (64), of each MPLS traffic class (8), and of all other frames."""

    dscp_to_queue: tuple[int, ...]
    tc_to_queue: tuple[int, ...]
    other_queue: int


ONE_QUEUE = Classes((0,) * 64, (0,) * 8, 0)


class _Program:
    """Instructions with jumps to labels, which are resolved by ``assemble``."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int | str, int | str, int | str]] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        self._labels[name] = len(self._code)

    def do(self, code: int, k: int = 0) -> None:
        self._code.append((code, 0, 0, k))

    def jump(self, name: str) -> None:
        self._code.append((_JUMP, 0, 0, name))

    def branch(self, code: int, k: int, name: str) -> None:
        """Jump to label ``name`` if the comparison with ``k`` is true, else continue."""
        self._code.append((code, name, 0, k))

    def assemble(self) -> bytes:
        """struct sock_filter for each instruction; jump offsets are relative to the next one."""

        def number(value: int | str, at: int) -> int:
            return self._labels[value] - at - 1 if isinstance(value, str) else value

        return b"".join(
            struct.pack("=HBBI", code, number(true, at), number(false, at), number(k, at))
            for at, (code, true, false, k) in enumerate(self._code)
        )


def queue_program(classes: Classes, class_of_queue: Sequence[int]) -> bytes:
    """A program that returns ``class_of_queue`` of a frame's queue; queues beyond its end count as the last one."""

    def answer(queue: int) -> int:
        return class_of_queue[min(queue, len(class_of_queue) - 1)]

    program = _Program()
    _skip_tags(program)
    program.branch(_EQUAL, IPV4, "ipv4")
    program.branch(_EQUAL, IPV6, "ipv6")
    for ethertype in MPLS:
        program.branch(_EQUAL, ethertype, "mpls")
    program.do(_RET, answer(classes.other_queue))
    program.label("mpls")
    program.do(_LD_BYTE_AT_X, ETHERNET_HEADER_BYTES + 2)
    program.do(_SHIFT_RIGHT, 1)
    program.do(_AND, 0x7)
    _look_up(program, "tc", [answer(queue) for queue in classes.tc_to_queue])
    program.label("ipv6")
    program.do(_LD_HALF_AT_X, ETHERNET_HEADER_BYTES)
    program.do(_SHIFT_RIGHT, 6)
    program.do(_AND, 0x3F)
    program.jump("dscp")
    program.label("ipv4")
    program.do(_LD_BYTE_AT_X, ETHERNET_HEADER_BYTES + 1)
    program.do(_SHIFT_RIGHT, 2)
    program.label("dscp")
    _look_up(program, "dscp", [answer(queue) for queue in classes.dscp_to_queue])
    return program.assemble()


def too_long_program(mtu_bytes: int | None) -> bytes:
    """A program that returns MATCH for frames whose payload, tags not counted, is longer than ``mtu_bytes``."""
    program = _Program()
    if mtu_bytes is not None:
        _skip_tags(program)
        program.do(_LD_LENGTH)
        program.do(_SUBTRACT_X)
        program.branch(_GREATER, ETHERNET_HEADER_BYTES + mtu_bytes, "long")
    program.do(_RET, 0)
    program.label("long")
    program.do(_RET, MATCH)
    return program.assemble()


def _skip_tags(program: _Program) -> None:
    """Set X to the length in bytes of the frame's tags, two at most, and A to the type that follows them."""
    program.do(_LDX, 0)
    program.do(_LD_HALF, 12)
    for skipped in (0, 4):
        for ethertype in TAGS:
            program.branch(_EQUAL, ethertype, f"tag{skipped}")
        program.jump("untagged")
        program.label(f"tag{skipped}")
        program.do(_LDX, skipped + 4)
        program.do(_LD_HALF, 12 + skipped + 4)
    program.label("untagged")


def _look_up(program: _Program, name: str, answers: Sequence[int]) -> None:
    """Return ``answers[A]``, by comparisons for all values but the most frequent one."""
    usual = max(set(answers), key=answers.count)
    unusual = sorted(set(answers) - {usual})
    for value, answer in enumerate(answers):
        if answer != usual:
            program.branch(_EQUAL, value, f"{name}{answer}")
    program.do(_RET, usual)
    for answer in unusual:
        program.label(f"{name}{answer}")
        program.do(_RET, answer)
