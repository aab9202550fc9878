"""The delay that this machine adds, measured on the idle network and compensated on links whose delay allows it.

A frame passes real queues, wake-ups and switches, which take some 0.1 to 0.3 ms per hop. The sum grows linearly with
the number of links on a path, so the slope of a straight line through the excess over the model is the overhead of a
core link with the router behind it; every link to a router then delivers earlier by that much. The link engine
compensates each frame's deviation from it in a router. The remaining overhead at the two ends of a path is measured a
second time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from helsewan.controller.rules.paths import compute_paths
from helsewan.emulation.links.pipe_model import LAYER1_OVERHEAD_BYTES
from helsewan.lab.flows.flow_engine import FlowEngine, SocketIn
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.policies.plan import Plan, Protocol
from helsewan.topology.model import Link, Network, Site

PAYLOAD_BYTES = 172  # a G.711 datagram
FRAME_BYTES = PAYLOAD_BYTES + 8 + 20 + 14  # UDP, IPv4, Ethernet
LABEL_BYTES = 8  # two MPLS labels between routers
INTERVAL_NS = 20_000_000
SETTLE = 5  # first datagrams of a flow, left out: they wait for ARP and for the switches' flow caches
DATAGRAMS = 20
MAX_PATHS = 12
MAX_US = 500.0  # twice the highest overhead seen on an idle machine; more is caused by other load
TRIES = 4  # measurements on a machine with changing other load


@dataclass(frozen=True, slots=True)
class CalibrationPath:
    """A path from ``a`` to ``b`` over their primary access links and ``links``; the policy allows ``service`` on it."""

    a: Site
    b: Site
    service: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Overhead:
    """The delay that the machine adds, us: ``core_us`` for each core link with the router behind it, ``access_us`` for
    each of the two access links, ``ends_us`` remaining at both ends of a path together once frames are followed through
    routers. ``hop_us``: processor time of a router's switch per datagram, when it is woken for each."""

    core_us: float = 0.0
    access_us: float = 0.0
    ends_us: float = 0.0
    hop_us: float = 0.0


def calibration_paths(plan: Plan, seed: int, limit: int = MAX_PATHS) -> tuple[CalibrationPath, ...]:
    """Up to ``limit`` paths, of evenly distributed lengths, between single-homed sites with a UDP service."""
    by_length: dict[int, list[CalibrationPath]] = {}
    for path in _candidates(plan, Random(seed)):
        by_length.setdefault(len(path.links), []).append(path)
    rounds = max(map(len, by_length.values()), default=0)
    chosen = [by_length[length][n] for n in range(rounds) for length in sorted(by_length) if n < len(by_length[length])]
    return tuple(chosen[:limit])


def model_us(path: CalibrationPath) -> float:
    """Propagation and serialisation delay of a calibration datagram on all links of a path, us."""

    def link_us(rate_bps: int, delay_us: int, frame_bytes: int) -> float:
        return delay_us + (frame_bytes + LAYER1_OVERHEAD_BYTES) * 8e6 / rate_bps

    access = sum(
        link_us(site.accesses[0].rate_bps, site.accesses[0].delay_us, FRAME_BYTES) for site in (path.a, path.b)
    )
    return access + sum(link_us(link.rate_bps, link.delay_us, FRAME_BYTES + LABEL_BYTES) for link in path.links)


def measure_us(paths: Sequence[CalibrationPath], plan: Plan, socket_in: SocketIn) -> list[list[float]]:
    """One-path delays (us) of the datagrams on each path; all paths are measured at the same time, evenly
    interleaved."""
    flows = [
        flow_over(path, plan, number, start_us=number * INTERVAL_NS // len(paths) // 1000)
        for number, path in enumerate(paths)
    ]
    return one_way_delays_us(flows, socket_in, SETTLE)


def one_way_delays_us(flows: Sequence[FlowSpec], socket_in: SocketIn, settle: int) -> list[list[float]]:
    """Send ``flows`` (ids in order); returns each one's delays (us) without its first ``settle`` datagrams."""
    engine = FlowEngine(flows, socket_in, cookie=time.monotonic_ns() & 0xFFFFFFFF)
    try:
        engine.start(time.time_ns() + 20_000_000)
        time.sleep(0.1 + max((flow.stop_us for flow in flows), default=0) / 1e6)  # twice the longest path's delay
        engine.stop()
        settled = engine.records[engine.records["seq"] >= settle]
        delays_us = (settled["rx_ns"] - settled["tx_ns"]) / 1000
        return [delays_us[settled["flow"] == flow.id].tolist() for flow in flows]
    finally:
        engine.close()


def fit(paths: Sequence[CalibrationPath], delays_us: Sequence[Sequence[float]]) -> Overhead:
    """Fit a straight line to each path's median excess over its model, by its number of links (least squares)."""
    measured = [(path, float(np.median(own))) for path, own in zip(paths, delays_us, strict=True) if own]
    lengths = [len(path.links) for path, _ in measured]
    if len(set(lengths)) < 2:
        return Overhead()
    slope, start = np.polyfit(lengths, [median_us - model_us(path) for path, median_us in measured], deg=1)
    if slope <= 0:  # no overhead, or too much noise to measure it
        return Overhead()
    return Overhead(core_us=min(float(slope), MAX_US), access_us=min(max(float(start) / 2, 0.0), MAX_US))


def undisturbed(measure: Callable[[], Overhead]) -> Overhead:
    """The first of up to TRIES measurements below MAX_US, else the lowest one: disturbances can only add delay."""

    def worst_us(found: Overhead) -> float:
        return max(found.core_us, found.ends_us)

    best = measure()
    for _ in range(TRIES - 1):
        if worst_us(best) < MAX_US:
            break
        best = min(best, measure(), key=worst_us)
    return best


def router_visits(paths: Sequence[CalibrationPath]) -> int:
    """How often any datagram passes a router in one measurement of ``paths``."""
    return (SETTLE + DATAGRAMS) * sum(len(path.links) + 1 for path in paths)


def remaining_us(paths: Sequence[CalibrationPath], delays_us: Sequence[Sequence[float]]) -> float:
    """Median excess (us) over the model of paths with a core link, the only ones on which a link can compensate it."""
    medians = [
        float(np.median(own)) - model_us(path) for path, own in zip(paths, delays_us, strict=True) if own and path.links
    ]
    return min(max(float(np.median(medians)), 0.0), MAX_US) if medians else 0.0


def short_links_us(delays_us: Mapping[str, int], early_us: float) -> dict[str, float]:
    """Links to routers whose delay is shorter than ``early_us``, with the difference (us)."""
    return {name: early_us - delay_us for name, delay_us in delays_us.items() if delay_us < early_us}


def _candidates(plan: Plan, random: Random) -> Iterator[CalibrationPath]:
    paths = compute_paths(plan.network, plan.egresses, traffic=plan.traffic)
    single = {site.id: site for site in plan.network.sites if len(site.accesses) == 1}
    roles = {role.id: [single[name] for name in role.sites if name in single] for role in plan.roles}
    datagram = [contract for contract in plan.contracts if plan.service[contract.service].protocol is Protocol.UDP]
    for contract in random.sample(datagram, len(datagram)):
        path = plan.traffic_class[plan.service[contract.service].class_name].path
        clients, servers = roles[contract.client], roles[contract.server]
        for a in random.sample(clients, min(4, len(clients))):
            for b in random.sample(servers, min(4, len(servers))):
                if a is not b:
                    egress = plan.egress_to(b.id, path)
                    tree = paths.entry_tree.get((a.homing[0], egress), egress)
                    links = links_between(plan.network, paths.primary, a, b, tree)
                    yield CalibrationPath(a, b, contract.service, links)


def links_between(
    network: Network, primary: Mapping[tuple[str, int], str], a: Site, b: Site, egress: int
) -> tuple[Link, ...]:
    """The links between routers on the primary path from ``a``'s first router to ``b``'s."""
    router, links = a.homing[0], []
    while router != b.homing[0]:
        links.append(network.link[primary[router, egress]])
        router = links[-1].other(router)
    return tuple(links)


def flow_over(
    path: CalibrationPath,
    plan: Plan,
    number: int,
    *,
    start_us: int = 0,
    interval_ns: int = INTERVAL_NS,
    bursts: int = SETTLE + DATAGRAMS,
    burst: int = 1,
    payload_bytes: int = PAYLOAD_BYTES,
) -> FlowSpec:
    """A flow on ``path``: ``bursts`` of ``burst`` datagrams each, every ``interval_ns``. ``number`` is the flow's id
    and selects its source port."""
    service = plan.service[path.service]
    dscp = plan.traffic_class[service.class_name].dscp
    return FlowSpec(
        id=number,
        name=f"{path.a.id} > {path.b.id}",
        kind=FlowKind.MESSAGES,
        class_name=service.class_name,
        service=path.service,
        client=path.a.id,
        server=path.b.id,
        source=Endpoint(path.a.id, path.a.address4, 50_000 + number),
        destination=Endpoint(path.b.id, path.b.address4, service.port_numbers[0]),
        dscp=dscp,
        sent_dscp=dscp,
        interval_ns=interval_ns,
        burst=burst,
        payload_bytes=payload_bytes,
        start_us=start_us,
        stop_us=start_us + bursts * interval_ns // 1000,
    )
