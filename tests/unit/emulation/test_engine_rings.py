"""Ports over virtqueues: frames between them and other ports through a real engine, with a device in Python, and what
becomes of a port whose device breaks the protocol."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import pytest
import waiting
from engine_bench import ipv4, mark_of
from idle_engine import needless_turns
from virtqueue import FROM_ENGINE, TO_ENGINE, Device, DeviceRing, ring_memory

from helsewan.emulation._linkengine import vring_layout
from helsewan.emulation.links.engine import EngineError, EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel

ENTRIES = 64
MODEL = PipeModel(10_000_000_000, 0, (ClassQueue(limit_bytes=1 << 26),))
soon = partial(waiting.wait_for, deadline_s=30.0, pause_s=0.0005)


class Bench:
    """An engine with a socket, port 0, and two ports with rings, 1 and 2; pipes lead from 0 to 1 to 2 to 0 and from 1
    and 2 nowhere else."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self.call = engine.call_descriptor()
        self.end, self.port = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.settimeout(20)
        assert engine.add_ports([self.port.fileno()]) == [0]
        memories = [ring_memory(ENTRIES) for _ in range(2)]
        assert engine.add_rings(memories, ENTRIES) == [1, 2]
        self.first, self.second = (Device(fd, ENTRIES, self.call) for fd in memories)
        for fd in memories:
            os.close(fd)
        engine.set_rings([1, 2], True)
        assert engine.add_pipes([PipeSpec(src, 0, dst, 0, MODEL) for src, dst in ((0, 1), (1, 2), (2, 0))]) == [0, 1, 2]

    def count(self, port: int, name: str) -> int:
        """A counter of a port."""
        return int(self.engine.port_counters()[port][name])

    def close(self) -> None:
        """Let go of the descriptors."""
        os.close(self.call)
        self.end.close()
        self.port.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A running engine with three ports."""
    with EngineProcess(max_ports=16, max_pipes=16) as engine:
        result = Bench(engine)
        yield result
        result.close()


def received(device: Device, count: int) -> list[bytes]:
    """The next frames that a device gets, so many."""
    frames: list[bytes] = []

    def enough() -> bool:
        frames.extend(device.get())
        return len(frames) >= count

    soon(enough, f"{count} frames")
    return frames


def test_frames_pass_between_a_socket_and_rings(bench: Bench) -> None:
    sent = [ipv4(60 + 48 * mark, mark=mark) for mark in range(40)]
    for frame in sent:
        bench.end.send(frame)
    assert received(bench.first, 40) == sent
    assert bench.first.put(*sent) == 40
    assert received(bench.second, 40) == sent
    assert bench.second.put(*sent) == 40
    assert [bench.end.recv(4000) for _ in sent] == sent
    soon(lambda: bench.count(1, "waiting") == bench.count(2, "waiting") == 0, "nothing to wait")
    for port in (1, 2):
        assert bench.count(port, "frames_in") == bench.count(port, "frames_out") == 40
        assert bench.count(port, "bytes_in") == sum(map(len, sent))


def test_indices_of_16_bits_wrap_around(bench: Bench) -> None:
    frames = [ipv4(60, mark=mark) for mark in range(70_000)]
    sent, got = 0, 0
    while got < len(frames):
        if sent - got < ENTRIES:  # no more than the ring to the second device holds
            sent += bench.first.put(*frames[sent : sent + 32])
        for frame in bench.second.get():
            assert mark_of(frame) == got
            got += 1
    assert bench.engine.counters()[1]["drop_machine"] == 0
    assert bench.count(1, "rings_broken") == bench.count(2, "rings_broken") == 0


def test_a_full_ring_is_a_drop_by_the_machine(bench: Bench) -> None:
    for mark in range(ENTRIES + 6):
        bench.end.send(ipv4(60, mark=mark))
    soon(lambda: bench.engine.counters()[0]["drop_machine"] == 6, "the frames without room to be counted")
    soon(lambda: bench.count(1, "waiting") == ENTRIES, "the others to be counted")
    assert [mark_of(frame) for frame in bench.first.get()] == list(range(ENTRIES))
    soon(lambda: bench.count(1, "waiting") == 0, "their buffers to be reclaimed")
    bench.end.send(ipv4(60, mark=99))
    assert [mark_of(frame) for frame in received(bench.first, 1)] == [99]


def test_a_frame_longer_than_a_buffer_is_refused(bench: Bench) -> None:
    longest = 2048 - 12
    bench.end.send(ipv4(longest + 1))
    bench.end.send(ipv4(longest))
    assert received(bench.first, 1) == [ipv4(longest)]
    assert bench.engine.counters()[0]["drop_machine"] == 1


def test_an_inactive_port_is_down_and_begins_anew(bench: Bench) -> None:
    bench.first.put(ipv4(60, mark=1))
    received(bench.second, 1)
    bench.end.send(ipv4(60, mark=2))
    soon(lambda: bench.count(1, "frames_out") == 1, "the frame to be in the ring")
    bench.engine.set_rings([1], False)
    bench.end.send(ipv4(60, mark=3))
    soon(lambda: bench.engine.counters()[0]["drop_dst_down"] == 1, "the frame to be counted")
    bench.first.put(ipv4(60, mark=4))  # it is not looked at
    assert bench.count(1, "waiting") == 0
    bench.engine.set_rings([1], True)
    bench.first.reset()
    assert bench.first.rings[TO_ENGINE].posted == ENTRIES
    assert bench.first.rings[FROM_ENGINE].posted == 0  # neither the frame from before
    bench.first.put(ipv4(60, mark=5))
    assert [mark_of(frame) for frame in received(bench.second, 1)] == [5]
    bench.end.send(ipv4(60, mark=6))
    assert [mark_of(frame) for frame in received(bench.first, 1)] == [6]
    bench.engine.set_rings([1, 2], True)  # of a port that is active, too
    bench.first.reset()
    bench.first.put(ipv4(60, mark=7))
    bench.second.reset()
    assert [mark_of(frame) for frame in received(bench.second, 1)] == [7]


def test_a_trunk_of_vlans_over_rings(bench: Bench) -> None:
    (port,) = bench.engine.add_rings([memory := ring_memory(ENTRIES)], ENTRIES)
    trunk = Device(memory, ENTRIES, bench.call)
    os.close(memory)
    others = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    sites = bench.engine.add_ports([theirs.fileno() for _, theirs in others])
    bench.engine.add_pipes(
        [PipeSpec(port, vlan, site, 0, MODEL) for vlan, site in enumerate(sites, start=7)]
        + [PipeSpec(site, 0, port, vlan, MODEL) for vlan, site in enumerate(sites, start=7)]
    )
    bench.engine.set_rings([port], True)
    for vlan, (ours, theirs) in enumerate(others, start=7):
        plain = ipv4(100, mark=vlan)
        tagged = plain[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + plain[12:]
        trunk.put(tagged)
        ours.settimeout(20)
        assert ours.recv(200) == plain
        ours.send(plain)
        assert received(trunk, 1) == [tagged]
        ours.close()
        theirs.close()
    trunk.put(ipv4(60), b"short")
    soon(lambda: bench.count(port, "drop_vlan") == bench.count(port, "drop_runt") == 1, "both to be counted")
    assert bench.count(port, "rings_broken") == 0


def test_an_idle_engine_is_told_and_rests(bench: Bench) -> None:
    for ring, signals in ((bench.first.rings[TO_ENGINE], True), (bench.first.rings[FROM_ENGINE], False)):
        assert ring.signals == signals
    assert needless_turns(bench.engine) < 10, "the loop does not rest"
    for mark in range(200):  # each after the engine went to sleep again: no wake-up is lost
        bench.first.put(ipv4(60, mark=mark))
        assert mark_of(received(bench.second, 1)[0]) == mark


def test_a_loaded_engine_wants_no_signals_and_an_idle_one_again(bench: Bench) -> None:
    ring = bench.first.rings[TO_ENGINE]
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with one, other:
        ports = bench.engine.add_ports([one.fileno(), other.fileno()])
        pipes = bench.engine.add_pipes([PipeSpec(port, 0, port, 0, MODEL) for port in ports])
        for _ in range(16):
            one.send(ipv4(100))  # they go round in circles
        soon(lambda: not ring.signals, "the engine to want no signals")
        for mark in range(100):
            bench.first.put(ipv4(60, mark=mark))
            assert mark_of(received(bench.second, 1)[0]) == mark
        bench.engine.set_pipes([PipeChange(pipe, down=True) for pipe in pipes])
        soon(lambda: ring.signals, "the engine to want signals again")
    for mark in range(100):
        bench.first.put(ipv4(60, mark=mark))
        assert mark_of(received(bench.second, 1)[0]) == mark


def test_devices_that_signal_often_are_polled_instead(bench: Bench) -> None:
    """An engine that is woken by devices at short intervals looks by itself, though it is not busy."""
    ring = bench.first.rings[TO_ENGINE]
    sent = 0

    def polled() -> bool:
        nonlocal sent
        for _ in range(200):
            sent += bench.first.put(ipv4(60))
            bench.second.get()
        return not ring.signals

    soon(polled, "the engine to want no signals", pause_s=0)
    soon(lambda: ring.signals, "the engine to want signals again")
    bench.first.put(ipv4(60, mark=7))
    soon(lambda: bench.count(1, "frames_in") == sent + 1, "the last frame to be read")


def used_beyond(device: Device, ring: DeviceRing) -> None:
    """More buffers come back than the device had."""
    ring.used_head[1] = (int(ring.used_head[1]) + ring.posted + 1) % 65536


def used_backwards(device: Device, ring: DeviceRing) -> None:
    """The used index goes back."""
    ring.used_head[1] = (int(ring.used_head[1]) - 1) % 65536


def unknown_descriptor(device: Device, ring: DeviceRing) -> None:
    """A descriptor that does not exist."""
    ring.give(ENTRIES, 100)


def unknown_descriptor_of_32_bits(device: Device, ring: DeviceRing) -> None:
    """A descriptor that exists modulo 2^16."""
    ring.give(0x10000 | ring.take(), 100)


def returned_twice(device: Device, ring: DeviceRing) -> None:
    """A descriptor that the driver has already got back."""
    number = ring.take()
    index = int(ring.used_head[1])
    ring.used[index % ENTRIES] = ring.used[(index + 1) % ENTRIES] = (number, 100)
    ring.used_head[1] = (index + 2) % 65536


def without_header(device: Device, ring: DeviceRing) -> None:
    """A frame shorter than the header before it."""
    ring.give(ring.take(), 11)


def longer_than_its_buffer(device: Device, ring: DeviceRing) -> None:
    """A frame that ends behind its buffer."""
    ring.give(ring.take(), 2049)


def huge(device: Device, ring: DeviceRing) -> None:
    """A length that is none."""
    ring.give(ring.take(), 0xFFFFFFFF)


ANY_RING: list[Callable[[Device, DeviceRing], None]] = [
    used_beyond,
    used_backwards,
    unknown_descriptor,
    unknown_descriptor_of_32_bits,
    returned_twice,
]
VIOLATIONS = [(TO_ENGINE, violate) for violate in [*ANY_RING, without_header, longer_than_its_buffer, huge]]
VIOLATIONS += [(FROM_ENGINE, violate) for violate in ANY_RING]


@pytest.mark.parametrize(("number", "violate"), VIOLATIONS)
def test_a_device_that_breaks_the_protocol_ends_its_port_alone(
    bench: Bench, number: int, violate: Callable[[Device, DeviceRing], None]
) -> None:
    device, ring = bench.first, bench.first.rings[number]
    for mark in range(3):
        bench.end.send(ipv4(60, mark=mark))
    soon(lambda: device.rings[FROM_ENGINE].posted == 3, "the device to have frames of the engine's")
    violate(device, ring)
    os.eventfd_write(bench.call, 1)
    soon(lambda: bench.count(1, "rings_broken") == 1, "the violation to be counted")
    bench.end.send(ipv4(60))
    soon(lambda: bench.engine.counters()[0]["drop_dst_down"] == 1, "a frame for it to be counted")
    device.put(ipv4(60))
    for mark in range(10):  # the other port goes on
        bench.second.put(ipv4(60, mark=mark))
        assert bench.end.recv(100) == ipv4(60, mark=mark)
    assert bench.count(1, "rings_broken") == 1
    assert bench.count(2, "rings_broken") == 0
    bench.second.get()  # what came before the violation
    bench.engine.set_rings([1], True)
    device.reset()
    device.put(ipv4(60, mark=9))
    assert [mark_of(frame) for frame in received(bench.second, 1)] == [9]


def test_what_the_device_writes_elsewhere_is_not_believed(bench: Bench) -> None:
    """Descriptors and the available ring are the driver's: what stands there is never read back."""
    for ring in bench.first.rings:
        for number in range(ENTRIES):
            ring.desc[number] = (0xFFFFFFFFFFFF0000, 0xFFFFFFFF, 0xFFFF, 0xFFFF)
        ring.avail[2:] = 0xFFFF
        ring.used_head[0] = 0xFFFF
    ring = bench.first.rings[TO_ENGINE]
    for number in range(ENTRIES):
        ring.give(number, 12 + 60)
    os.eventfd_write(bench.call, 1)
    assert len(received(bench.second, ENTRIES)) == ENTRIES
    assert bench.count(1, "rings_broken") == 0
    bench.end.send(ipv4(60))
    soon(lambda: bench.count(1, "frames_out") == 1, "the frame to be in the ring")


def test_memory_that_could_end_the_engine_is_refused(bench: Bench) -> None:
    whole, unsealed = ring_memory(ENTRIES), ring_memory(ENTRIES, seals=fcntl.F_SEAL_GROW)
    for fd, entries in ((unsealed, ENTRIES), (whole, ENTRIES * 2), (bench.end.fileno(), ENTRIES)):
        with pytest.raises(EngineError, match=r"a memfd of at least \d+ bytes, sealed with F_SEAL_SHRINK"):
            bench.engine.add_rings([fd], entries)
    for entries in (0, 1, 3, 65536):
        with pytest.raises(EngineError, match=f"entries {entries}: a power of two from 2 to 32768"):
            bench.engine.add_rings([whole], entries)
    with pytest.raises(EngineError, match="there is no port 0 with rings"):
        bench.engine.set_rings([1, 0], False)
    with pytest.raises(EngineError, match="there is no port 9 with rings"):
        bench.engine.set_rings([9], True)
    bench.first.put(ipv4(60, mark=3))  # port 1 was left as it was
    assert [mark_of(frame) for frame in received(bench.second, 1)] == [3]
    assert bench.engine.add_rings([whole], ENTRIES) == [3]
    os.close(whole)
    os.close(unsealed)


@pytest.mark.parametrize("entries", [2, 64, 512, 32768])
def test_the_parts_of_the_rings_lie_apart_and_aligned(entries: int) -> None:
    size, *rings = vring_layout(entries)
    sizes = (16 * entries, 6 + 2 * entries, 6 + 8 * entries)
    parts = sorted((at, at + length) for ring in rings for at, length in zip(ring, sizes, strict=True))
    assert all(end <= start for (_, end), (start, _) in pairwise(parts))
    assert all(at % 64 == 0 for at, _ in parts)
    assert parts[-1][1] + 2 * entries * 2048 <= size and size % 4096 == 0
