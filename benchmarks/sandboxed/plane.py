"""In a sandbox: processor time of a running national network, idle and with datagrams over six routers. Prints JSON.

Everything in the sandbox is counted: the traffic's senders and receivers, the link engine, routers, controllers, and
the monitoring of a running network.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.frames.routers import forwarders, processor_ns
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, cores_awake, set_realtime
from helsewan.lab.calibration.calibration import INTERVAL_NS, CalibrationPath, calibration_paths, flow_over
from helsewan.lab.emulation import Emulation
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.health.validity import Grade, assess, of_traffic
from helsewan.lab.supervision.supervisor import PartLost
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network

CORE_LINKS = 5  # so six routers
CANDIDATES = 20_000
SOON_NS = 50_000_000
SETTLE_S = 2.0  # flow caches fill, loads adapt
MEASURED_S = 10.0
SPARE_S = 10.0  # streams go on meanwhile; they are stopped before


def long_paths(plan: Plan) -> Iterator[CalibrationPath]:
    """Paths over CORE_LINKS links, in a class that is not policed."""
    for path in calibration_paths(plan, seed=2, limit=CANDIDATES):
        service = plan.service[path.service]
        if len(path.links) == CORE_LINKS and not plan.traffic_class[service.class_name].police_share:
            yield path


def streams(plan: Plan, datagrams_per_s: int) -> list[FlowSpec]:
    """Streams of telephony, a datagram each 20 ms, over long paths; evenly interleaved."""
    count = datagrams_per_s * INTERVAL_NS // 1_000_000_000
    bursts = round((SETTLE_S + MEASURED_S + SPARE_S) * 1e9) // INTERVAL_NS
    return [
        flow_over(path, plan, number, start_us=number * INTERVAL_NS // count // 1000, bursts=bursts)
        for number, path in enumerate(islice(cycle(long_paths(plan)), count))
    ]


class Spent:
    """Processor time of the sandbox's processes, ns, by part."""

    def __init__(self, emulation: Emulation) -> None:
        testbed = emulation.testbed
        parts = {"engine": {testbed.engine.pid}, "routers": forwarders(testbed.net.switches), "traffic": {os.getpid()}}
        running = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
        self._parts = parts | {"others": running - set().union(*parts.values())}
        self._before, self._began = self._now(), time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since the object was made."""
        return time.monotonic() - self._began

    def cores(self) -> dict[str, float]:
        """Cores that each part has used since the object was made."""
        now, elapsed_ns = self._now(), self.seconds * 1e9
        return {name: (spent - self._before[name]) / elapsed_ns for name, spent in now.items()}

    def _now(self) -> dict[str, int]:
        return {name: processor_ns(pids) for name, pids in self._parts.items()}


def idle(emulation: Emulation) -> dict[str, Any]:
    """The cores that the network takes without traffic."""
    time.sleep(SETTLE_S)
    spent = Spent(emulation)
    time.sleep(MEASURED_S)
    return {"cores": spent.cores()}


def loaded(emulation: Emulation, datagrams_per_s: int) -> dict[str, Any]:
    """The cores that it takes with so many datagrams a second, the datagrams that were sent and arrived meanwhile, and
    how far the run can be trusted."""
    flows = streams(emulation.plan, datagrams_per_s)
    engine = FlowEngine(flows, emulation.testbed.socket_in, cookie=time.monotonic_ns() & 0xFFFFFFFF)
    try:
        engine.start(time.time_ns() + SOON_NS)
        time.sleep(SETTLE_S)
        since_s, spent, due, arrived = time.time(), Spent(emulation), engine.due.sum(), len(engine.records)
        time.sleep(MEASURED_S)
        due, arrived = engine.due.sum() - due, len(engine.records) - arrived
        cores, seconds = spent.cores(), spent.seconds
        engine.stop()
        keeping = replace(engine.keeping_up(), unfinished=0)
    finally:
        engine.close()
    try:
        validity = emulation.validity(since_s)
        grade, reasons = validity.grade, [*map(str, validity.reasons)]
    except PartLost as gone:
        grade, reasons = Grade.VOID, [str(gone)]
    traffic = assess(of_traffic(keeping))
    grade = max(grade, traffic.grade, key=lambda one: one.rank)
    return {
        "datagrams_per_s": datagrams_per_s,
        "flows": len(flows),
        "cores": cores,
        "seconds": seconds,
        "due": int(due),
        "arrived": arrived,
        "grade": grade.value,
        "reasons": [*reasons, *map(str, traffic.reasons)],
    }


def main() -> None:
    """Measure and print. Arguments: a folder for logs, the number of sites, datagrams a second (0: idle)."""
    logs, sites, *rates = sys.argv[1:]
    sandbox.enter()
    emulation = Emulation(national_network(int(sites), seed=1), log_dir=Path(logs))
    began = time.monotonic()
    with cores_awake():  # as in a scenario's run
        emulation.start()
        up_s = time.monotonic() - began
        set_realtime(LINKS + 1)  # so that both ends of the measured interval are on time; sleeps between them
        rows = [loaded(emulation, rate) if rate else idle(emulation) for rate in map(int, rates)]
    print(json.dumps({"up_s": up_s, "rows": rows}), flush=True)
    os._exit(0)  # the sandbox ends with this process


if __name__ == "__main__":
    main()
