"""The kernel backend's classifier, run by the kernel: a socket filter truncates a datagram to the returned length."""

from __future__ import annotations

import ctypes
import socket
import struct

import pytest

from helsewan.emulation.kernel.classifier import MATCH, Classes, queue_program, too_long_program

SO_ATTACH_FILTER = 26
CLASSES = Classes(tuple(value // 8 for value in range(64)), (7, 6, 5, 4, 3, 2, 1, 0), other_queue=4)
CLASS_OF_QUEUE = [10, 11, 12, 13, 14, 15, 16, 17]
TAG, PROVIDER_TAG = b"\x81\x00\x00\x07", b"\x88\xa8\x00\x08"


def answer(program: bytes, frame: bytes) -> int:
    """What the program says of a frame: how many bytes of it are left, at most all."""
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        code = ctypes.create_string_buffer(program, len(program))
        receiver.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
        )
        receiver.setblocking(False)
        try:
            sender.send(frame)
            return len(receiver.recv(65_536))
        except BlockingIOError:  # answered 0: dropped
            return 0


def ipv4(dscp: int, tags: bytes = b"") -> bytes:
    return bytes(12) + tags + b"\x08\x00" + bytes([0x45, dscp << 2 | 1]) + bytes(60)


def ipv6(dscp: int, tags: bytes = b"") -> bytes:
    return bytes(12) + tags + b"\x86\xdd" + (6 << 12 | dscp << 6 | 0x3F).to_bytes(2, "big") + bytes(60)


def mpls(traffic_class: int, tags: bytes = b"", ethertype: bytes = b"\x88\x47") -> bytes:
    label = (0xABCDE << 12 | traffic_class << 9 | 0x1FF).to_bytes(4, "big")
    return bytes(12) + tags + ethertype + label + bytes(60)


@pytest.mark.parametrize("tags", [b"", TAG, PROVIDER_TAG + TAG])
def test_frames_get_the_queue_of_their_mark_behind_any_tags(tags: bytes) -> None:
    program = queue_program(CLASSES, CLASS_OF_QUEUE)
    for dscp in range(64):
        assert answer(program, ipv4(dscp, tags)) == 10 + dscp // 8
        assert answer(program, ipv6(dscp, tags)) == 10 + dscp // 8
    for traffic_class in range(8):
        assert answer(program, mpls(traffic_class, tags)) == 17 - traffic_class
        assert answer(program, mpls(traffic_class, tags, b"\x88\x48")) == 17 - traffic_class
    assert answer(program, bytes(12) + tags + b"\x08\x06" + bytes(60)) == 14


def test_classes_beyond_the_last_queue_share_it() -> None:
    program = queue_program(CLASSES, CLASS_OF_QUEUE[:2])
    assert [answer(program, ipv4(dscp)) for dscp in (0, 8, 16, 63)] == [10, 11, 11, 11]


def test_what_is_cut_short_has_no_class() -> None:
    program = queue_program(CLASSES, CLASS_OF_QUEUE)
    whole = [ipv4(40)[:15], mpls(3)[:16], ipv4(40, TAG)[:17], bytes(13)]
    assert [answer(program, frame) for frame in whole] == [0, 0, 0, 0]


@pytest.mark.parametrize("tags", [b"", TAG, PROVIDER_TAG + TAG])
def test_the_mtu_counts_the_payload_without_tags(tags: bytes) -> None:
    mtu = 1500
    program = too_long_program(mtu)
    longest = bytes(12) + tags + b"\x08\x00" + bytes(mtu)
    assert answer(program, longest) == 0
    assert answer(program, longest + b"\x00") == len(longest) + 1  # MATCH is more than it has


def test_without_an_mtu_nothing_is_too_long() -> None:
    assert answer(too_long_program(None), bytes(60_000)) == 0
    assert MATCH > 60_000
