"""The machine's capacity, measured in a fraction of a second: timer lateness, and processor time per frame."""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass

import numpy as np

from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import CORE_MTU, TAP_QUEUE
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.sandbox.procfs import thread_clock_ns
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime

SLEEPS = 100
SLEEP_S = 0.001
FRAME = bytes.fromhex("02000000000202000000000188b5") + bytes(1500)  # a type for experiments (IEEE 802a)
BURST = TAP_QUEUE // 2
BURSTS = 4
DRAIN_S = 1.0
RATE_BPS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """The machine's capacity. ``timer_p50_us``, ``timer_p99_us``: how late a thread of the link engine's priority
    wakes. ``line_us``: the link engine's processor time for a full frame on one link. ``scheduling``: the priority that
    was granted (``helsewan.emulation.sandbox.realtime``)."""

    timer_p50_us: float
    timer_p99_us: float
    line_us: float
    scheduling: str
    cores: int


def measure_capacity() -> Capacity:
    """Measure it; creates namespaces and TAPs, so it runs inside a sandbox. Raises OSError or EngineError."""
    p50_us, p99_us = timer_lateness_us()
    line_us, scheduling = _link_cost_us()
    return Capacity(p50_us, p99_us, line_us, scheduling, len(os.sched_getaffinity(0)))


def timer_lateness_us() -> tuple[float, float]:
    """Median and 99th percentile of how much too long a sleep of SLEEP_S is, us."""
    late_us: list[float] = []

    def sleep() -> None:
        set_realtime(LINKS)
        for _ in range(SLEEPS):
            began_ns = time.monotonic_ns()
            time.sleep(SLEEP_S)
            late_us.append((time.monotonic_ns() - began_ns) / 1000 - SLEEP_S * 1e6)

    thread = threading.Thread(target=sleep, name="timer-lateness")
    thread.start()
    thread.join()
    return float(np.percentile(late_us, 50)), float(np.percentile(late_us, 99))


def _link_cost_us() -> tuple[float, str]:
    """The link engine's processor time (us) for a frame on a temporary link, and the priority it was granted."""
    with EngineProcess(max_ports=2, max_pipes=2) as engine:
        backend = EngineBackend(engine, PipeModel)
        nodes = [NamespaceNode(f"scratch{number}") for number in range(2)]
        ends = [backend.end(node, "link0") for node in nodes]
        for node in nodes:
            node.bring_up("link0", mtu=CORE_MTU, txqlen=TAP_QUEUE)
        backend.join("scratch", ends[0], ends[1], RATE_BPS, 0)
        backend.commit()
        before_ns, _ = thread_clock_ns(engine.pid)
        carried = burst_through(engine, nodes[0], "link0")
        ran_ns = thread_clock_ns(engine.pid)[0] - before_ns
        for node in nodes:
            node.terminate()
        return ran_ns / max(1, carried) / 1000, engine.scheduling


def burst_through(engine: EngineProcess, node: NamespaceNode, interface: str) -> int:
    """Send full frames from a node in bursts; returns how many the engine delivered, summed over all links."""
    before = _delivered(engine)
    with node.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((interface, 0))
        for _ in range(BURSTS):
            for _ in range(BURST):
                sender.send(FRAME)
            _wait_until_read(engine)
    return _delivered(engine) - before


def _delivered(engine: EngineProcess) -> int:
    return int(engine.counters()["frames_out"].sum())


def _wait_until_read(engine: EngineProcess) -> None:
    """Wait until the engine delivers no more frames, DRAIN_S at most."""
    until, seen = time.monotonic() + DRAIN_S, -1
    while time.monotonic() < until and seen != (seen := _delivered(engine)):
        time.sleep(0.002)
