"""The load that a scenario's traffic will put on the machine: frames over links and through routers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from helsewan.controller.rules.paths import compute_paths
from helsewan.lab.calibration.calibration import links_between
from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowSpec, TrafficPlan
from helsewan.lab.flows.records import Array
from helsewan.policies.plan import SHORTEST, Plan

SEGMENT_BYTES = 1448  # of TCP in a 1500-byte packet with time stamps
SET_UP_FRAMES = 8  # of a TCP connection: opening and closing, with acknowledgements


@dataclass(frozen=True, slots=True)
class OfferedLoad:
    """Rates in the busiest second of the plan: frames over a link (crossings) and through a router (visits)."""

    crossings_per_s: float
    visits_per_s: float

    def cores(self, link_us: float, hop_us: float, switching_threads: int | None = None) -> float:
        """The number of cores that this takes, at ``link_us`` a crossing and ``hop_us`` a visit; the routers take no
        more than their ``switching_threads`` (None: no such limit). A thread that polls takes less for each frame, the
        more there are, so that ``hop_us``, measured on an idle network, says little of a busy one."""
        switching = self.visits_per_s * hop_us / 1e6
        if switching_threads is not None:
            switching = min(switching, float(switching_threads))
        return self.crossings_per_s * link_us / 1e6 + switching


def offered_load(traffic: TrafficPlan, plan: Plan) -> OfferedLoad:
    """The load in the busiest second. What the policy denies gets as far as the first router."""
    specs: tuple[FlowSpec | ExchangeSpec, ...] = (*traffic.flows, *traffic.exchanges)
    end_s = max((spec.stop_us for spec in specs), default=0) // 1_000_000 + 1
    crossings, visits = np.zeros(end_s), np.zeros(end_s)
    links = _link_counter(plan)
    for spec in specs:
        seconds = slice(spec.start_us // 1_000_000, -(-spec.stop_us // 1_000_000))
        rate = _flow_rate(spec, seconds) if isinstance(spec, FlowSpec) else _exchange_rate(spec, seconds)
        hops = links(spec.client, spec.server) if spec.expect is Expect.DELIVERED else -1
        crossings[seconds] += rate * (hops + 2)
        visits[seconds] += rate * max(hops + 1, 1)
    return OfferedLoad(float(crossings.max()), float(visits.max()))


def _flow_rate(flow: FlowSpec, seconds: slice) -> Array | float:
    """Datagrams in each of the seconds; a paced flow's rate holds for all."""
    if flow.schedule is None:
        return flow.burst * 1e9 / flow.interval_ns
    edges_us = np.arange(seconds.start, seconds.stop + 1) * 1_000_000
    active_ns = (np.clip(edges_us, flow.start_us, flow.stop_us) - flow.start_us) * 1000
    return np.asarray(np.diff(flow.schedule.due_before(active_ns + flow.offset_ns)))


def _exchange_rate(exchange: ExchangeSpec, seconds: slice) -> Array:
    """Frames in each of the seconds in which exchanges begin, in both directions, every second segment acknowledged
    (RFC 9293, 3.8.6.3)."""
    load = exchange.application.load
    frames = SET_UP_FRAMES * load.connections + 1.5 * max(load.bytes / SEGMENT_BYTES, 1)
    begun, _ = np.histogram(exchange.begins_us, np.arange(seconds.start, seconds.stop + 1) * 1_000_000)
    return np.asarray(begun * frames)


def _link_counter(plan: Plan) -> Callable[[str, str], int]:
    """A function that counts the core links between two sites, given by id."""
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
