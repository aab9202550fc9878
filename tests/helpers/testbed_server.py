"""The first process of a test's world: brings the national network up and does what tests ask, a JSON line each."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import numpy as np

from helsewan.emulation.sandbox import sandbox
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.national.generator import national_network

SITES = 130  # all hospitals, services and data centres, and some of every other kind
INTERVAL_NS = 20_000_000
LEAD_NS = 100_000_000  # for the engine to be ready before the first datagram
PORT = 16_384  # RTP voice in the national policy


class Server:
    """The rig and its answers; every public method is an operation."""

    def __init__(self, log_dir: Path) -> None:
        self.network = national_network(SITES, seed=1)
        self.plan = compile_policy(load_policy(library_path("national")), self.network)
        self.testbed = Testbed(self.plan, sandbox.RUN_DIR, log_dir, lambda event: None)
        self.testbed.start(lambda stage: None)

    def up(self) -> dict[str, Any]:
        """What came up, and what the controller complained of."""
        errors = [event for event in self.testbed.controllers.events if event["event"] == "error"]
        return {"errors": errors, "dead": self.testbed.dead_parts()}

    def overhead(self) -> dict[str, float]:
        """What calibration found, microseconds."""
        return asdict(self.testbed.overhead)

    def command(self, site: str, line: str) -> str:
        """What a shell command prints at a site."""
        return self.testbed.site(site).cmd(line)

    def rules(self, router: str) -> str:
        """The router's rules as Open vSwitch tells them."""
        return self.testbed.router(router).ofctl("dump-flows")

    def kill_controller(self) -> None:
        """End the controller without warning."""
        self.testbed.controllers.close()

    def stream(
        self,
        pairs: list[tuple[str, str]],
        datagrams: int,
        port: int = PORT,
        source: str | None = None,
        fail: dict[str, list[str]] | None = None,
        restore: dict[str, list[str]] | None = None,
    ) -> list[dict[str, Any]]:
        """Send voice from the first to the second site of every pair, ``datagrams`` each; strike or restore in
        the middle. ``source``: an address to send from that is not the site's own."""
        duration_us = datagrams * INTERVAL_NS // 1000
        flows = [self._flow(number, *pair, port, source, duration_us) for number, pair in enumerate(pairs)]
        engine = FlowEngine(flows, self.testbed.socket_in, cookie=time.monotonic_ns() & 0xFFFFFFFF)
        try:
            began_ns = time.monotonic_ns()
            engine.start(time.time_ns() + LEAD_NS)
            _sleep_until(began_ns + LEAD_NS + duration_us * 500)
            if fail:
                self.testbed.fail(Target("test", **{key: tuple(names) for key, names in fail.items()}))
            if restore:
                self.testbed.restore(Target("test", **{key: tuple(names) for key, names in restore.items()}))
            _sleep_until(began_ns + LEAD_NS + duration_us * 1000 + 500_000_000)
            engine.stop()
            return [self._heard(engine, flow) for flow in flows]
        finally:
            engine.close()

    def _flow(self, number: int, a: str, b: str, port: int, source: str | None, duration_us: int) -> FlowSpec:
        address = IPv4Address(source) if source else self.network.site[a].address4
        return FlowSpec(
            id=number,
            name=f"{a} > {b}",
            kind=FlowKind.VOICE,
            class_name="voice",
            service="voice",
            client=a,
            server=b,
            source=Endpoint(a, address, port + 2 * number),
            destination=Endpoint(b, self.network.site[b].address4, port + 2 * number),
            dscp=46,
            sent_dscp=46,
            interval_ns=INTERVAL_NS,
            burst=1,
            payload_bytes=172,
            start_us=0,
            stop_us=duration_us,
        )

    def _heard(self, engine: FlowEngine, flow: FlowSpec) -> dict[str, Any]:
        mine = engine.records[engine.records["flow"] == flow.id]
        delays_us = (mine["rx_ns"] - mine["tx_ns"]) / 1000
        lost = sorted(set(range(int(engine.due[flow.id]))) - {int(seq) for seq in mine["seq"]})
        return {
            "sent": int(engine.due[flow.id]),
            "received": len({int(seq) for seq in mine["seq"]}),
            "lost": lost,
            "tos": sorted({int(tos) for tos in mine["tos"]}),
            "delay_min_us": float(delays_us.min()) if len(mine) else None,
            "delay_p50_us": float(np.median(delays_us)) if len(mine) else None,
        }


def _sleep_until(moment_ns: int) -> None:
    time.sleep(max(0.0, (moment_ns - time.monotonic_ns()) / 1e9))


def main() -> None:
    """Answer requests until standard input ends."""
    sandbox.enter()
    server = Server(Path(sys.argv[1]))
    operations: dict[str, Callable[..., Any]] = {
        name: getattr(server, name) for name in ("up", "overhead", "command", "rules", "kill_controller", "stream")
    }
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps({"answer": operations[request.pop("op")](**request)}), flush=True)


if __name__ == "__main__":
    main()
