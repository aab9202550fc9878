"""Captures: the file contains exactly the frames that leave the pipe; errors of the file affect only the capture."""

from __future__ import annotations

import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from engine_bench import ipv4
from scapy.utils import PcapNgReader, RawPcapNgReader
from waiting import wait_for

from helsewan.emulation.links.capture import Capture, Captured
from helsewan.emulation.links.engine import EngineError, EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.pipe_model import Loss, PipeModel

PATIENCE_S = 10.0
PLAIN, TRUNK, VLAN = 0, 1, 7
THERE, BACK = 0, 1  # the two pipes


class Line:
    """A line between a plain port and VLAN 7 of a trunk, with a socket at each end."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
        self.ends = [ours for ours, _ in pairs]
        engine.add_ports([theirs.fileno() for _, theirs in pairs])
        for _, theirs in pairs:
            theirs.close()
        for end in self.ends:
            end.settimeout(PATIENCE_S)
        model = PipeModel(1_000_000_000, 0)
        engine.add_pipes([PipeSpec(PLAIN, 0, TRUNK, VLAN, model), PipeSpec(TRUNK, VLAN, PLAIN, 0, model)])

    def carry(self, frames: list[bytes], end: int = PLAIN) -> None:
        """Send frames into one end and take them out of the other."""
        for frame in frames:
            self.ends[end].send(frame)
            self.ends[1 - end].recv(65536)


@pytest.fixture
def line() -> Iterator[Line]:
    """A line of an engine of its own."""
    with EngineProcess(max_ports=2, max_pipes=2) as engine:
        yield Line(engine)


def some(count: int, length: int = 100) -> list[bytes]:
    """Frames to tell apart, of different lengths (so of different padding)."""
    return [ipv4(length + number, mark=number) for number in range(count)]


def tagged(frame: bytes) -> bytes:
    """The frame as it is on the trunk."""
    return frame[:12] + b"\x81\x00" + VLAN.to_bytes(2, "big") + frame[12:]


def packets(file: Path) -> list[tuple[int, bytes]]:
    """(nanoseconds, frame) of each packet in the file."""
    with RawPcapNgReader(str(file)) as reader:
        return [((meta.tshigh << 32) + meta.tslow, data) for data, meta in reader]  # type: ignore[attr-defined]  # pcapng's own


def received_and_dropped(file: Path) -> list[tuple[int, int]]:
    """What each Interface Statistics Block says in its options isb_ifrecv and isb_ifdrop; they end the file."""
    data, found = file.read_bytes(), []
    while data:
        kind, length = struct.unpack_from("=II", data)
        assert data[length - 4 : length] == data[4:8]
        if kind == 5:
            (received,) = struct.unpack_from("=Q", data, 20 + 12 + 12 + 4)
            (dropped,) = struct.unpack_from("=Q", data, 20 + 12 + 12 + 12 + 4)
            found.append((received, dropped))
        else:
            assert not found
        data = data[length:]
    return found


def test_both_directions_are_captured_as_they_were_on_the_line(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "line.pcapng"
    there, back = some(40), some(30, length=60)
    line.carry(some(5))
    before_ns = time.time_ns()
    capture = Capture(line.engine, [("line there", THERE), ("line back", BACK)], file)
    line.carry(there)
    line.carry([tagged(frame) for frame in back], end=TRUNK)
    counts = capture.stop()
    after_ns = time.time_ns()
    line.carry(some(5))

    found = packets(file)
    assert [frame for _, frame in found] == there + back
    times = [time_ns for time_ns, _ in found]
    assert times == sorted(times) and before_ns <= times[0] and times[-1] <= after_ns
    assert counts == [Captured(40, 0), Captured(30, 0)]
    assert capture.failure is None
    assert received_and_dropped(file) == [(40, 0), (30, 0)]
    assert file.stat().st_mode & 0o777 == 0o600


def test_interfaces_have_their_names_and_snap_length(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "line.pcapng"
    capture = Capture(line.engine, [("there", THERE), ("back", BACK)], file, snap_bytes=43)
    (frame,) = some(1)
    line.carry([frame])
    line.carry([tagged(frame)], end=TRUNK)
    capture.stop()
    with PcapNgReader(str(file)) as reader:
        kept = list(reader)
    assert [(packet.sniffed_on, bytes(packet), packet.wirelen) for packet in kept] == [
        ("there", frame[:43], len(frame)),
        ("back", frame[:43], len(frame)),
    ]


def test_what_the_line_lost_is_not_in_it(line: Line, tmp_path: Path) -> None:
    capture = Capture(line.engine, [("there", THERE)], tmp_path / "line.pcapng")
    lossy = PipeModel(1_000_000_000, 0, loss=Loss.bernoulli(1.0))
    line.engine.set_pipes([PipeChange(THERE, lossy)])
    for frame in some(10):
        line.ends[PLAIN].send(frame)
    wait_for(lambda: line.engine.counters()[THERE]["drop_loss"] == 10, "ten lost frames", PATIENCE_S)
    assert capture.stop() == [Captured(0, 0)]
    assert packets(capture.file) == []


def test_a_ring_that_is_full_misses_frames_and_counts_them(line: Line, tmp_path: Path) -> None:
    capture = Capture(line.engine, [("there", THERE)], tmp_path / "line.pcapng", ring_bytes=4096)
    frames = some(2000, length=60)
    line.carry(frames)
    (count,) = capture.stop()
    found = [frame for _, frame in packets(capture.file)]
    assert count.missed > 0 and count.frames + count.missed == len(frames)
    assert len(found) == count.frames
    assert set(found) <= set(frames) and found[0] == frames[0]
    assert received_and_dropped(capture.file) == [(len(frames), count.missed)]


@contextmanager
def largest_file(limit: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``limit`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_that_cannot_grow_ends_the_capture_and_not_the_line(line: Line, tmp_path: Path) -> None:
    frames = some(400)
    capture = Capture(line.engine, [("there", THERE)], tmp_path / "line.pcapng")
    with largest_file(20_000):
        line.carry(frames)
        wait_for(lambda: capture.failure is not None, "the failure", PATIENCE_S)
    assert capture.failure == f"{capture.file}: the capture ended: File too large"
    line.carry(frames)
    found = [frame for _, frame in packets(capture.file)]
    assert found == frames[: len(found)]
    Capture(line.engine, [("again", THERE)], tmp_path / "again.pcapng").stop()


def test_one_capture_a_pipe(line: Line, tmp_path: Path) -> None:
    first = Capture(line.engine, [("there", THERE)], tmp_path / "first.pcapng")
    with pytest.raises(EngineError, match="pipe 0 is being captured already"):
        Capture(line.engine, [("back", BACK), ("there", THERE)], tmp_path / "second.pcapng")
    Capture(line.engine, [("back", BACK)], tmp_path / "third.pcapng").stop()
    first.stop()


def test_a_capture_outlives_the_engine(line: Line, tmp_path: Path) -> None:
    frames = some(10)
    capture = Capture(line.engine, [("there", THERE)], tmp_path / "line.pcapng")
    line.carry(frames)
    line.engine.close()
    assert capture.stop() == [Captured(10, 0)]
    assert [frame for _, frame in packets(capture.file)] == frames
