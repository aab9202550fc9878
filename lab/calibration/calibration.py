"""The delay that this machine itself adds, measured on the idle network, and compensated on links whose delay allows
it.

A frame crosses real queues, wake-ups and switches, which cost some 0.1 to 0.3 ms a hop. The cost grows
linearly with the links on the way, so a straight line through the excess over the model tells what a
core link costs, with the router behind it: so much sooner every line to a router delivers. What a router takes
more or less than that the link engine makes up for frame by frame, and what is left then, at the two ends of a way,
is measured a second time.
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
SETTLE = 5  # datagrams before ARP is done and the switches have cached the flow
DATAGRAMS = 20
MOST_WAYS = 12
MOST_US = 500.0  # twice what was ever seen idle: more is not the machine's own but its neighbours' doing
TRIES = 4  # for a machine whose neighbours come and go


@dataclass(frozen=True, slots=True)
class CalibrationPath:
    """A path from ``a`` to ``b`` over their primary access links and ``links``, and a service that is allowed on it."""

    a: Site
    b: Site
    service: str
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the machine adds, microseconds: for each core link with its router, and for each of the two access lines.
    ``ends_us``: what is left at both ends of a way together once frames are followed through the routers.
    ``hop_us``: the processor time that a router's switch takes for a datagram, when it is woken for each."""

    core_us: float = 0.0
    access_us: float = 0.0
    ends_us: float = 0.0
    hop_us: float = 0.0


def calibration_paths(plan: Plan, seed: int, most: int = MOST_WAYS) -> tuple[CalibrationPath, ...]:
    """Ways of many lengths between single-homed sites that may talk UDP, as even in length as they come."""
    by_length: dict[int, list[CalibrationPath]] = {}
    for way in _candidates(plan, Random(seed)):
        by_length.setdefault(len(way.links), []).append(way)
    rounds = max(map(len, by_length.values()), default=0)
    chosen = [by_length[length][n] for n in range(rounds) for length in sorted(by_length) if n < len(by_length[length])]
    return tuple(chosen[:most])


def model_us(way: CalibrationPath) -> float:
    """Propagation and serialisation of every line of a way for a calibration datagram, microseconds."""

    def line(rate_bps: int, delay_us: int, frame_bytes: int) -> float:
        return delay_us + (frame_bytes + LAYER1_OVERHEAD_BYTES) * 8e6 / rate_bps

    access = sum(line(site.accesses[0].rate_bps, site.accesses[0].delay_us, FRAME_BYTES) for site in (way.a, way.b))
    return access + sum(line(link.rate_bps, link.delay_us, FRAME_BYTES + LABEL_BYTES) for link in way.links)


def measure_us(routes: Sequence[CalibrationPath], plan: Plan, socket_in: SocketIn) -> list[list[float]]:
    """One-way delays of the datagrams of each way, sent side by side and evenly spread, microseconds."""
    flows = [
        flow_over(way, plan, number, start_us=number * INTERVAL_NS // len(routes) // 1000)
        for number, way in enumerate(routes)
    ]
    return one_way_delays_us(flows, socket_in, SETTLE)


def one_way_delays_us(flows: Sequence[FlowSpec], socket_in: SocketIn, settle: int) -> list[list[float]]:
    """Send all of ``flows`` (ids in order); the delays of each one's datagrams after its first ``settle``."""
    engine = FlowEngine(flows, socket_in, cookie=time.monotonic_ns() & 0xFFFFFFFF)
    try:
        engine.start(time.time_ns() + 20_000_000)
        time.sleep(0.1 + max((flow.stop_us for flow in flows), default=0) / 1e6)  # the longest way takes half of that
        engine.stop()
        settled = engine.records[engine.records["seq"] >= settle]
        delays_us = (settled["rx_ns"] - settled["tx_ns"]) / 1000
        return [delays_us[settled["flow"] == flow.id].tolist() for flow in flows]
    finally:
        engine.close()


def fit(routes: Sequence[CalibrationPath], delays_us: Sequence[Sequence[float]]) -> Overhead:
    """The straight line through the median excess of each way, by its number of links (least squares)."""
    heard = [(way, float(np.median(own))) for way, own in zip(routes, delays_us, strict=True) if own]
    lengths = [len(way.links) for way, _ in heard]
    if len(set(lengths)) < 2:
        return Overhead()
    slope, start = np.polyfit(lengths, [median_us - model_us(way) for way, median_us in heard], deg=1)
    if slope <= 0:  # a machine without overhead, or one too noisy to tell
        return Overhead()
    return Overhead(core_us=min(float(slope), MOST_US), access_us=min(max(float(start) / 2, 0.0), MOST_US))


def undisturbed(measure: Callable[[], Overhead]) -> Overhead:
    """The first of a few measurements that finds less than neighbours' doing, else the one that finds least: what
    disturbs only ever adds."""

    def lateness_us(found: Overhead) -> float:
        return max(found.core_us, found.ends_us)

    best = measure()
    for _ in range(TRIES - 1):
        if lateness_us(best) < MOST_US:
            break
        best = min(best, measure(), key=lateness_us)
    return best


def router_visits(routes: Sequence[CalibrationPath]) -> int:
    """How often a datagram passes a router in one measurement of the routes."""
    return (SETTLE + DATAGRAMS) * sum(len(way.links) + 1 for way in routes)


def rest_us(routes: Sequence[CalibrationPath], delays_us: Sequence[Sequence[float]]) -> float:
    """The median excess over the model of ways that have a core link: on those a line can make up for it."""
    medians = [
        float(np.median(own)) - model_us(way) for way, own in zip(routes, delays_us, strict=True) if own and way.links
    ]
    return min(max(float(np.median(medians)), 0.0), MOST_US) if medians else 0.0


def short_links_us(delays_us: Mapping[str, int], early_us: float) -> dict[str, float]:
    """Lines to a router that have less delay than they should be early, with what they lack."""
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
    """The core links of the primary path from ``a``'s first router to ``b``'s."""
    router, links = a.homing[0], []
    while router != b.homing[0]:
        links.append(network.link[primary[router, egress]])
        router = links[-1].other(router)
    return tuple(links)


def flow_over(
    way: CalibrationPath,
    plan: Plan,
    number: int,
    *,
    start_us: int = 0,
    interval_ns: int = INTERVAL_NS,
    bursts: int = SETTLE + DATAGRAMS,
    burst: int = 1,
    payload_bytes: int = PAYLOAD_BYTES,
) -> FlowSpec:
    """``bursts`` of ``burst`` datagrams over a way, one every ``interval_ns``; ``number`` becomes the flow's id and
    tells its port from others'."""
    service = plan.service[way.service]
    dscp = plan.traffic_class[service.class_name].dscp
    return FlowSpec(
        id=number,
        name=f"{way.a.id} > {way.b.id}",
        kind=FlowKind.MESSAGES,
        class_name=service.class_name,
        service=way.service,
        client=way.a.id,
        server=way.b.id,
        source=Endpoint(way.a.id, way.a.address4, 50_000 + number),
        destination=Endpoint(way.b.id, way.b.address4, service.port_numbers[0]),
        dscp=dscp,
        sent_dscp=dscp,
        interval_ns=interval_ns,
        burst=burst,
        payload_bytes=payload_bytes,
        start_us=start_us,
        stop_us=start_us + bursts * interval_ns // 1000,
    )
