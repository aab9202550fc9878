"""The IP packets of one capture or several, in the order of their times."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from helsewan.lab.captures.capture_file import CapturedPacket, read_capture, refusal
from helsewan.lab.captures.ip_packet import BadPacket, IpPacket, parse
from helsewan.lab.captures.link_layer import LINK_TYPES, CutHeader, NoPacket, ip_packet_in

MOST_BACK_NS = 10**9  # interfaces of one file are written by several threads; more is another clock


class ReadPacket(NamedTuple):
    """A packet at its place: ``file`` and its number there, and its time (ns since 1970), never before that of the
    packet before it."""

    file: Path
    number: int
    time_ns: int
    ip: IpPacket


@dataclass
class Passed:
    """What was passed over so far, and what was put right."""

    packets: int = 0  # of the files
    left_out: Counter[str] = field(default_factory=Counter)  # packets by why they are no traffic between two hosts
    late: int = 0  # packets with a time before that of the packet before them


def read_packets(files: Sequence[Path], passed: Passed) -> Iterator[ReadPacket]:
    """The packets from host to host in ``files``, merged by time; ``passed`` counts the others. Raises CaptureRefused,
    with the packet's number, for one that cannot be sent again."""
    if len(files) == 1:
        return _of_file(files[0], passed)
    return heapq.merge(*(_of_file(file, passed) for file in files), key=lambda packet: packet.time_ns)


def _of_file(file: Path, passed: Passed) -> Iterator[ReadPacket]:
    for captured in _in_order(file, read_capture(file), passed):
        passed.packets += 1
        try:
            ip = parse(ip_packet_in(captured.link_type, captured.data), captured.wire_bytes - len(captured.data))
        except NoPacket as error:
            passed.left_out[error.reason] += 1
            continue
        except CutHeader:
            hint = "capture with a longer snapshot length (tcpdump -s)"
            raise refusal(file, captured.number, "is cut within its headers", hint) from None
        except BadPacket as error:
            raise refusal(file, captured.number, error.reason, error.hint) from None
        except ValueError:
            known = ", ".join(map(str, sorted(LINK_TYPES)))
            reason = f"is of link type {captured.link_type}, which is not known here"
            raise refusal(file, captured.number, reason, f"known are {known} (LINKTYPE_ numbers)") from None
        if why := _no_traffic(ip):
            passed.left_out[why] += 1
        else:
            yield ReadPacket(file, captured.number, captured.time_ns, ip)


def _in_order(file: Path, packets: Iterable[CapturedPacket], passed: Passed) -> Iterator[CapturedPacket]:
    """The packets, the time of each at least that of the one before it. Raises CaptureRefused where it goes back by
    more than interfaces of one machine differ."""
    latest_ns = None
    for packet in packets:
        if latest_ns is not None and packet.time_ns < latest_ns:
            if latest_ns - packet.time_ns > MOST_BACK_NS:
                reason = f"was captured {(latest_ns - packet.time_ns) / 1e9:,.3f} s before the packet before it"
                raise refusal(file, packet.number, reason, "put the capture in order (reordercap IN OUT)")
            passed.late += 1
            packet = CapturedPacket(packet.number, latest_ns, packet.link_type, packet.data, packet.wire_bytes)
        latest_ns = packet.time_ns
        yield packet


def _no_traffic(packet: IpPacket) -> str:
    """Why a packet is no traffic between two hosts; empty for one that is."""
    if not packet.is_unicast:
        return "to a group or everybody"
    if packet.is_discovery:
        return "of neighbour discovery"
    if packet.is_icmp_error:
        return "an ICMP error, of which this network makes its own"
    return ""
