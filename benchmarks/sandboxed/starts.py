"""In a sandbox: start a network of three routers and three sites, and see that every port of a router carries frames
both ways. Prints JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.sandboxed.scale import unreached
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.importers import import_network

DESCRIPTION = """
name: small
pops:
  north: {lat: 69.6, lon: 18.9}
  middle: {lat: 63.4, lon: 10.4}
  south: {lat: 59.9, lon: 10.7}
links:
  north-middle: {a: north, b: middle, rate: 1 Gbit/s, delay: 5 ms}
  middle-south: {a: middle, b: south, rate: 1 Gbit/s, delay: 3 ms}
  south-north: {a: south, b: north, rate: 1 Gbit/s, delay: 9 ms}
sites:
  hospital-a: {kind: hospital, lines: [{router: north, rate: 100 Mbit/s, delay: 1 ms}]}
  hospital-b: {kind: hospital, lines: [{router: middle, rate: 100 Mbit/s, delay: 1 ms}]}
  hospital-c: {kind: hospital, lines: [{router: south, rate: 100 Mbit/s, delay: 1 ms}]}
"""


def main() -> None:
    """Start, send a datagram over each access link and its answer, and print the links that carried nothing in a
    direction. Those between routers carry the packets of BFD."""
    began = time.monotonic()
    sandbox.enter()
    file = sandbox.RUN_DIR / "small.yaml"
    file.write_text(DESCRIPTION, encoding="utf-8")
    plan = compile_policy(load_policy(library_path("open")), import_network(file, None, seed=1).network)
    testbed = Testbed(plan, sandbox.RUN_DIR, Path(sys.argv[1]), lambda event: None)
    testbed.start(lambda stage: None)
    took_s = time.monotonic() - began
    dead = unreached(testbed, list(plan.network.sites)) + testbed.dead_parts()
    carried = testbed.engine.counters()["frames_out"]
    dead += [name for number, name in testbed.pipe_names().items() if not carried[number]]
    print(json.dumps({"seconds": took_s, "dead": dead}), flush=True)
    os._exit(0)  # the sandbox ends with this process


if __name__ == "__main__":
    main()
