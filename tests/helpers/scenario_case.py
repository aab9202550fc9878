"""What the scenario tests share: the default scenario planned once, and hand-made flows and records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from ipaddress import IPv4Address
from typing import Any

import numpy as np

from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.flows.records import RECORD, Array
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.source import library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.scenarios.results.outages import ArrivedDatagrams
from helsewan.scenarios.spec.spec import Scenario, load_scenario
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.topology.national.generator import national_network

EPOCH_NS = 1_000_000_000_000

FLOW = FlowSpec(
    id=0,
    name="calls/001 a > b",
    kind=FlowKind.VOICE,
    class_name="voice",
    service="voice",
    client="a",
    server="b",
    source=Endpoint("a", IPv4Address("127.0.0.1"), 16384),
    destination=Endpoint("b", IPv4Address("127.0.0.1"), 16386),
    dscp=46,
    sent_dscp=46,
    interval_ns=20_000_000,
    burst=1,
    payload_bytes=172,
    start_us=0,
    stop_us=1_000_000,
    codec="g711",
    groups=("calls", "midt>midt"),
)


def default_case() -> tuple[Scenario, Plan, TrafficPlan]:
    """region-failover as it comes, with its plan and traffic."""
    return case_of("region-failover")


@cache
def case_of(name: str) -> tuple[Scenario, Plan, TrafficPlan]:
    """A scenario of the library as it comes, with its plan and traffic."""
    scenario = load_scenario(name)
    network = national_network(scenario.network.sites, scenario.network.seed, scenario.network.swedish_route)
    plan = compile_policy(load_policy(library_path("national")), network)
    return scenario, plan, plan_traffic(scenario.spec, plan, scenario.document)


def arrival(spec: FlowSpec, seq: int, delay_us: float, late_us: float = 0, **changes: Any) -> Array:
    """The record of a datagram of ``spec`` that was sent ``late_us`` after it was due."""
    record = np.zeros(1, RECORD)
    due_ns = EPOCH_NS + spec.start_us * 1000 + seq // spec.burst * spec.interval_ns
    record["tx_ns"] = due_ns + late_us * 1000
    record["rx_ns"] = record["tx_ns"] + delay_us * 1000
    values = {
        "flow": spec.id,
        "seq": seq,
        "receiver": 0,
        "tos": spec.dscp << 2,
        "bytes": spec.payload_bytes,
        "timed": 1,
    }
    for name, value in {**values, **changes}.items():
        record[name] = value
    return record


def flow_between(client: str, server: str, **changes: Any) -> FlowSpec:
    """``FLOW`` between other sites."""
    source, destination = replace(FLOW.source, site=client), replace(FLOW.destination, site=server)
    return replace(FLOW, client=client, server=server, source=source, destination=destination, **changes)


def arrived_of(flows: Sequence[FlowSpec], records: Sequence[Array]) -> ArrivedDatagrams:
    """What arrived of ``flows``, whose receiver is socket 0, by records such as `arrival` makes."""
    all_records = np.concatenate([np.zeros(0, RECORD), *records])
    due = [flow.due_before(flow.stop_us) for flow in flows]
    ends = list(dict.fromkeys(flow.destination for flow in flows))
    return ArrivedDatagrams(all_records, flows, ends, np.array(due, dtype=np.int64), EPOCH_NS)
