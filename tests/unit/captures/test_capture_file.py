"""Captures that other tools stumble over: read right, or refused by packet number with the reason."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from capture_files import (
    ETHERNET,
    MS,
    START_NS,
    Interface,
    Recorded,
    block,
    ethernet,
    ip4,
    pcap,
    pcapng,
    tcp,
    udp,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from helsewan.common.errors import InputError
from helsewan.lab.captures.capture_file import CapturedPacket, read_capture
from helsewan.lab.captures.capture_stream import Passed, read_packets

FRAME = ethernet(ip4("10.1.0.1", "10.2.0.1", 17, udp(40_000, 5060, b"hello")))
THREE = [Recorded(0, FRAME), Recorded(5 * MS, FRAME), Recorded(7 * MS, FRAME)]


def read(tmp_path: Path, data: bytes) -> list[CapturedPacket]:
    return list(read_capture(write(tmp_path / "capture", data)))


def reason(tmp_path: Path, data: bytes) -> str:
    """The one line with which a capture is refused, after its path."""
    path = write(tmp_path / "capture", data)
    with pytest.raises(InputError) as refused:
        list(read_packets([path], Passed()))
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("form", ["micro", "nano", "pcapng"])
def test_packets_keep_their_times_the_second_one_too(tmp_path: Path, form: str, order: str) -> None:
    made = pcapng(THREE, order=order) if form == "pcapng" else pcap(THREE, nano=form == "nano", order=order)
    packets = read(tmp_path, made)
    assert [packet.time_ns - START_NS for packet in packets] == [0, 5 * MS, 7 * MS]
    assert [packet.number for packet in packets] == [1, 2, 3]
    assert {packet.data for packet in packets} == {FRAME}


def test_nanosecond_magic_tells_single_nanoseconds(tmp_path: Path) -> None:
    packets = read(tmp_path, pcap([Recorded(0, FRAME), Recorded(1, FRAME), Recorded(999_999_999, FRAME)], nano=True))
    assert [packet.time_ns - START_NS for packet in packets] == [0, 1, 999_999_999]


RESOLUTIONS = [None, 3, 6, 9, 10, 0x80 | 10, 0x80 | 20]


def test_interfaces_of_pcapng_have_link_types_resolutions_and_offsets_of_their_own(tmp_path: Path) -> None:
    raw = ip4("10.1.0.1", "10.2.0.1", 17, udp(1, 2, b"raw"))
    interfaces = [Interface(ETHERNET, 6), Interface(101, 9), Interface(ETHERNET, 0x80 | 10), Interface(101, 3, 3600)]
    packets = read(
        tmp_path,
        pcapng(
            [
                Recorded(0, FRAME, interface=0),
                Recorded(1_000_001, raw, interface=1),
                Recorded(500 * MS, FRAME, interface=2),
                Recorded(600 * MS, raw, interface=3),
            ],
            interfaces,
        ),
    )
    assert [packet.time_ns - START_NS for packet in packets] == [0, 1_000_001, 500 * MS, 600 * MS]
    assert [packet.link_type for packet in packets] == [ETHERNET, 101, ETHERNET, 101]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
def test_every_resolution_is_exact_to_its_unit(tmp_path: Path, resolution: int | None) -> None:
    at_ns = 123_456_789
    (packet,) = read(tmp_path, pcapng([Recorded(at_ns, FRAME)], [Interface(resolution=resolution)]))
    unit_ns = 10**9 / Interface(resolution=resolution).per_second
    assert START_NS + at_ns - max(unit_ns, 1) <= packet.time_ns <= START_NS + at_ns


def test_a_second_section_has_interfaces_of_its_own(tmp_path: Path) -> None:
    """Two captures, one behind the other, in different byte orders."""
    raw = ip4("10.1.0.1", "10.2.0.1", 17, udp(1, 2, b""))
    second = pcapng([Recorded(9 * MS, raw)], [Interface(101, 9)], order=">")
    packets = read(tmp_path, pcapng(THREE) + second)
    assert [packet.link_type for packet in packets] == [ETHERNET] * 3 + [101]
    assert packets[-1].time_ns - START_NS == 9 * MS


def test_a_packet_without_a_time_follows_the_one_before_it(tmp_path: Path) -> None:
    simple = block(3, struct.pack("<I", len(FRAME)) + FRAME + bytes(-len(FRAME) % 4))
    packets = read(tmp_path, pcapng(THREE) + simple)
    assert (packets[3].time_ns, packets[3].data) == (packets[2].time_ns, FRAME)


def test_a_shorter_captured_length_is_told(tmp_path: Path) -> None:
    (packet,) = read(tmp_path, pcap([Recorded(0, FRAME[:42], wire_bytes=len(FRAME))]))
    assert (len(packet.data), packet.wire_bytes) == (42, len(FRAME))


def test_a_longer_captured_length_is_refused(tmp_path: Path) -> None:
    for made in (pcap, pcapng):
        text = reason(tmp_path, made([*THREE, Recorded(9 * MS, FRAME, wire_bytes=20)]))
        assert text.startswith(f"packet 4: has {len(FRAME)} captured bytes of 20 on the wire")


def test_an_empty_file_and_one_without_packets_are_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, b"") == "is empty (hint: give a pcap or pcapng file)"
    for made in (pcap([]), pcapng([])):
        assert reason(tmp_path, made) == "has no packets (hint: give a capture that has some)"


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_a_file_cut_anywhere_is_refused_by_the_packet_it_is_cut_in(
    tmp_path: Path, form: Callable[[list[Recorded]], bytes]
) -> None:
    made, ends = form(THREE), [len(form(THREE[:count])) for count in range(4)]
    whole = {length for length in range(len(made)) if _is_whole(tmp_path, made[:length])}
    section_only = {28} if form is pcapng else set()  # a section without an interface
    assert whole == set(ends[:3]) | section_only
    for number, end in enumerate(ends[1:], start=1):
        assert reason(tmp_path, made[: end - 1]).startswith(f"packet {number}: is cut: the file ends within it")


def _is_whole(tmp_path: Path, data: bytes) -> bool:
    """Whether a beginning of a file ends between packets: it is read, or has none."""
    try:
        read(tmp_path, data)
    except InputError as refused:
        return "has no packets" in str(refused)
    return True


def test_other_files_are_refused(tmp_path: Path) -> None:
    assert reason(tmp_path, b"\x1f\x8b" + bytes(30)).startswith("begins with 1f8b0000, as no pcap or pcapng file does")
    assert "decompress" in reason(tmp_path, b"\x1f\x8b" + bytes(30))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        list(read_capture(tmp_path / "missing"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        list(read_capture(tmp_path))


def test_an_interface_that_is_not_described_is_refused(tmp_path: Path) -> None:
    text = reason(tmp_path, pcapng([THREE[0], Recorded(0, FRAME, interface=3)]))
    assert text.startswith("packet 2: is of interface 3; the file describes 1 before it")


def test_lengths_beyond_reason_are_refused_and_not_read(tmp_path: Path) -> None:
    for made in (pcap, pcapng):
        huge = made([THREE[0], Recorded(0, FRAME, captured=0x7FFFFFFF, wire_bytes=0x7FFFFFFF)])
        assert reason(tmp_path, huge).startswith("packet 2: ")


def test_time_that_goes_back_is_refused_beyond_a_second(tmp_path: Path) -> None:
    text = reason(tmp_path, pcap([Recorded(5_000 * MS, FRAME), Recorded(3_500 * MS, FRAME)]))
    assert text.startswith("packet 2: was captured 1.500 s before the packet before it")
    passed = Passed()
    path = write(tmp_path / "capture", pcap([Recorded(5 * MS, FRAME), Recorded(3 * MS, FRAME)]))
    times = [packet.time_ns for packet in read_packets([path], passed)]
    assert (times[1] - times[0], passed.late) == (0, 1)


def test_an_unknown_link_type_is_refused(tmp_path: Path) -> None:
    text = reason(tmp_path, pcap(THREE, link_type=105))
    assert text.startswith("packet 1: is of link type 105, which is not known here (hint: known are 0, 1, 12")


def test_several_files_are_merged_by_time(tmp_path: Path) -> None:
    first = write(tmp_path / "a", pcap([Recorded(0, FRAME), Recorded(4 * MS, FRAME)]))
    second = write(tmp_path / "b", pcapng([Recorded(2 * MS, FRAME), Recorded(6 * MS, FRAME)]))
    merged = [(packet.file.name, packet.number) for packet in read_packets([first, second], Passed())]
    assert merged == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


@given(st.binary(max_size=400), st.sampled_from([pcap(THREE), pcapng(THREE), pcap([])[:24], pcapng([])]), st.data())
def test_hostile_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, base: bytes,
                                           data: st.DataObject) -> None:  # fmt: skip
    """Whatever the bytes, reading ends with packets or with one line; nothing else is raised."""
    at = data.draw(st.integers(0, len(base)))
    hostile = base[:at] + noise + base[at + data.draw(st.integers(0, len(noise))) :]
    path = write(tmp_path_factory.getbasetemp() / "hostile", hostile)
    try:
        packets = list(read_packets([path], Passed()))
    except InputError as refused:
        assert "\n" not in str(refused)
    else:
        assert all(len(packet.ip.data) >= 20 for packet in packets)


def test_a_tcp_packet_shorter_than_its_header_is_refused(tmp_path: Path) -> None:
    short = ip4("10.1.0.1", "10.2.0.1", 6, tcp(1, 2)[:12])
    assert reason(tmp_path, pcap([Recorded(0, ethernet(short))])) == "packet 1: is shorter than its headers"


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_memory_does_not_depend_on_the_size_of_the_file(
    tmp_path: Path, form: Callable[[list[Recorded]], bytes]
) -> None:
    frame = ethernet(ip4("10.1.0.1", "10.2.0.1", 17, udp(40_000, 5060, bytes(1400))))
    path = write(tmp_path / "capture", form([Recorded(number * MS, frame) for number in range(4_000)]))
    tracemalloc.start()
    assert sum(1 for _ in read_packets([path], Passed())) == 4_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert path.stat().st_size > 5_600_000
    assert peak < 3_000_000  # two buffers of 1 MiB and what a packet takes
