"""In a sandbox: the rate that a chain of five routers carries between two sites at its ends. Prints JSON.

The routers' rules are the forwarding part of the real pipeline, without admission and contracts: two labels are pushed
at the first router, the outer one is matched at each, both are popped at the last.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from benchmarks.frames.packet_mmap import Source
from benchmarks.frames.taps import INTERFACE, cpu_ns, end, sites, udp_frame
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel
from helsewan.emulation.netlink.interfaces import NetlinkIntf
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime

ROUTERS = 5
IP_BYTES = 1500
RATE_BPS = 1_000_000_000
DELAY_US = 1000
BUFFER_US = 20_000
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


def build(backend: EngineBackend, logs: Path) -> tuple[list[NamespaceNode], list[RouterSwitch]]:
    """Build the two sites, and start the routers between them with their rules."""
    nodes, (west, east) = sites(backend)
    routers = []
    for place in range(ROUTERS):
        router = RouterSwitch(f"r{place}", sandbox.RUN_DIR, logs, dpid=f"{place + 1:x}")
        near, far = (end(backend, router, f"port{port}") for port in (WEST, EAST))
        for port in (WEST, EAST):
            NetlinkIntf(f"port{port}", node=router, port=port)
        backend.join(f"link{place}", west, near, RATE_BPS, DELAY_US)
        routers.append(router)
        west = far
    backend.join(f"link{ROUTERS}", west, east, RATE_BPS, DELAY_US)
    backend.commit()
    RouterSwitch.batchStartup(routers)
    for place, router in enumerate(routers):
        for rule in rules(place):
            router.ofctl("add-flow", rule)
    return nodes, routers


def offer(
    engine: EngineProcess, nodes: list[NamespaceNode], source: Source, mbit_s: float, seconds: float
) -> dict[str, int]:
    """Send at a rate; count the frames lost in the links (by the model) and by the machine."""
    sent = source.sent
    arrived = nodes[1].netlink.statistics(INTERFACE)["rx_packets"]
    by_model = model_drops(engine)
    frames_per_s = mbit_s * 1e6 / (8 * IP_BYTES)
    source.send_paced(seconds, frames_per_s)
    time.sleep(SETTLE_S)
    sent = source.sent - sent
    arrived = nodes[1].netlink.statistics(INTERFACE)["rx_packets"] - arrived
    by_model = model_drops(engine) - by_model
    asked = int(frames_per_s * seconds)
    return {
        "asked": asked,
        "sent": sent,
        "arrived": arrived,
        "by_model": by_model,
        "by_machine": sent - arrived - by_model,
    }


def machine_drops(engine: EngineProcess, routers: list[RouterSwitch]) -> dict[str, int]:
    """Frames that the machine lost, by place: between a router's two interfaces, before the engine read them, when the
    engine wrote them."""
    found = {"engine_write": int(engine.counters()["drop_machine"].sum()), "tap": 0}
    for router in routers:
        near, far = (router.netlink.statistics(f"port{port}") for port in (WEST, EAST))
        found[router.name] = near["rx_packets"] - far["tx_packets"] - far["tx_dropped"]
        found["tap"] += far["tx_dropped"]
    return found


def model_drops(engine: EngineProcess) -> int:
    """Frames dropped by the links' queues, as the model requires."""
    return int(engine.class_counters()["drop_tail"].sum())


def main() -> None:
    """Measure and print, for the requested rates in Mbit/s of IP packets."""
    logs, seconds, *rates = sys.argv[1:]
    sandbox.enter()
    found = []
    set_realtime(LINKS + 1)  # the source stands for other machines
    with EngineProcess(max_ports=64, max_pipes=64) as engine:
        backend = EngineBackend(engine, shape)
        nodes, routers = build(backend, Path(logs))
        source = Source(nodes[0].namespace, INTERFACE, udp_frame(IP_BYTES))
        processes = {router.name: int((router.home / "ovs-vswitchd.pid").read_text()) for router in routers}
        processes["engine"] = engine.pid
        offer(engine, nodes, source, 10, WARM_UP_S)
        for rate in map(float, rates):
            cpu = {name: cpu_ns(pid) for name, pid in processes.items()}
            before = machine_drops(engine, routers)
            outcome = offer(engine, nodes, source, rate, float(seconds))
            cpu = {name: cpu_ns(pid) - cpu[name] for name, pid in processes.items()}
            per_frame = {name: spent / outcome["sent"] / 1000 for name, spent in cpu.items()}
            lost = {place: count - before[place] for place, count in machine_drops(engine, routers).items()}
            found.append({"mbit_s": rate, **outcome, "lost": lost, "cpu_us": per_frame})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
