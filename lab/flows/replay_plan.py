"""A replay as it is planned: which address of the capture is which site, which flows there are, and when each packet
is due. Values only, which the processes that send and judge share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from helsewan.common.counts import counted

FlowKey = tuple[bytes, bytes, int, int, int, bool, int, bool]
"""What a policy tells packets apart by: source, destination, protocol, ports (0: of no service), whether TCP's flags
open a connection, ICMP type, whether it is a fragment."""

ServicePorts = Mapping[int, frozenset[int]]  # by protocol
SINGLE_PERIOD_NS = 10**9  # from loop to loop of a capture of one packet
_SHOWN_FLOWS = 5
FRAME_BYTES = 18  # of Ethernet around an IP packet: header and frame check sequence


class ReplayMode(str, Enum):
    """What of a capture is replayed."""

    WIRE = "wire"  # its packets, between passive ends
    PAYLOAD = "payload"  # the bytes of its conversations, over sockets


@dataclass(frozen=True, slots=True)
class Host:
    """The address of a site, in use by nothing else there, that stands for one of the capture's."""

    site: str
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class ReplayFlow:
    """Packets of one direction between two hosts that belong to one service, of all of the clients' ports together.

    ``client`` opens ``service`` at ``server``; the packets go from ``source`` to ``destination``. ``packets`` counts
    those of the capture. ``service`` and ``class_name`` are empty where the policy has none that fits."""

    id: int
    name: str
    class_name: str
    service: str
    client: str
    server: str
    source: Host
    destination: Host
    packets: int
    is_denied: bool = False  # by the policy
    groups: tuple[str, ...] = ()

    @property
    def entry(self) -> str:
        """The entry of the scenario's traffic section that defines it."""
        return self.groups[0]


@dataclass(frozen=True, slots=True)
class Pace:
    """When packets are due: at their times divided by ``speed`` or, with ``rate_bps``, one after the other at that rate
    of Ethernet frames. ``loops`` times, from ``start_us`` after the run's start on."""

    speed: float = 1.0
    rate_bps: int | None = None
    loops: int = 1
    start_us: int = 0


@dataclass(frozen=True, slots=True)
class Extent:
    """The packets of a capture that are replayed: how many, their bytes as Ethernet frames, and the times of the first
    and the last (ns since 1970)."""

    packets: int
    frame_bytes: int
    first_ns: int
    last_ns: int

    @property
    def period_ns(self) -> int:
        """From a loop's first packet to the next one's, by the capture's clock: its last packet is followed after the
        mean time between packets."""
        if self.packets < 2:
            return SINGLE_PERIOD_NS
        return (self.last_ns - self.first_ns) * self.packets // (self.packets - 1)

    def ends_us(self, pace: Pace) -> int:
        """When the last packet is due, from the run's start."""
        if pace.rate_bps:
            return pace.start_us + self.frame_bytes * 8 * pace.loops * 10**6 // pace.rate_bps
        last_ns = self.period_ns * (pace.loops - 1) + self.last_ns - self.first_ns
        return pace.start_us + int(last_ns / pace.speed) // 1000


@dataclass(frozen=True, slots=True)
class Told:
    """What the user must know of a replay: packets of its files, and what becomes of them.

    ``unmapped`` packets have an end that is no site here; ``addresses`` is the number of such ends (at most 100,000 are
    counted) and ``examples`` are some. ``left_out``: packets that are no traffic between hosts, by what they are.
    ``denied`` packets are expected to be dropped by the policy. ``filled`` packets are in the capture in part, and have
    zeros for the rest; ``segmented`` ones are longer than the lines here carry; ``late`` ones have a time before that
    of the packet before them. ``ends_us``: when the last packet is due, beyond the run's end ``duration_us`` or not."""

    packets: int
    replayed: int
    unmapped: int
    addresses: int
    examples: tuple[str, ...]
    left_out: Mapping[str, int]
    within_site: int
    denied: int
    denied_flows: tuple[str, ...]
    filled: int
    segmented: int
    late: int
    ends_us: int
    duration_us: int

    @property
    def stop_us(self) -> int:
        """When the replay ends: with its last packet, or with the run."""
        return min(self.ends_us, self.duration_us)

    def lines(self) -> list[str]:
        """For people, a line each."""

        def packets(count: int) -> str:
            return counted(count, "packet")

        lines = [f"replayed: {self.replayed:,} of {packets(self.packets)}"]
        if self.unmapped:
            ends = counted(self.addresses, "address", "addresses")
            lines.append(f"left out: {packets(self.unmapped)} of {ends} not mapped ({', '.join(self.examples)})")
        if self.within_site:
            lines.append(f"left out: {packets(self.within_site)} between addresses that are mapped to one site")
        lines += [f"left out: {packets(count)} {what}" for what, count in self.left_out.items()]
        if self.denied:
            names = ", ".join(self.denied_flows[:_SHOWN_FLOWS])
            more = len(self.denied_flows) - _SHOWN_FLOWS
            names += f" and {counted(more, 'more flow')}" if more > 0 else ""
            lines.append(f"denied by the policy, must not arrive: {packets(self.denied)} ({names})")
        if self.filled:
            lines.append(f"captured in part, sent with zeros for the rest: {packets(self.filled)}")
        if self.segmented:
            lines.append(f"longer than lines here carry, sent as segments: {packets(self.segmented)}")
        if self.late:
            lines.append(f"with a time before that of the packet before, sent at once after it: {packets(self.late)}")
        if self.ends_us > self.duration_us:
            ends_s, duration_s = self.ends_us / 1e6, self.duration_us / 1e6
            lines.append(f"not replayed to its end after {ends_s:,.1f} s: the run ends after {duration_s:,.1f} s")
        return lines


@dataclass(frozen=True)
class ReplayPlan:
    """One replay. ``hosts`` has the mapped addresses of the capture (packed), ``flow_of`` the flow of every kind of
    packet between them; other packets are left out."""

    entry: str
    files: tuple[Path, ...]
    mode: ReplayMode
    pace: Pace
    hosts: Mapping[bytes, Host]
    flow_of: Mapping[FlowKey, int]
    flows: tuple[ReplayFlow, ...]
    service_ports: ServicePorts
    mtu_bytes: Mapping[str, int]
    extent: Extent
    told: Told
