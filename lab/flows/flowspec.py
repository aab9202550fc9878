"""Planned traffic: datagram flows, and exchanges of applications over TCP and SIP, between sites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

import numpy as np

from helsewan.lab.flows.applications import Application
from helsewan.lab.flows.records import Array
from helsewan.lab.flows.schedule import Schedule
from helsewan.lab.programs.records import SiteProgram


class FlowKind(str, Enum):
    """The kind of application that a flow represents."""

    VOICE = "voice"
    VIDEO = "video"
    MESSAGES = "messages"
    PROBE = "probe"  # datagrams that the policy denies
    CONTROL = "control"  # shows that a probed socket receives datagrams
    RTCP = "rtcp"  # reports on an RTP stream
    SCAN = "scan"  # datagrams to one port after another at one site after another


class Expect(str, Enum):
    """The expected disposition of a flow's datagrams."""

    DELIVERED = "delivered"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A UDP socket at a site."""

    site: str
    address: IPv4Address | IPv6Address
    port: int


@dataclass(frozen=True, slots=True)
class RtpFormat:
    """Datagrams with a real RTP header (RFC 3550, 5.1): payload type and clock rate of the time stamps."""

    payload_type: int
    clock_hz: int


@dataclass(frozen=True, slots=True)
class RtcpFormat:
    """RTCP reports (RFC 3550, 6) by the names of RTP flows: ``own`` is reported on by its sender, ``peer`` by its
    receiver. Both come before the reports in a plan."""

    own: str
    peer: str


DatagramFormat: TypeAlias = RtpFormat | RtcpFormat | None
"""The format of a flow's datagrams; None: the flow engine's own header and zeros."""


@dataclass(frozen=True, slots=True)
class FlowSpec:
    """Datagrams in one direction, paced or on a schedule. Times count from the run's start.

    ``client`` opens ``service`` at ``server`` in the policy's sense; the datagrams go from ``source`` to
    ``destination``, which may be the opposite direction. ``sent_dscp``: the DSCP sent; ``dscp``: the DSCP expected at
    the destination. ``groups``: names of sets of flows that it belongs to, the traffic entry first.

    Without a ``schedule`` a burst of ``burst`` datagrams of ``payload_bytes`` is due every ``interval_ns``; with one
    these are averages, and the flow follows the schedule from ``offset_ns`` after its begin on. When a datagram is due
    is asked by ``due_before`` and ``due_times``."""

    id: int
    name: str
    kind: FlowKind
    class_name: str
    service: str
    client: str
    server: str
    source: Endpoint
    destination: Endpoint
    dscp: int
    sent_dscp: int
    interval_ns: int
    burst: int
    payload_bytes: int
    start_us: int
    stop_us: int
    expect: Expect = Expect.DELIVERED
    codec: str = ""
    groups: tuple[str, ...] = ()
    schedule: Schedule | None = None
    offset_ns: int = 0
    format: DatagramFormat = None

    @property
    def entry(self) -> str:
        """The entry of the scenario's traffic section that defines it."""
        return self.groups[0]

    def is_meant_by(self, name: str | None) -> bool:
        """Whether who asks for flows of the group ``name``, or for all (None), means this one too: controls, which are
        sparse, and a scan's datagrams that the policy allows only if named, reports only by their own group's name."""
        if self.kind is FlowKind.RTCP:
            return name not in (None, self.entry)
        by_name = self.kind is FlowKind.CONTROL or (self.kind is FlowKind.SCAN and self.expect is Expect.DELIVERED)
        return name is not None or not by_name

    @property
    def first_entry(self) -> int:
        """The entry of its schedule that is due first, counted through the repetitions of it."""
        return 0 if self.schedule is None else int(self.schedule.due_before(self.offset_ns))

    def due_before(self, time_us: int) -> int:
        """Number of its datagrams due before ``time_us``, which is also the first sequence number due later."""
        active_ns = (min(time_us, self.stop_us) - self.start_us) * 1000
        if self.schedule is not None:
            return max(int(self.schedule.due_before(self.offset_ns + max(active_ns, 0))) - self.first_entry, 0)
        return max(-(-active_ns // self.interval_ns), 0) * self.burst

    def due_times(self, seq: Array) -> Array:
        """When the datagrams of sequence numbers ``seq`` are due, us from the run's start."""
        if self.schedule is None:
            return np.asarray(self.start_us + seq // self.burst * (self.interval_ns / 1000))
        due_ns = self.schedule.due_ns(np.asarray(seq, np.int64) + self.first_entry) - self.offset_ns
        return np.asarray(self.start_us + due_ns / 1000)


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    """A client that begins an exchange of ``application`` with a server at each of ``begins_us``, in order, whatever
    became of the last. ``seed`` determines their sizes. An exchange that has not ended ``deadline_us`` after its begin
    has failed. Both addresses are of one IP version."""

    id: int
    name: str
    class_name: str
    service: str
    client: str
    server: str
    client_address: IPv4Address | IPv6Address
    server_address: IPv4Address | IPv6Address
    port: int
    dscp: int
    application: Application
    begins_us: tuple[int, ...]
    seed: str
    deadline_us: int
    start_us: int
    stop_us: int
    expect: Expect = Expect.DELIVERED
    groups: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """The entry of the scenario's traffic section that defines it."""
        return self.groups[0]

    @property
    def kind(self) -> str:
        """The kind of traffic, as scenarios write it."""
        return self.application.kind


@dataclass(frozen=True)
class TrafficPlan:
    """All traffic of a scenario: ``flows[i].id == i``, ``exchanges[i].id == i``; and programs that run at sites."""

    flows: tuple[FlowSpec, ...]
    exchanges: tuple[ExchangeSpec, ...]
    programs: tuple[SiteProgram, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The sockets of the flows, without duplicates; a socket's index is its receiver id."""
        return endpoints(self.flows)


def endpoints(flows: Iterable[FlowSpec]) -> tuple[Endpoint, ...]:
    """The sockets of ``flows``, without duplicates, in order of first use."""
    return tuple(dict.fromkeys(end for flow in flows for end in (flow.destination, flow.source)))
