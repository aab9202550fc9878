"""In a sandbox: one-path delay over 1, 3 and 5 core links against the model, with links idle and loaded. Prints JSON.

Load is other traffic between the same two sites: trains of full frames that keep their access links (34 Mbit/s each,
the slowest links on the path) busy for a tenth or half of the time, and the routers and the engine with them. Probes
are sent in the middle of the gaps between trains, where no frame waits in the model: its delay is propagation and
serialisation alone, and any further delay is the machine's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from helsewan.emulation.links.pipe_model import LAYER1_OVERHEAD_BYTES
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import cores_awake
from helsewan.lab.calibration.calibration import (
    CalibrationPath,
    calibration_paths,
    flow_over,
    model_us,
    one_way_delays_us,
)
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network

SITES = 260
LENGTHS = (1, 3, 5)
LOADS = (0.0, 0.1, 0.5)
PATHS = 4  # of each length
RATE_BPS = 34_000_000
TRAIN = 8  # frames
FULL_PAYLOAD_BYTES = 1472
FULL_FRAME_BYTES = 1500 + 14 + LAYER1_OVERHEAD_BYTES
PROBES = 100
SETTLE = 10
PROBE_EVERY_US = 10_000  # at least
SHORT_US = 100  # a core link with less delay cannot compensate the delay that a hop adds


def chosen(plan: Plan, length: int) -> Iterator[CalibrationPath]:
    """Paths of ``length`` core links between access links of RATE_BPS, in a class that is not policed."""
    for path in calibration_paths(plan, seed=2, limit=5_000):
        policed = plan.traffic_class[plan.service[path.service].class_name].police_share > 0
        rates = {site.accesses[0].rate_bps for site in (path.a, path.b)}
        if len(path.links) == length and rates == {RATE_BPS} and not policed:
            yield path


def errors_us(path: CalibrationPath, load: float, plan: Plan, testbed: Testbed) -> list[float]:
    """Delays of the probes minus the model's."""
    train_us = TRAIN * FULL_FRAME_BYTES * 8e6 / RATE_BPS
    period_us = round(train_us / load) if load else PROBE_EVERY_US
    skip = -(-PROBE_EVERY_US // period_us)
    middle_us = round(train_us + (period_us - train_us) / 2) if load else 0
    bursts = PROBES + SETTLE
    flows = [flow_over(path, plan, 0, start_us=middle_us, interval_ns=period_us * skip * 1000, bursts=bursts)]
    if load:
        full = {"burst": TRAIN, "payload_bytes": FULL_PAYLOAD_BYTES}
        flows.append(flow_over(path, plan, 1, interval_ns=period_us * 1000, bursts=bursts * skip, **full))
    probes, *_ = one_way_delays_us(flows, testbed.socket_in, SETTLE)
    return [delay - model_us(path) for delay in probes]


def row(length: int, load: float, plan: Plan, testbed: Testbed) -> dict[str, Any]:
    """Error and its parts over some paths of a length under a load."""
    found: list[float] = []
    medians, short = [], 0
    testbed.engine.restart_lateness()
    for path in islice(chosen(plan, length), PATHS):
        own = errors_us(path, load, plan, testbed)
        found += own
        medians.append(float(np.median(own)))
        short += sum(link.delay_us < SHORT_US for link in path.links)
    lateness = testbed.engine.lateness()
    return {
        "length": length,
        "load": load,
        "percentiles_us": np.percentile(found, [1, 50, 99]).tolist(),
        "error_p50_us": float(np.median(np.abs(found))),
        "error_p99_us": float(np.percentile(np.abs(found), 99)),
        "paths_us": medians,
        "short_links": short,
        "late_p50_us": lateness.p50_us,
        "late_p99_us": lateness.p99_us,
    }


def main() -> None:
    """Measure and print."""
    sandbox.enter()
    plan = compile_policy(load_policy(library_path("national")), national_network(SITES, seed=1))
    testbed = Testbed(plan, sandbox.RUN_DIR, Path(sys.argv[1]), lambda event: None)
    with cores_awake():  # as in a scenario's run
        testbed.start(lambda stage: None)
        overhead = asdict(testbed.overhead)
        rows = [row(length, load, plan, testbed) for length in LENGTHS for load in LOADS]
    print(json.dumps({"overhead": overhead, "rows": rows}))


if __name__ == "__main__":
    main()
