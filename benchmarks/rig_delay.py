"""Inside a world: one-way delay over 1, 3 and 5 core links against the model, with lines idle and busy. Prints JSON.

Load is other traffic between the same two sites: trains of full frames that keep their access lines (34 Mbit/s each,
the slowest lines on the way) busy for a tenth or half of the time, and the routers and the engine with them. Probes go
in the middle of the gaps between trains, where the model has no frame waiting: its delay is propagation and
serialisation alone, and all beyond is the machine's.
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
WAYS = 4  # of each length
RATE_BPS = 34_000_000
TRAIN = 8  # frames
FULL_PAYLOAD_BYTES = 1472
FULL_FRAME_BYTES = 1500 + 14 + LAYER1_OVERHEAD_BYTES
PROBES = 100
SETTLE = 10
PROBE_EVERY_US = 10_000  # at least
SHORT_US = 100  # a core link of less delay can spare less than a hop costs


def chosen(plan: Plan, length: int) -> Iterator[CalibrationPath]:
    """Ways of ``length`` core links between lines of RATE_BPS, in a class that is not policed."""
    for way in calibration_paths(plan, seed=2, most=5_000):
        policed = plan.traffic_class[plan.service[way.service].class_name].police_share > 0
        rates = {site.accesses[0].rate_bps for site in (way.a, way.b)}
        if len(way.links) == length and rates == {RATE_BPS} and not policed:
            yield way


def errors_us(way: CalibrationPath, load: float, plan: Plan, testbed: Testbed) -> list[float]:
    """How much longer than the model's the probes took."""
    train_us = TRAIN * FULL_FRAME_BYTES * 8e6 / RATE_BPS
    period_us = round(train_us / load) if load else PROBE_EVERY_US
    skip = -(-PROBE_EVERY_US // period_us)
    middle_us = round(train_us + (period_us - train_us) / 2) if load else 0
    bursts = PROBES + SETTLE
    flows = [flow_over(way, plan, 0, start_us=middle_us, interval_ns=period_us * skip * 1000, bursts=bursts)]
    if load:
        full = {"burst": TRAIN, "payload_bytes": FULL_PAYLOAD_BYTES}
        flows.append(flow_over(way, plan, 1, interval_ns=period_us * 1000, bursts=bursts * skip, **full))
    probes, *_ = one_way_delays_us(flows, testbed.socket_in, SETTLE)
    return [delay - model_us(way) for delay in probes]


def row(length: int, load: float, plan: Plan, testbed: Testbed) -> dict[str, Any]:
    """Error and its parts over some ways of a length under a load."""
    found: list[float] = []
    medians, short = [], 0
    testbed.engine.restart_lateness()
    for way in islice(chosen(plan, length), WAYS):
        own = errors_us(way, load, plan, testbed)
        found += own
        medians.append(float(np.median(own)))
        short += sum(link.delay_us < SHORT_US for link in way.links)
    lateness = testbed.engine.lateness()
    return {
        "length": length,
        "load": load,
        "percentiles_us": np.percentile(found, [1, 50, 99]).tolist(),
        "error_p50_us": float(np.median(np.abs(found))),
        "error_p99_us": float(np.percentile(np.abs(found), 99)),
        "ways_us": medians,
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
