"""The packets that a replay sends, in order, as they are on the wire here and with the time at which each is due.

The files are read again for every loop, a packet at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from helsewan.lab.captures.capture_stream import Passed, ReadPacket, read_packets
from helsewan.lab.captures.flow_key import flow_key
from helsewan.lab.captures.rewrite import rewritten
from helsewan.lab.flows.replay_plan import FRAME_BYTES, Extent, Pace, ReplayPlan

MILLIARD = 10**9


class ReplayPacket(NamedTuple):
    """An IP packet to be sent by site ``site``, ``due_ns`` after the run's start. ``number`` and ``loop``: of the
    captured packet it is made from, in its file; ``order``: its number among
    those from its source to its destination, by which it is recognised (`rewrite`)."""

    due_ns: int
    flow: int
    site: str
    number: int
    loop: int
    order: int
    data: bytes


class Schedule:
    """When packets are due: each from the beginning, so that nothing adds up."""

    def __init__(self, pace: Pace, extent: Extent) -> None:
        self._pace, self._first_ns, self._period_ns = pace, extent.first_ns, extent.period_ns
        self._sent_bytes = 0

    def due_ns(self, time_ns: int, loop: int, ip_bytes: int) -> int:
        """When the next packet is due, of ``loop`` (from 0) and captured at ``time_ns``, from the run's start."""
        start_ns = self._pace.start_us * 1000
        if self._pace.rate_bps:
            due_ns = start_ns + self._sent_bytes * 8 * MILLIARD // self._pace.rate_bps
            self._sent_bytes += ip_bytes + FRAME_BYTES
            return due_ns
        elapsed_ns = loop * self._period_ns + time_ns - self._first_ns
        return start_ns + (elapsed_ns if self._pace.speed == 1 else round(elapsed_ns / self._pace.speed))


def replay_packets(plan: ReplayPlan) -> Iterator[ReplayPacket]:
    """The packets of all loops. Raises InputError where a file has become another since the plan was made."""
    schedule = Schedule(plan.pace, plan.extent)
    sent: dict[tuple[bytes, bytes], int] = {}  # packets between two addresses so far
    ends = {address: (host.site, host.address.packed) for address, host in plan.hosts.items()}
    for loop in range(plan.pace.loops):
        for packet, flow in mapped_packets(plan):
            ip = packet.ip
            (site, source), (other, destination) = ends[ip.source], ends[ip.destination]
            mtu_bytes = min(plan.mtu_bytes[site], plan.mtu_bytes[other])
            order = sent.get((source, destination), 0)
            pieces = rewritten(ip, source, destination, mtu_bytes, order)
            sent[source, destination] = order + len(pieces)
            for data in pieces:
                due_ns = schedule.due_ns(packet.time_ns, loop, len(data))
                yield ReplayPacket(due_ns, flow, site, packet.number, loop, order, data)
                order += 1


def mapped_packets(plan: ReplayPlan) -> Iterator[tuple[ReadPacket, int]]:
    """The captured packets of one loop that belong to flows, each with its flow."""
    hosts, ports, flow_of = plan.hosts, plan.service_ports, plan.flow_of
    for packet in read_packets(plan.files, Passed()):
        if packet.ip.source in hosts and packet.ip.destination in hosts:
            flow = flow_of.get(flow_key(packet.ip, ports))
            if flow is not None:
                yield packet, flow
