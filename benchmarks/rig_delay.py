"""Inside a world: one-way delay of idle ways of 2 and 5 hops against the model. Prints JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from emulation import world
from policies.compile import compile_policy, library_path, load_policy
from scenarios.calibration import measure_us, model_us, ways
from scenarios.rig import Rig
from topology.national import national_network

SITES = 130
PAIRS = 5  # of each length


def main() -> None:
    """Measure and print: overhead taken off, and by length the percentiles 0, 50, 90, 99 of the error, microseconds."""
    world.enter()
    plan = compile_policy(load_policy(library_path("national")), national_network(SITES, seed=1))
    rig = Rig(plan, world.RUN_DIR, Path(sys.argv[1]), lambda event: None)
    rig.start(lambda stage: None)
    errors_us: dict[int, list[float]] = {}
    candidates = ways(plan, seed=2, most=1000)
    for length in (2, 5):
        for way in [way for way in candidates if len(way.links) == length][:PAIRS]:
            (delays_us,) = measure_us([way], plan, rig.socket_in)
            errors_us.setdefault(length, []).extend(delay - model_us(way) for delay in delays_us)
    percentiles = {length: np.percentile(own, [0, 50, 90, 99]).tolist() for length, own in errors_us.items()}
    overhead = {"core_us": rig.overhead.core_us, "access_us": rig.overhead.access_us}
    print(json.dumps({"overhead": overhead, "errors_us": percentiles}))


if __name__ == "__main__":
    main()
