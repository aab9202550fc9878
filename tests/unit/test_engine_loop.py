"""How often the engine's loop turns."""

from __future__ import annotations

import socket
import time

from engine_bench import ipv4

from emulation.engine import EngineProcess, PipeSpec
from emulation.pipe_model import PipeModel

PATIENCE_S = 10.0
GRAIN_NS = 80_000  # LOOP_GRAIN_NS
BUSY_S = 0.3


def test_under_load_it_turns_once_a_grain() -> None:
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
    (source, _), (sink, _) = pairs
    with EngineProcess(max_ports=2, max_pipes=1) as engine:
        engine.add_ports([theirs.fileno() for _, theirs in pairs])
        engine.add_pipes([PipeSpec(0, 0, 1, 0, PipeModel(10_000_000_000, 0))])
        sink.settimeout(PATIENCE_S)
        rounds = engine.engine_counters()["rounds"]
        frames, before, began_ns = 0, int(rounds[0]), time.monotonic_ns()
        while time.monotonic_ns() - began_ns < BUSY_S * 1e9:
            source.send(ipv4(100))
            sink.recv(65536)
            frames += 1
        turns, took_ns = int(rounds[0]) - before, time.monotonic_ns() - began_ns
    for pair in pairs:
        for sock in pair:
            sock.close()
    # Two turns in a row without a rest between them come after one of two grains or more.
    assert turns <= took_ns / GRAIN_NS + 2
    assert frames > 100, "too few to tell"
