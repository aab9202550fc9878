"""In a sandbox: the rate that a chain of five routers carries. Prints JSON.

The routers' rules are the forwarding part of the real pipeline, without admission and contracts: two labels are pushed
at the first router, the outer one is matched at each, both are popped at the last. The ends of the chain are sites with
TAPs, or rings that a source and a sink work from the device's side.
"""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

from benchmarks.frames.packet_mmap import Source
from benchmarks.frames.rings import RingBackend, RingTraffic
from benchmarks.frames.routers import add_port, forwarders, lone_routers, processor_ns
from benchmarks.frames.taps import INTERFACE, end, sites, udp_frame
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.link_backend import End
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime

ROUTERS = 5
IP_BYTES = 1500
RATE_BPS = 10_000_000_000  # the machine is the limit
DELAY_US = 1000
BUFFER_US = 20_000
WARM_UP_MBIT_S = 10
WARM_UP_S = 0.5
SETTLE_S = 0.5
LABELS = "push_mpls:0x8847,set_field:32->mpls_label,push_mpls:0x8847,set_field:16->mpls_label"
WEST, EAST = 1, 2  # a router's ports


def rules(place: int) -> list[str]:
    """The rules of the router at ``place`` in the chain."""
    if place == 0:
        return [f"in_port={WEST},ip,actions={LABELS},output:{EAST}"]
    if place < ROUTERS - 1:
        return [f"in_port={WEST},mpls,mpls_label=16,actions=output:{EAST}"]
    return [
        "table=0,mpls,mpls_label=16,actions=pop_mpls:0x8847,goto_table:1",
        "table=1,mpls,mpls_label=32,actions=pop_mpls:0x0800,goto_table:2",
        f"table=2,ip,actions=output:{EAST}",
    ]


def shape(rate_bps: int, delay_us: int) -> PipeModel:
    """The model of a link with one queue."""
    return PipeModel(rate_bps, delay_us, (ClassQueue(limit_us=BUFFER_US),))


class Ends(ABC):
    """What is at both ends of the chain."""

    ends: tuple[End, End]

    @abstractmethod
    def send_paced(self, seconds: float, frames_per_s: float) -> tuple[int, int]:
        """Send at a rate; returns how many frames were sent, and how many have arrived."""


class TapEnds(Ends):
    """Two sites with a TAP each."""

    def __init__(self, backend: RingBackend) -> None:
        self._nodes, self.ends = sites(backend)
        self._source: Source | None = None

    def send_paced(self, seconds: float, frames_per_s: float) -> tuple[int, int]:
        """Send from the first site."""
        if self._source is None:
            self._source = Source(self._nodes[0].namespace, INTERFACE, udp_frame(IP_BYTES))
        sent, arrived = self._source.sent, self._arrived()
        self._source.send_paced(seconds, frames_per_s)
        time.sleep(SETTLE_S)
        return self._source.sent - sent, self._arrived() - arrived

    def _arrived(self) -> int:
        return self._nodes[1].netlink.statistics(INTERFACE)["rx_packets"]


class RingEnds(Ends):
    """Two ports of the engine whose rings a source and a sink work."""

    def __init__(self, backend: RingBackend, folder: Path) -> None:
        (first, source), (second, sink) = backend.ring_end(), backend.ring_end()
        self.ends = first, second
        self._traffic = RingTraffic(source, sink, backend.engine.call_descriptor(), udp_frame(IP_BYTES), folder)

    def send_paced(self, seconds: float, frames_per_s: float) -> tuple[int, int]:
        """Send into the first port."""
        sent, arrived, _ = self._traffic.send_paced(seconds, frames_per_s, SETTLE_S)
        return sent, arrived


def build(backend: RingBackend, ends: Ends, logs: Path) -> list[RouterSwitch]:
    """Start the routers between the two ends with their rules."""
    routers = lone_routers(ROUTERS, backend, logs)
    west, east = ends.ends
    for place, router in enumerate(routers):
        near, far = (end(backend, router, f"port{port}") for port in (WEST, EAST))
        for port in (WEST, EAST):
            add_port(router, f"port{port}", port)
        backend.join(f"link{place}", west, near, RATE_BPS, DELAY_US)
        west = far
    backend.join(f"link{ROUTERS}", west, east, RATE_BPS, DELAY_US)
    backend.commit()
    type(routers[0]).batchStartup(routers)
    for place, router in enumerate(routers):
        for rule in rules(place):
            router.ofctl("add-flow", rule)
    return routers


def offer(engine: EngineProcess, ends: Ends, mbit_s: float, seconds: float) -> dict[str, int]:
    """Send at a rate; count the frames lost in the links (by the model) and by the machine."""
    by_model = model_drops(engine)
    frames_per_s = mbit_s * 1e6 / (8 * IP_BYTES)
    sent, arrived = ends.send_paced(seconds, frames_per_s)
    by_model = model_drops(engine) - by_model
    asked = int(frames_per_s * seconds)
    return {
        "asked": asked,
        "sent": sent,
        "arrived": arrived,
        "by_model": by_model,
        "by_machine": sent - arrived - by_model,
    }


def model_drops(engine: EngineProcess) -> int:
    """Frames dropped by the links' queues, as the model requires."""
    return int(engine.class_counters()["drop_tail"].sum())


def main() -> None:
    """Measure and print. Arguments: a folder for logs, what is at the ends (``taps`` or ``rings``), the seconds for
    each rate, rates in Mbit/s of IP packets."""
    folder, what, seconds, *rates = sys.argv[1:]
    logs = Path(folder)
    sandbox.enter()
    found = []
    with EngineProcess(max_ports=64, max_pipes=64) as engine:
        backend = RingBackend(engine, shape)
        ends = RingEnds(backend, logs) if what == "rings" else TapEnds(backend)
        routers = build(backend, ends, logs)
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores - {max(cores)} or cores)  # the last one is the polling thread's
        set_realtime(LINKS + 1)  # source and sink stand for other machines
        processes = {"routers": forwarders(routers), "engine": {engine.pid}, "ends": {os.getpid()}}
        offer(engine, ends, WARM_UP_MBIT_S, WARM_UP_S)
        for rate in map(float, rates):
            before = {name: processor_ns(pids) for name, pids in processes.items()}
            at_write = int(engine.counters()["drop_machine"].sum())
            outcome = offer(engine, ends, rate, float(seconds))
            cpu_us = {name: (processor_ns(pids) - before[name]) / 1000 for name, pids in processes.items()}
            at_write = int(engine.counters()["drop_machine"].sum()) - at_write
            found.append({"mbit_s": rate, **outcome, "lost_at_write": at_write, "cpu_us": cpu_us})
        backend.rings.close()
    print(json.dumps(found), flush=True)
    os._exit(0)  # the sandbox ends with this process


if __name__ == "__main__":
    main()
