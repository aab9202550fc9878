"""In a sandbox: disruption of established flows by failures in a ring, by new paths after them, and by the return.
Prints JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.repair.disruption import Flows, known_silence, trial
from benchmarks.repair.ring import FAILURES, Ring
from benchmarks.repair.ring_baselines import Ospf, SpanningTree
from benchmarks.repair.ring_helsewan import Helsewan
from helsewan.emulation.routers.bfd import MULTIPLIER
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime


def ring(name: str, logs: Path, interval_ms: int, python: str) -> Ring:
    """The ring of ``helsewan``, ``ospf`` or ``spanning-tree``."""
    if name == "helsewan":
        return Helsewan(logs, interval_ms, MULTIPLIER)
    return Ospf(logs, interval_ms, MULTIPLIER) if name == "ospf" else SpanningTree(logs, python)


def main() -> None:
    """Measure and print. Arguments: a folder for logs, the kind of ring, BFD's interval (ms), the Python that has
    Ryu, other traffic in packets/s, the additional delays (us, with commas) of the alternative path, used in turn,
    and kinds of failure, each with a number of trials."""
    logs, name, interval_ms, python, load, longer_us, *wanted = sys.argv[1:]
    sandbox.enter()
    set_realtime(LINKS)  # as the thread that injects and repairs faults in a scenario
    measured = ring(name, Path(logs), int(interval_ms), python)
    measured.start()
    rows: list[dict[str, Any]] = []
    steps_us = [int(step) for step in longer_us.split(",")]
    with Flows(measured, int(load)) as flows:
        found = {"known_silence_error_ms": known_silence(flows), "version": measured.version(), "rows": rows}
        for entry in wanted:
            kind, trials = entry.split("=")
            for number in range(int(trials)):
                noticed = trial(flows, FAILURES[kind], steps_us[number % len(steps_us)])
                rows += [{"kind": kind, **row} for row in noticed]
    if isinstance(measured, Helsewan):
        found["bfd_packet_us"] = measured.bfd_packet_us()
    print(json.dumps(found), flush=True)
    os._exit(0)  # the sandbox ends with this process


if __name__ == "__main__":
    main()
