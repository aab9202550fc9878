"""Planned traffic: datagram flows and TCP exchanges between sites."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from helsewan.lab.flows.replay_plan import ReplayPlan


class FlowKind(str, Enum):
    """The kind of application that a flow represents."""

    VOICE = "voice"
    VIDEO = "video"
    MESSAGES = "messages"
    PROBE = "probe"  # datagrams that the policy denies
    CONTROL = "control"  # shows that a probed socket receives datagrams


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
class FlowSpec:
    """Paced datagrams in one direction. Times count from the run's start.

    ``client`` opens ``service`` at ``server`` in the policy's sense; the datagrams go from ``source`` to
    ``destination``, which may be the opposite direction. ``sent_dscp``: the DSCP sent; ``dscp``: the DSCP expected at
    the destination. ``groups``: names of sets of flows that it belongs to, the traffic entry first."""

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

    @property
    def entry(self) -> str:
        """The entry of the scenario's traffic section that defines it."""
        return self.groups[0]

    def due_before(self, time_us: int) -> int:
        """Number of its datagrams due before ``time_us``, which is also the first sequence number due later."""
        active_ns = (min(time_us, self.stop_us) - self.start_us) * 1000
        return max(-(-active_ns // self.interval_ns), 0) * self.burst


@dataclass(frozen=True, slots=True)
class ExchangeSpec:
    """A client that opens a TCP connection every ``interval_us``, sends a request and reads a response.

    With ``Expect.DENIED`` no connection may be established."""

    id: int
    name: str
    class_name: str
    service: str
    client: str
    server: str
    server_address: IPv4Address
    port: int
    dscp: int
    interval_us: int
    request_bytes: int
    response_bytes: int
    deadline_us: int
    start_us: int
    stop_us: int
    expect: Expect = Expect.DELIVERED
    groups: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """The entry of the scenario's traffic section that defines it."""
        return self.groups[0]


@dataclass(frozen=True)
class TrafficPlan:
    """All traffic of a scenario: ``flows[i].id == i``, ``exchanges[i].id == i``; and its replays of captures."""

    flows: tuple[FlowSpec, ...]
    exchanges: tuple[ExchangeSpec, ...]
    replays: tuple[ReplayPlan, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The sockets of the flows, without duplicates; a socket's index is its receiver id."""
        return endpoints(self.flows)


def endpoints(flows: Iterable[FlowSpec]) -> tuple[Endpoint, ...]:
    """The sockets of ``flows``, without duplicates, in order of first use."""
    return tuple(dict.fromkeys(end for flow in flows for end in (flow.destination, flow.source)))
