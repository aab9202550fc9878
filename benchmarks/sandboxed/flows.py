"""In a sandbox: the flow engine between sites that are joined in pairs by veth, each sending one call's datagrams.
Prints JSON. Arguments: datagrams per second in all; paced, or poisson for RTP that follows a schedule of each flow."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from ipaddress import IPv4Address

import numpy as np

from helsewan.emulation.kernel.patch_namespace import switch_off_offloads
from helsewan.emulation.netlink.interfaces import routing
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.emulation.sandbox.procfs import thread_clock_ns
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec, RtpFormat
from helsewan.lab.flows.schedule import schedule_of
from helsewan.scenarios.spec.traffic.arrivals import ArrivalSpec, Process
from helsewan.scenarios.traffic.schedules.arrivals import arrival_times

SITES = 500
SECONDS = 5.0
LEAD_S, TAIL_S = 0.2, 0.3
PAYLOAD_BYTES = 172  # G.711, 20 ms
PORT = 16384
DSCP = 46
INTERFACE = "wan0"
POISSON = ArrivalSpec(process=Process.POISSON)


def main() -> None:
    """Measure and print."""
    sandbox.enter()
    rate = int(sys.argv[1])
    sites = pairs()
    flows = plan(rate)
    if sys.argv[2] == "poisson":
        flows = [on_schedule(flow) for flow in flows]
    engine = FlowEngine(flows, lambda site, family, kind: sites[site].socket(family, kind))
    print(json.dumps(measure(engine)))


def pairs() -> dict[str, Namespace]:
    """The sites by name: every two are joined by a veth pair of their own."""
    sites = {f"site{number}": Namespace() for number in range(SITES)}
    names = list(sites)
    for west, east in zip(names[::2], names[1::2], strict=True):
        with routing(sites[west]) as route:
            route.link("add", ifname=INTERFACE, kind="veth", peer={"ifname": INTERFACE, "net_ns_fd": sites[east].fd})
        for name in (west, east):
            with routing(sites[name]) as route:
                index = route.link_lookup(ifname=INTERFACE)[0]
                route.link("set", index=index, state="up")
                route.addr("add", index=index, address=str(address(name)), prefixlen=24)
            with sites[name].entered():
                switch_off_offloads(INTERFACE)
    return sites


def address(site: str) -> IPv4Address:
    """A site's address; the two of a pair share a subnet."""
    number = int(site.removeprefix("site"))
    return IPv4Address("10.0.0.0") + (number // 2 << 8) + 1 + number % 2


def plan(rate: int) -> list[FlowSpec]:
    """A flow from every site to the other of its pair, with starts spread over the interval."""
    interval_ns = SITES * 10**9 // rate
    ends = [Endpoint(name, address(name), PORT) for name in (f"site{number}" for number in range(SITES))]
    return [
        FlowSpec(
            id=number,
            name=f"{source.site} > {ends[number ^ 1].site}",
            kind=FlowKind.VOICE,
            class_name="voice",
            service="voice",
            client=source.site,
            server=ends[number ^ 1].site,
            source=source,
            destination=ends[number ^ 1],
            dscp=DSCP,
            sent_dscp=DSCP,
            interval_ns=interval_ns,
            burst=1,
            payload_bytes=PAYLOAD_BYTES,
            start_us=interval_ns // 1000 * number // SITES,
            stop_us=int(SECONDS * 1e6),
            groups=("calls",),
        )
        for number, source in enumerate(ends)
    ]


def on_schedule(flow: FlowSpec) -> FlowSpec:
    """The flow as RTP whose datagrams are due at random, as often as before."""
    rng = np.random.default_rng(flow.id)
    due_us = arrival_times(POISSON, flow.interval_ns / 1000, SECONDS * 1e6, rng)
    schedule = schedule_of((due_us * 1000).astype(np.int64))
    return replace(flow, schedule=schedule, start_us=0, format=RtpFormat(payload_type=8, clock_hz=8_000))


def measure(engine: FlowEngine) -> dict[str, float]:
    """Run the flows; rates, processor time of the engine's thread, and lateness."""
    cores = sorted(os.sched_getaffinity(0))
    engine.start(time.time_ns() + int(LEAD_S * 1e9))
    thread = engine.sender.native_id
    assert thread is not None
    os.sched_setaffinity(thread, cores[-1:])
    time.sleep(LEAD_S)
    before_ns, began_ns, arrived = thread_clock_ns(thread)[0], time.monotonic_ns(), len(engine.records)
    time.sleep(SECONDS)
    ran_ns, took_ns = thread_clock_ns(thread)[0] - before_ns, time.monotonic_ns() - began_ns
    arrived = len(engine.records) - arrived
    time.sleep(TAIL_S)
    engine.stop()
    health = engine.keeping_up()
    engine.close()
    return {
        "datagrams_s": arrived * 1e9 / took_ns,
        "cores": ran_ns / took_ns,
        "cpu_us": ran_ns / arrived / 1000,
        "lost": float(engine.due.sum() - len(engine.records)),
        "late_p50_us": health.lateness_p50_us,
        "late_p99_us": health.lateness_p99_us,
        "late_max_us": health.worst_late_us,
        "untimed": health.untimed,
    }


if __name__ == "__main__":
    main()
