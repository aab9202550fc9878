"""Frames that the engine recognises behind a router: their delay is that of the links, whatever the router adds."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from engine_bench import FOREVER, Bench, Line
from hypothesis import given
from hypothesis import strategies as st

US = 1_000
DELAY_NS = 1_000 * US
BEGIN_NS = 10_000 * US
ADDRESSES = bytes(range(12))
TAGS = (b"\x81\x00", b"\x88\xa8")  # 802.1Q and 802.1ad
MPLS = (b"\x88\x47", b"\x88\x48")
TAG_STACKS = [stack for depth in range(3) for stack in product(TAGS, repeat=depth)]
LINE = Line(8_000_000, DELAY_NS, 0, (1 << 20,), (0,))  # a microsecond a byte


def packet(number: int, ttl: int = 64, payload: bytes = bytes(40)) -> bytes:
    """An IPv4 packet with a UDP datagram, told from others by its identification."""
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), number, 0, ttl, 17, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    return head + struct.pack("!HHHH", 1, 2, 8 + len(payload), 0) + payload


def plain(number: int, **other: int) -> bytes:
    """It in an Ethernet frame."""
    return ADDRESSES + b"\x08\x00" + packet(number, **other)  # type: ignore[arg-type]


def labelled(number: int, ttl: int = 63) -> bytes:
    """It as a router sends it on: other addresses, two labels, a hop counted."""
    labels = bytes([0, 1, 0, ttl]) + bytes([0, 2, 1, ttl])
    return ADDRESSES[::-1] + b"\x88\x47" + labels + packet(number, ttl=ttl)


def six(number: int, ttl: int = 64) -> bytes:
    """An IPv6 packet with a datagram whose payload tells it from others, in an Ethernet frame."""
    datagram = struct.pack("!HHHHI", 1, 2, 48, 0, number) + bytes(36)
    head = struct.pack(
        "!IHBB16s16s", 6 << 28 | 7, len(datagram), 17, ttl, b"\xfd" + bytes(15), b"\xfd" + bytes([1] * 15)
    )
    return ADDRESSES + b"\x86\xdd" + head + datagram


def labelled_six(number: int) -> bytes:
    """It as a router sends it on, with another class."""
    inner = bytearray(six(number, ttl=63)[14:])
    inner[0:2] = b"\x6b\x80"
    return ADDRESSES[::-1] + b"\x88\x47" + bytes([0, 1, 0, 63]) + bytes([0, 2, 1, 63]) + bytes(inner)


def two_lines(follow_origin_ns: int | None, early_ns: int = 0, line: Line = LINE) -> Bench:
    """A line from port 0 to 1, and behind the router another from 2 to 3."""
    bench = Bench(ports=4)
    first = bench.add(line)
    bench.add(line, (2, 0), (3, 0))
    bench.engine.compensate_delay([(first, early_ns)])
    if follow_origin_ns is not None:
        bench.engine.follow_frames(follow_origin_ns)
    return bench


def delay_ns(bench: Bench, router_ns: int, there: bytes, on: bytes) -> int:
    """From when a frame is read to when it comes out of the second line."""
    ((out_ns, port, _),) = bench.engine.simulate([(BEGIN_NS, 0, there)], FOREVER // 2)
    assert port == 1
    ((arrived_ns, port, _),) = bench.engine.simulate([(out_ns + router_ns, 2, on)], FOREVER)
    assert port == 3
    return arrived_ns - BEGIN_NS


def model_ns(*frames: bytes) -> int:
    return sum(len(frame) * US + DELAY_NS for frame in frames)


@given(router_us=st.integers(0, 990), early_us=st.integers(0, 990))
def test_what_a_router_takes_does_not_count(router_us: int, early_us: int) -> None:
    """More or less than the line before was hastened by: the sum is the model's to the nanosecond."""
    there, on = plain(1), labelled(1)
    found = delay_ns(two_lines(0, early_us * US), router_us * US, there, on)
    assert found == model_ns(there, on)


def test_an_ipv6_packet_is_known_again_too() -> None:
    there, on = six(1), labelled_six(1)
    assert delay_ns(two_lines(0), 300 * US, there, on) == model_ns(there, on)


def tagged(frame: bytes, tags: tuple[bytes, ...]) -> bytes:
    """The frame with these VLAN tags put on, the outer first."""
    return frame[:12] + b"".join(tag + b"\x00\x64" for tag in tags) + frame[12:]


@pytest.mark.parametrize("tags", TAG_STACKS, ids=lambda tags: "-".join(tag.hex() for tag in tags) or "untagged")
@pytest.mark.parametrize("mpls", MPLS, ids=lambda mpls: mpls.hex())
@pytest.mark.parametrize(("packet_in", "packet_on"), [(plain, labelled), (six, labelled_six)], ids=["ipv4", "ipv6"])
def test_a_packet_is_known_again_behind_any_tags_and_labels(
    packet_in: Callable[[int], bytes], packet_on: Callable[[int], bytes], mpls: bytes, tags: tuple[bytes, ...]
) -> None:
    labels = packet_on(1)
    labels = labels[:12] + mpls + labels[14:]
    for there, on in ((tagged(packet_in(1), tags), labels), (labels, tagged(packet_in(1), tags))):
        assert delay_ns(two_lines(0), 300 * US, there, on) == model_ns(there, on)
    assert delay_ns(two_lines(0), 300 * US, packet_in(1), tagged(labels, tags)) == model_ns(
        packet_in(1), tagged(labels, tags)
    )


def test_more_than_two_tags_are_not_looked_behind() -> None:
    there, on = plain(1), tagged(plain(1), (TAGS[0],) * 3)
    assert delay_ns(two_lines(0), 300 * US, there, on) == model_ns(there, on) + 300 * US


def test_without_following_it_counts_in_full() -> None:
    there, on = plain(1), labelled(1)
    assert delay_ns(two_lines(None), 300 * US, there, on) == model_ns(there, on) + 300 * US


def test_no_line_makes_up_for_more_than_its_delay() -> None:
    """What is left shows: a frame is never delivered before the line has sent it."""
    there, on = plain(1), labelled(1)
    assert delay_ns(two_lines(0), 1_400 * US, there, on) == model_ns(there, on) + 400 * US


def test_a_frame_from_no_line_has_been_under_way_for_a_while() -> None:
    there, on = plain(1), labelled(1)
    assert delay_ns(two_lines(70 * US), 300 * US, there, on) == model_ns(there, on) - 70 * US


@pytest.mark.parametrize(
    ("there", "on"),
    [
        (plain(1), labelled(2)),  # another packet
        (plain(1, ttl=255), labelled(1, ttl=255)),  # between neighbours
        (six(1), labelled_six(2)),
        (six(1, ttl=255), six(1, ttl=255)),
        (ADDRESSES + b"\x08\x06" + bytes(46), ADDRESSES + b"\x08\x06" + bytes(46)),  # ARP
        (plain(1), ADDRESSES + b"\x88\x47" + bytes(8)),  # labels without an end
        (plain(1)[:20], plain(1)[:20]),  # cut short
    ],
    ids=["another", "neighbours", "another six", "neighbours six", "arp", "labels", "short"],
)
def test_what_is_not_known_again_counts_from_when_it_came(there: bytes, on: bytes) -> None:
    assert delay_ns(two_lines(0), 300 * US, there, on) == model_ns(there, on) + 300 * US


def test_what_stayed_away_for_long_is_not_hurried() -> None:
    """A controller's detour, or the same bytes once more: no router takes 5 ms."""
    there, on = plain(1), labelled(1)
    assert delay_ns(two_lines(0), 6_000 * US, there, on) == model_ns(there, on) + 6_000 * US


def test_a_frame_is_known_again_once() -> None:
    bench = two_lines(0)
    there, on = plain(1), labelled(1)
    ((out_ns, _, _),) = bench.engine.simulate([(0, 0, there)], FOREVER // 2)
    again_ns = out_ns + 900 * US
    arrivals = [(out_ns + 100 * US, 2, on), (again_ns, 2, on)]
    first, second = (at_ns for at_ns, _, _ in bench.engine.simulate(arrivals, FOREVER))
    assert first == model_ns(there, on)
    assert second == again_ns + model_ns(on)


def test_many_frames_in_routers_at_a_time_are_all_known_again() -> None:
    """As many as a busy national network has there; each is held up for 300 us, which none of them shows."""
    bench = two_lines(0, line=replace(LINE, rate_bps=8_000_000_000))  # a nanosecond a byte
    frames = [(plain(number), labelled(number)) for number in range(1_000)]
    sent = [(100 * number, 0, there) for number, (there, _) in enumerate(frames)]
    out = [at_ns for at_ns, _, _ in bench.engine.simulate(sent, FOREVER // 2)]
    held = [(at_ns + 300 * US, 2, on) for at_ns, (_, on) in zip(out, frames, strict=True)]
    arrived = [at_ns for at_ns, _, _ in bench.engine.simulate(held, FOREVER)]
    assert arrived == [at_ns + len(on) + DELAY_NS for at_ns, (_, on) in zip(out, frames, strict=True)]


def test_the_rate_is_kept_by_frames_that_make_up_for_lateness() -> None:
    """Frames that were held up to different lengths leave as if they had not: in order, none faster than the line."""
    bench = two_lines(0)
    frames = [(plain(number), labelled(number)) for number in range(20)]
    size_ns = len(frames[0][1]) * US
    out = bench.engine.simulate([(0, 0, there) for there, _ in frames], FOREVER // 2)
    held = [(out_ns + (7 * number % 5) * 80 * US, 2, frames[number][1]) for number, (out_ns, _, _) in enumerate(out)]
    held = [(max(at for at, _, _ in held[: n + 1]), port, frame) for n, (_, port, frame) in enumerate(held)]
    arrived = [at_ns for at_ns, _, _ in bench.engine.simulate(held, FOREVER)]
    ideal, free_ns = [], 0
    for out_ns, _, _ in out:
        free_ns = max(free_ns, out_ns) + size_ns
        ideal.append(free_ns + DELAY_NS)
    assert arrived == ideal
