"""In a sandbox: full frames a second that one link of the engine carries, and the cost of each. Prints JSON."""

from __future__ import annotations

import json
import os
import socket
import time

from benchmarks.frames.packet_mmap import Source
from benchmarks.frames.taps import INTERFACE, UDP_PORT, cpu_ns, sites, ticks, udp_frame
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime

SECONDS = 3.0
WARM_UP_S = 0.5
WINDOW = 512  # frames sent and not yet read by the engine: its TAP never runs empty and never overflows
IP_BYTES = 1500
RATE_BPS = 10_000_000_000
DELAY_US = 1000


def main() -> None:
    """Measure and print."""
    sandbox.enter()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:-1] or cores)
    set_realtime(LINKS + 1)  # the source stands for another machine
    with EngineProcess(max_ports=2, max_pipes=2) as engine:
        os.sched_setaffinity(engine.pid, cores[-1:])
        backend = EngineBackend(engine, PipeModel)
        nodes, (west, east) = sites(backend)
        backend.join("link", west, east, RATE_BPS, DELAY_US)
        backend.commit()
        receiver = nodes[1].namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("", UDP_PORT))  # and never reads: frames pass the whole network stack up to a full socket
        source = Source(nodes[0].namespace, INTERFACE, udp_frame(IP_BYTES))
        print(json.dumps(measure(engine, source)))


def measure(engine: EngineProcess, source: Source) -> dict[str, float]:
    """Keep the link's first direction busy and measure rate and cost."""
    port, pipe, loop = engine.port_counters()[:1], engine.counters()[:1], engine.engine_counters()
    source.send_windowed(WARM_UP_S, lambda: int(port["frames_in"][0]), WINDOW)
    began_ns, cpu_began, ticks_began = time.monotonic_ns(), cpu_ns(engine.pid), ticks(engine.pid)
    frames_began, rounds_began = int(pipe["frames_out"][0]), int(loop["rounds"][0])
    source.send_windowed(SECONDS, lambda: int(port["frames_in"][0]), WINDOW)
    took_ns, cpu = time.monotonic_ns() - began_ns, cpu_ns(engine.pid) - cpu_began
    user, system = (now - then for now, then in zip(ticks(engine.pid), ticks_began, strict=True))
    frames, rounds = int(pipe["frames_out"][0]) - frames_began, int(loop["rounds"][0]) - rounds_began
    return {
        "gbit_s": frames * IP_BYTES * 8 / took_ns,
        "busy": cpu / took_ns,
        "cpu_us": cpu / frames / 1000,
        "user_us": cpu / frames / 1000 * user / (user + system),
        "frames_per_round": frames / rounds,
        "p99_late_us": engine.lateness().p99_us,
    }


if __name__ == "__main__":
    main()
