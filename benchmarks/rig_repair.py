"""Inside a world: what established flows notice of a failure, of new paths after it, and of the return. Prints JSON.

A ring of five routers. The way from west to east leads over ``near``. Where ``near`` loses its line to the east it
sends packets back and round the other side, until the controller lets them turn off in the west at once.

    west --- near --- east          west-near 0.4 ms + half of the extra, near-east 3 ms
      \\                 |
       south --- far ---+           1 ms, 2 ms + the extra, 1 ms
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from emulation import world
from emulation.links import fibre_interface
from emulation.plant import Direction
from emulation.priority import LINKS, be_punctual
from emulation.procfs import thread_clocks
from policies.compile import compile_policy, library_path, load_policy
from scenarios.engine import FlowEngine
from scenarios.flowspec import Endpoint, FlowKind, FlowSpec
from scenarios.records import Array
from scenarios.rig import Rig
from scenarios.targets import Target
from topology.importers import import_network

LINK = "near-east"
DARK = "dark"  # the ports lose their light; the other kinds leave it on
SILENT = {"silent": tuple(Direction), "silent-forth": (Direction.FORWARD,), "silent-back": (Direction.BACK,)}
PORT = 20_000
INTERVAL_NS = 1_000_000
PAYLOAD_BYTES = 172
BEFORE_S = 0.3  # established by then
AFTER_S = 0.7  # longer than what is still under way under the old labels
MOST_S = 40  # a trial
DEADLINE_S = 30.0
IDLE_S = 10


def description(extra_us: int) -> str:
    """The network's file."""
    return f"""
name: ring
pops:
  west: {{lat: 60.4, lon: 5.3}}
  near: {{lat: 60.6, lon: 6.4}}
  east: {{lat: 59.9, lon: 10.7}}
  south: {{lat: 58.1, lon: 8.0}}
  far: {{lat: 59.1, lon: 10.2}}
links:
  west-near: {{a: west, b: near, rate: 1 Gbit/s, delay: {400 + extra_us // 2} us}}
  near-east: {{a: near, b: east, rate: 1 Gbit/s, delay: 3 ms}}
  west-south: {{a: west, b: south, rate: 1 Gbit/s, delay: 1 ms}}
  south-far: {{a: south, b: far, rate: 1 Gbit/s, delay: {2000 + extra_us} us}}
  far-east: {{a: far, b: east, rate: 1 Gbit/s, delay: 1 ms}}
sites:
  hospital-west: {{kind: hospital, lines: [{{router: west, rate: 100 Mbit/s, delay: 200 us}}]}}
  hospital-east: {{kind: hospital, lines: [{{router: east, rate: 100 Mbit/s, delay: 200 us}}]}}
"""


@dataclass(frozen=True)
class Trial:
    """When what happened, ns since the epoch."""

    struck_ns: int
    turned_ns: int  # the controller had all on new paths
    restored_ns: int


def flows(rig: Rig) -> Iterator[FlowSpec]:
    """One each way."""
    west, east = (rig.network.site[name] for name in ("hospital-west", "hospital-east"))
    for number, (a, b) in enumerate(((west, east), (east, west))):
        yield FlowSpec(
            id=number,
            name=f"{a.id} > {b.id}",
            kind=FlowKind.MESSAGES,
            class_name="best-effort",
            service="udp",
            client=a.id,
            server=b.id,
            source=Endpoint(a.id, a.address4, PORT + number),
            destination=Endpoint(b.id, b.address4, PORT + number),
            dscp=0,
            sent_dscp=0,
            interval_ns=INTERVAL_NS,
            burst=1,
            payload_bytes=PAYLOAD_BYTES,
            start_us=0,
            stop_us=MOST_S * 1_000_000,
        )


def strike(rig: Rig, kind: str) -> int:
    """Let the link fail; when it did."""
    if kind == DARK:
        return rig.fail(Target(LINK, links=(LINK,)))
    return min(rig.engine_plant.set_silent(LINK, direction, True) for direction in SILENT[kind])


def mend(rig: Rig, kind: str) -> int:
    """Bring it back; when it came."""
    if kind == DARK:
        return rig.restore(Target(LINK, links=(LINK,)))
    return max(rig.engine_plant.set_silent(LINK, direction, False) for direction in SILENT[kind])


def turned(rig: Rig, since: int, links_down: list[str]) -> int:
    """Waits until the controller has all on paths that avoid these links, and these alone; when that was."""

    def found(events: list[dict[str, Any]]) -> list[int]:
        switched = [event for event in events[since:] if event["event"] == "paths-switched"]
        return [event["t"] for event in switched if event["links_down"] == links_down]

    rig.controller.wait_for("new paths", lambda events: bool(found(events)), DEADLINE_S)
    return found(rig.controller.events)[0]


def trial(rig: Rig, kind: str) -> list[dict[str, Any]]:
    """What each flow noticed."""
    engine = FlowEngine(list(flows(rig)), rig.socket_in, cookie=time.monotonic_ns() & 0xFFFFFFFF)
    try:
        engine.start(time.time_ns() + 20_000_000)
        time.sleep(BEFORE_S)
        since = len(rig.controller.events)
        struck_ns = strike(rig, kind)
        turned_ns = turned(rig, since, [LINK])
        time.sleep(AFTER_S)
        since = len(rig.controller.events)
        restored_ns = mend(rig, kind)
        turned(rig, since, [])
        time.sleep(AFTER_S)
        engine.stop()
        when = Trial(struck_ns, turned_ns, restored_ns)
        return [noticed(engine.records[engine.records["flow"] == number], when) for number in (0, 1)]
    finally:
        engine.close()


def noticed(records: Array, when: Trial) -> dict[str, Any]:
    """A flow's longest silence around the failure, and how many datagrams were lost or overtaken after that.

    A datagram is reordered if one sent later has arrived before it (RFC 4737, 3.3)."""
    records = records[np.argsort(records["rx_ns"], kind="stable")]
    later = records["rx_ns"] >= when.restored_ns
    silence_ns, missing = np.diff(records["rx_ns"]), _missing(records)
    longest = int(np.argmax(np.where(later[1:], 0, silence_ns)))
    resumed_ns = int(records["rx_ns"][longest + 1])
    reordered = records["seq"] < np.maximum.accumulate(records["seq"])
    lost_ns = np.array([records["tx_ns"][0] + INTERVAL_NS * (seq - int(records["seq"][0])) for seq in missing])
    return {
        "silence_ms": float(silence_ns[longest]) / 1e6,
        "lost": int((lost_ns < resumed_ns).sum()) if len(missing) else 0,
        "lost_reoptimising": int(((lost_ns >= resumed_ns) & (lost_ns < when.restored_ns)).sum()) if len(missing) else 0,
        "lost_returning": int((lost_ns >= when.restored_ns).sum()) if len(missing) else 0,
        "reordered_reoptimising": int((reordered & ~later).sum()),
        "reordered_returning": int((reordered & later).sum()),
        "turned_after_ms": (when.turned_ns - when.struck_ns) / 1e6,
    }


def _missing(records: Array) -> list[int]:
    """Numbers that never arrived, between those that did."""
    arrived = set(records["seq"].tolist())
    return [seq for seq in range(min(arrived), max(arrived)) if seq not in arrived]


def processor_us(rig: Rig) -> float:
    """What a control packet of BFD costs from end to end: the switches' and the link engine's time on the idle network,
    less what they take without sessions."""
    with_sessions, packets = _idle(rig)
    for switch in rig.net.switches:
        for port in rig.network.ports[switch.name].values():
            switch.set_interface(fibre_interface(port), "bfd:enable=false")
    time.sleep(AFTER_S)
    without, _ = _idle(rig)
    return (with_sessions - without) / packets


def _idle(rig: Rig) -> tuple[float, int]:
    """Processor time (us) of the idle network for a while, and the frames on its fibres."""

    def now() -> tuple[int, int]:
        pids = [rig.engine.pid, *(switch.daemon_pid("ovs-vswitchd") for switch in rig.net.switches)]
        frames = rig.engine.counters()["frames_in"]
        pipes = [pipe for link in rig.network.links for pipe in astuple(rig.engine_plant.lines[link.id])[1:]]
        clocks = (clock for pid in pids for clock in thread_clocks(pid).values())
        return sum(clock.ran_ns for clock in clocks), int(frames[pipes].sum())

    before_ns, before = now()
    time.sleep(IDLE_S)
    after_ns, after = now()
    return (after_ns - before_ns) / 1000, after - before


def main() -> None:
    """Measure and print: extra delay of the other side (us), detection goal (ms), trials, kinds of failure."""
    logs, extra_us, goal_ms, trials, *kinds = sys.argv[1:]
    world.enter()
    be_punctual(LINKS)  # as the thread that strikes and restores in a scenario
    file = world.RUN_DIR / "ring.yaml"
    file.write_text(description(int(extra_us)), encoding="utf-8")
    plan = compile_policy(load_policy(library_path("open")), import_network(file, None, seed=1).network)
    rig = Rig(replace(plan, detect_within_us=int(goal_ms) * 1000), world.RUN_DIR, Path(logs), lambda event: None)
    rig.start(lambda stage: None)
    rows = [{"kind": kind, **row} for kind in kinds for _ in range(int(trials)) for row in trial(rig, kind)]
    print(json.dumps({"interval_ms": rig.bfd.interval_ms, "packet_us": processor_us(rig), "rows": rows}))


if __name__ == "__main__":
    main()
