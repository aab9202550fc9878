"""What a scenario's traffic asks of the machine before it has begun: frames that cross lines and routers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helsewan.controller.rules.paths import compute_paths
from helsewan.lab.calibration.calibration import links_between
from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowSpec, TrafficPlan
from helsewan.policies.plan import SHORTEST, Plan

SEGMENT_BYTES = 1448  # of TCP in a 1500-byte packet with time stamps
SET_UP_FRAMES = 8  # of a TCP connection: opening, closing, and what confirms it


@dataclass(frozen=True, slots=True)
class Offered:
    """In the busiest second of the plan: times a frame crosses a line, and times it passes a router."""

    crossings_per_s: float
    visits_per_s: float

    def cores(self, line_us: float, hop_us: float) -> float:
        """How many cores that takes, where a crossing costs the link engine and a visit a switch so much."""
        return (self.crossings_per_s * line_us + self.visits_per_s * hop_us) / 1e6


def offered(traffic: TrafficPlan, plan: Plan) -> Offered:
    """The busiest second, all sites and routers at work. What the policy denies gets as far as the first router."""
    specs: tuple[FlowSpec | ExchangeSpec, ...] = (*traffic.flows, *traffic.exchanges)
    end_s = max((spec.stop_us for spec in specs), default=0) // 1_000_000 + 1
    crossings, visits = np.zeros(end_s), np.zeros(end_s)
    links = _link_counter(plan)
    for spec in specs:
        seconds = slice(spec.start_us // 1_000_000, -(-spec.stop_us // 1_000_000))
        rate = _flow_rate(spec) if isinstance(spec, FlowSpec) else _exchange_rate(spec)
        hops = links(spec.client, spec.server) if spec.expect is Expect.DELIVERED else -1
        crossings[seconds] += rate * (hops + 2)
        visits[seconds] += rate * max(hops + 1, 1)
    return Offered(float(crossings.max()), float(visits.max()))


def _flow_rate(flow: FlowSpec) -> float:
    return flow.burst * 1e9 / flow.interval_ns


def _exchange_rate(exchange: ExchangeSpec) -> float:
    """Frames both ways, with every second segment confirmed (RFC 9293, 3.8.6.3)."""
    segments = (exchange.request_bytes + exchange.response_bytes) / SEGMENT_BYTES
    return (SET_UP_FRAMES + 1.5 * segments) * 1e6 / exchange.interval_us


def _link_counter(plan: Plan) -> Callable[[str, str], int]:
    """Core links between two sites, by id."""
    primary = compute_paths(plan.network, plan.egresses, traffic=plan.traffic).primary
    known: dict[tuple[str, str], int] = {}

    def count(client: str, server: str) -> int:
        a, b = plan.network.site[client], plan.network.site[server]
        pair = a.homing[0], b.homing[0]
        if pair not in known:
            egress = plan.egress_to(b.id, SHORTEST)
            known[pair] = len(links_between(plan.network, primary, a, b, egress))
        return known[pair]

    return count
