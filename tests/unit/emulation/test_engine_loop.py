"""The number of iterations of the engine's loop."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine_bench import ipv4
from waiting import wait_for

from helsewan.emulation.links.engine import EngineProcess, PipeSpec
from helsewan.emulation.links.pipe_model import PipeModel

PATIENCE_S = 30.0
GRAIN_NS = 80_000  # LOAD_INTERVAL_NS
KEPT_S = 0.1
BUSY_S = 0.5
CIRCLING = 16  # frames: a turn that carries them takes well over a fifth of a grain, or the engine would not be loaded
LONE = 5  # frames of one trial, one at a time
LONE_GAP_S = 0.001
QUIET_S = 0.03  # a window of the load's measurement and the longest sleep before it, with some to spare
# No turn may have taken longer if the loop is to find itself idle: of a window of 4 ms (five turns) less than half.
CALM_US = 400.0
MODEL = PipeModel(10_000_000_000, 0)


@dataclass(frozen=True)
class Work:
    """What the loop did in ``took_ns``: its turns, those that it first slept a grain out for, frames carried."""

    turns: int
    rests: int
    frames: int
    took_ns: int


@contextmanager
def measured(engine: EngineProcess) -> Iterator[list[Work]]:
    """What the engine itself counts while the block runs, put into the list at its end."""
    found: list[Work] = []
    before, pipes_before, began_ns = engine.engine_counters().copy(), engine.counters().copy(), time.monotonic_ns()
    yield found
    after, frames = (
        engine.engine_counters().copy(),
        int((engine.counters()["frames_out"] - pipes_before["frames_out"]).sum()),
    )
    turns, rests = (int(after[name][0]) - int(before[name][0]) for name in ("rounds", "rests"))
    found.append(Work(turns, rests, frames, time.monotonic_ns() - began_ns))


def pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def test_under_load_it_turns_once_a_grain() -> None:
    """Frames go round in circles: both ends of a pair of sockets are the engine's, and each sends back what it gets.
    So the load is the engine's own, however fast the host is and whatever else runs on it."""
    one, other = pair()
    with one, other, EngineProcess(max_ports=2, max_pipes=2) as engine:
        engine.add_ports([one.fileno(), other.fileno()])
        engine.add_pipes([PipeSpec(0, 0, 0, 0, MODEL), PipeSpec(1, 0, 1, 0, MODEL)])
        for _ in range(CIRCLING):
            one.send(ipv4(100))
        with measured(engine) as found:
            time.sleep(BUSY_S)
    (work,) = found
    assert work.frames > 100 * CIRCLING, "too few to tell"
    assert work.turns < 2 * work.took_ns / GRAIN_NS  # a window or two without the rest, at the start
    assert work.rests > 0


def lone_frames(engine: EngineProcess, source: socket.socket, sink: socket.socket) -> tuple[Work, float]:
    """Frames sent one at a time, and the longest turn meanwhile, us."""
    time.sleep(QUIET_S)
    engine.restart_lateness()
    with measured(engine) as found:
        for _ in range(LONE):
            source.send(ipv4(100))
            sink.recv(65536)
            time.sleep(LONE_GAP_S)
    return found[0], engine.lateness().longest_round_us


def test_a_lone_frame_waits_for_no_grain() -> None:
    """A loop that was kept from its core looks busy for a while: only a trial in which it was not tells anything."""
    (source, port), (sink, other) = pair(), pair()
    with source, port, sink, other, EngineProcess(max_ports=2, max_pipes=1) as engine:
        engine.add_ports([port.fileno(), other.fileno()])
        engine.add_pipes([PipeSpec(0, 0, 1, 0, MODEL)])
        sink.settimeout(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        work, longest_us = lone_frames(engine, source, sink)
        while longest_us > CALM_US and time.monotonic() < deadline:
            work, longest_us = lone_frames(engine, source, sink)
    assert longest_us <= CALM_US, "the host never let the engine run undisturbed"
    assert work.frames == LONE
    assert work.turns >= work.frames
    assert work.rests == 0


def test_a_loop_that_is_kept_from_running_says_so_though_nothing_was_on_its_way() -> None:
    with EngineProcess(max_ports=2, max_pipes=1) as engine:
        os.kill(engine.pid, signal.SIGSTOP)
        time.sleep(2 * KEPT_S)  # how long it is stopped is what is tested
        os.kill(engine.pid, signal.SIGCONT)
        wait_for(lambda: engine.lateness().longest_round_us > KEPT_S * 1e6, "the time without a look")
