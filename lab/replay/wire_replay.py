"""Sends the packets of a replay and follows them to where they come out, in one thread."""

from __future__ import annotations

import select
import time
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from helsewan.common.run_clock import RunClock
from helsewan.lab.captures.replay_frames import ReplayPacket, replay_packets
from helsewan.lab.captures.rewrite import IDENT4_MASK, LABEL6_MASK
from helsewan.lab.flows.replay_plan import ReplayPlan
from helsewan.lab.replay.replay_counts import ReplayCounts
from helsewan.lab.replay.replay_records import RecordFile
from helsewan.lab.replay.wire_sockets import NotSent

_AHEAD = 2_000  # packets read and rewritten before they are due
_BATCH = 16  # packets read before the clock and the sockets are looked at again
_NEAR_NS = 1_000_000  # epoll(7) waits whole milliseconds
_IDLE_NS = 50_000_000


class Site(Protocol):
    """A site's side of the wire: `wire_sockets.WireSite`."""

    @property
    def name(self) -> str:
        """Its id."""

    def fileno(self) -> int:
        """The descriptor that can be read when packets have arrived."""

    def send(self, packet: bytes) -> None:
        """Send an IP packet. Raises NotSent."""

    def received(self) -> Iterable[tuple[int, bytes]]:
        """The packets that have arrived, some at once: when (CLOCK_REALTIME, ns), and the packet's beginning."""

    def dropped(self) -> int:
        """Packets dropped since the last call because the receiving socket was full."""


@dataclass
class Sent:
    """The packets sent from one address to another: the record of each, by its number."""

    destination: str
    records: array[int] = field(default_factory=lambda: array("q"))
    fragments: dict[tuple[int, int], int] = field(default_factory=dict)


class WireReplay:
    """The replay of ``plan`` from the packet sockets of ``sites``; ``records`` gets every packet sent."""

    def __init__(self, plan: ReplayPlan, sites: Sequence[Site], records: RecordFile) -> None:
        self.counts = ReplayCounts()
        self._records = records
        self._packets = replay_packets(plan)
        self._ahead: deque[ReplayPacket] = deque()
        self._sites = {site.name: site for site in sites}
        self._by_descriptor = {site.fileno(): site for site in sites}
        hosts = plan.hosts.values()
        self._site_of = {host.address.packed: host.site for host in hosts}
        self._sent: dict[bytes, Sent] = {}  # by both addresses

    def prepare(self) -> None:
        """Read the first packets, so that they are ready when they are due. Raises InputError."""
        while len(self._ahead) < _AHEAD and self._read():
            pass

    def run(self, epoch_ns: int, stop: int) -> None:
        """Send from ``epoch_ns`` on (CLOCK_REALTIME), until descriptor ``stop`` can be read; packets are followed until
        then also when all are sent. Raises OSError and InputError."""
        clock = RunClock()
        with select.epoll() as epoll:
            epoll.register(stop, select.EPOLLIN)
            for descriptor in self._by_descriptor:
                epoll.register(descriptor, select.EPOLLIN)
            while True:
                wait_ns = self._send_due(clock, epoch_ns)
                if wait_ns >= _NEAR_NS and self._read_some():
                    wait_ns = 0  # there may be more to read: the sockets are only looked at
                if 0 < wait_ns < _NEAR_NS:
                    time.sleep(wait_ns / 1e9)
                    wait_ns = 0
                ready = epoll.poll(max(wait_ns - _NEAR_NS, 0) / 1e9)
                for descriptor, _ in ready:
                    if descriptor != stop:
                        self._receive(self._by_descriptor[descriptor])
                if any(descriptor == stop for descriptor, _ in ready):
                    break
        for site in self._sites.values():
            self._receive(site)
            self.counts.dropped += site.dropped()

    def _read_some(self) -> bool:
        """Read some packets ahead; returns whether there were any to read, and room for them."""
        return len(self._ahead) < _AHEAD and sum(self._read() for _ in range(_BATCH)) > 0

    def _read(self) -> bool:
        """Read and rewrite the next packet; returns whether there was one."""
        packet = next(self._packets, None)
        if packet is None:
            return False
        self._ahead.append(packet)
        return True

    def _send_due(self, clock: RunClock, epoch_ns: int) -> int:
        """Send packets that are due, some at once; returns the time to the next one (ns)."""
        for _ in range(_BATCH):
            if not self._ahead and not self._read():
                self.counts.ended = True
                return _IDLE_NS
            packet = self._ahead[0]
            now_ns = clock.now_ns()
            late_ns = now_ns - epoch_ns - packet.due_ns
            if late_ns < 0:
                return min(-late_ns, _IDLE_NS)
            self._ahead.popleft()
            self._send(packet, now_ns)
            self.counts.count_late(late_ns)
        return 0

    def _send(self, packet: ReplayPacket, now_ns: int) -> None:
        data = packet.data
        index = self._records.append(now_ns, packet.flow, packet.number, packet.loop)
        ends = data[12:20] if data[0] >> 4 == 4 else data[8:40]
        sent = self._sent.get(ends)
        if sent is None:
            sent = self._sent[ends] = Sent(self._site_of[ends[len(ends) // 2 :]])
        sent.records.append(index)
        if key := _fragment(data):
            sent.fragments[key] = index
        try:
            self._sites[packet.site].send(data)
        except NotSent as error:
            if error.full:
                self.counts.not_sent += 1
            else:
                self.counts.unreachable += 1

    def _receive(self, site: Site) -> None:
        for time_ns, data in site.received():
            is_ipv4 = data[0] >> 4 == 4
            sent = self._sent.get(data[12:20] if is_ipv4 else data[8:40])
            if sent is None:  # of the site's other traffic
                continue
            if (index := record_of(sent, data)) is None:
                self.counts.stray += 1
            elif sent.destination != site.name:
                self.counts.misdelivered += 1
            else:
                self._records.received(index, time_ns)


def record_of(sent: Sent, data: bytes) -> int | None:
    """The record of a packet that arrived: the latest one sent with its number; None if there is none."""
    is_ipv4 = data[0] >> 4 == 4
    if is_ipv4 and (key := _fragment(data)):
        return sent.fragments.get(key)
    if is_ipv4:
        number, mask = int.from_bytes(data[4:6], "big"), IDENT4_MASK
    else:
        number, mask = int.from_bytes(data[1:4], "big") & LABEL6_MASK, LABEL6_MASK
    last = len(sent.records) - 1
    place = last - ((last - number) & mask)
    return sent.records[place] if place >= 0 else None


def _fragment(data: bytes) -> tuple[int, int] | None:
    """Identification and place of a fragment of IPv4, None for any other packet."""
    if data[0] >> 4 != 4 or not (place := int.from_bytes(data[6:8], "big") & 0x3FFF):
        return None
    return int.from_bytes(data[4:6], "big"), place
