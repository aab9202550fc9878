"""How often the engine's loop turns."""

from __future__ import annotations

import socket
import time

from engine_bench import ipv4

from emulation.engine import EngineProcess, PipeSpec
from emulation.pipe_model import PipeModel

PATIENCE_S = 10.0
GRAIN_NS = 80_000  # LOOP_GRAIN_NS
BUSY_S = 0.5
AT_ONCE = 200  # frames on their way: fewer would leave the engine idle between them


def turns_while(frames_at_once: int) -> tuple[int, int, int]:
    """What the loop does while somebody sends so many frames at a time and waits for them: turns, frames, time."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    (source, _), (sink, _) = pairs
    with EngineProcess(max_ports=2, max_pipes=1) as engine:
        engine.add_ports([theirs.fileno() for _, theirs in pairs])
        engine.add_pipes([PipeSpec(0, 0, 1, 0, PipeModel(10_000_000_000, 0))])
        sink.settimeout(PATIENCE_S)
        rounds = engine.engine_counters()["rounds"]
        frames, before, began_ns = 0, int(rounds[0]), time.monotonic_ns()
        while time.monotonic_ns() - began_ns < BUSY_S * 1e9:
            for _ in range(frames_at_once):
                source.send(ipv4(100))
            for _ in range(frames_at_once):
                sink.recv(65536)
            frames += frames_at_once
        turns, took_ns = int(rounds[0]) - before, time.monotonic_ns() - began_ns
    for pair in pairs:
        for sock in pair:
            sock.close()
    return turns, frames, took_ns


def test_under_load_it_turns_once_a_grain() -> None:
    turns, frames, took_ns = turns_while(AT_ONCE)
    assert frames > 100 * AT_ONCE, "too few to tell"
    assert turns < 2 * took_ns / GRAIN_NS  # a window or two without the rest, at the start


def test_a_lone_frame_waits_for_no_grain() -> None:
    turns, frames, took_ns = turns_while(1)
    assert took_ns / frames < GRAIN_NS
    assert turns >= frames
