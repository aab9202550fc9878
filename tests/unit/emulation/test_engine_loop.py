"""How often the engine's loop turns."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass

from engine_bench import ipv4
from waiting import wait_for

from helsewan.emulation.links.engine import EngineProcess, PipeSpec
from helsewan.emulation.links.pipe_model import PipeModel

PATIENCE_S = 10.0
GRAIN_NS = 80_000  # LOOP_GRAIN_NS
KEPT_S = 0.1
BUSY_S = 0.5
AT_ONCE = 200  # frames on their way: fewer would leave the engine idle between them


@dataclass(frozen=True)
class Work:
    """What the loop did in ``took_ns``: its turns, those that it first slept a grain out for, frames carried."""

    turns: int
    rests: int
    frames: int
    took_ns: int


def work_while(frames_at_once: int) -> Work:
    """Somebody sends so many frames at a time and waits for them."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    (source, _), (sink, _) = pairs
    with EngineProcess(max_ports=2, max_pipes=1) as engine:
        engine.add_ports([theirs.fileno() for _, theirs in pairs])
        engine.add_pipes([PipeSpec(0, 0, 1, 0, PipeModel(10_000_000_000, 0))])
        sink.settimeout(PATIENCE_S)
        before = engine.engine_counters().copy()
        frames, began_ns = 0, time.monotonic_ns()
        while time.monotonic_ns() - began_ns < BUSY_S * 1e9:
            for _ in range(frames_at_once):
                source.send(ipv4(100))
            for _ in range(frames_at_once):
                sink.recv(65536)
            frames += frames_at_once
        after, took_ns = engine.engine_counters().copy(), time.monotonic_ns() - began_ns
    for pair in pairs:
        for sock in pair:
            sock.close()
    turns, rests = (int(after[name][0]) - int(before[name][0]) for name in ("rounds", "rests"))
    return Work(turns, rests, frames, took_ns)


def test_under_load_it_turns_once_a_grain() -> None:
    work = work_while(AT_ONCE)
    assert work.frames > 100 * AT_ONCE, "too few to tell"
    assert work.turns < 2 * work.took_ns / GRAIN_NS  # a window or two without the rest, at the start
    assert work.rests > 0


def test_a_lone_frame_waits_for_no_grain() -> None:
    work = work_while(1)
    assert work.turns >= work.frames
    assert work.rests < work.turns / 10  # one that was kept from its core looks busy for a window


def test_a_loop_that_is_kept_from_running_says_so_though_nothing_was_on_its_way() -> None:
    with EngineProcess(max_ports=2, max_pipes=1) as engine:
        os.kill(engine.pid, signal.SIGSTOP)
        time.sleep(2 * KEPT_S)  # how long it is stopped is what is tested
        os.kill(engine.pid, signal.SIGCONT)
        wait_for(lambda: engine.lateness().longest_round_us > KEPT_S * 1e6, "the time without a look")
