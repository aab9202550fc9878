"""The conversations of a capture as their applications had them: what each end said, in order, and when.

TCP's segments become the bytes of a stream again: once, without gaps and in order, whatever was sent again or came out
of order. A datagram is a message by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from helsewan.lab.captures.capture_file import refusal
from helsewan.lab.captures.capture_stream import ReadPacket
from helsewan.lab.captures.ip_packet import TCP, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, UDP, IpPacket
from helsewan.lab.captures.replay_frames import Schedule, mapped_packets
from helsewan.lab.flows.replay_plan import ReplayPlan

_SEQUENCE = 1 << 32
_MOST_EARLY_BYTES = 4 << 20  # how far ahead of what has come; no window is larger by default
Ends = tuple[bytes, int, bytes, int]  # address and port of the client, then of the server


class Act(Enum):
    """What an end does."""

    OPEN = "open"  # the client connects
    SAY = "say"
    CLOSE = "close"  # it has no more to say
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Event:
    """One end's act: ``due_ns`` after the run's start. ``by_client``: of the conversation's client. ``number`` is that
    of the captured packet, of ``loop`` (from 0); ``ends`` are as the capture has them, ``protocol`` TCP or UDP."""

    due_ns: int
    protocol: int
    ends: Ends
    by_client: bool
    act: Act
    flow: int
    number: int
    loop: int
    data: bytes = b""


@dataclass(slots=True)
class _Stream:
    """One direction of a connection: the sequence number that comes next (None: nothing has come yet), and what has
    come early, by sequence number."""

    expected: int | None = None
    early: dict[int, tuple[bytes, ReadPacket]] = field(default_factory=dict)
    ends_at: int | None = None  # the sequence number of its FIN
    ended: bool = False


@dataclass(slots=True)
class _Connection:
    ends: Ends
    streams: tuple[_Stream, _Stream] = field(default_factory=lambda: (_Stream(), _Stream()))  # client's, server's


def replay_events(plan: ReplayPlan) -> Iterator[Event]:
    """The events of all loops, in order. Raises CaptureRefused, with the packet's number, where a capture lacks a part
    of a stream."""
    schedule = Schedule(plan.pace, plan.extent)
    for loop in range(plan.pace.loops):
        connections: dict[Ends, _Connection | None] = {}  # None: ended
        for packet, flow in mapped_packets(plan):
            due_ns = schedule.due_ns(packet.time_ns, loop, len(packet.ip.data))
            if packet.ip.is_fragment:  # no network here passes them
                continue
            if packet.ip.protocol == UDP:
                yield _datagram(packet, flow, due_ns, loop)
            elif packet.ip.protocol == TCP:
                for by_client, act, data, ends in _tcp(connections, packet, plan):
                    yield Event(due_ns, TCP, ends, by_client, act, flow, packet.number, loop, data)
        for connection in connections.values():
            if connection is not None:
                _check_whole(connection)


def _datagram(packet: ReadPacket, flow: int, due_ns: int, loop: int) -> Event:
    ip = packet.ip
    ends = ip.source, ip.source_port, ip.destination, ip.destination_port
    size = int.from_bytes(ip.data[ip.transport_at + 4 : ip.transport_at + 6], "big")
    data = ip.data[ip.payload_at : ip.transport_at + size] if size else ip.data[ip.payload_at :]
    return Event(due_ns, UDP, ends, True, Act.SAY, flow, packet.number, loop, data)


_Said = tuple[bool, Act, bytes, Ends]


def _tcp(connections: dict[Ends, _Connection | None], packet: ReadPacket, plan: ReplayPlan) -> Iterator[_Said]:
    ip = packet.ip
    here = ip.source, ip.source_port, ip.destination, ip.destination_port
    there = here[2:] + here[:2]
    opens = ip.flags & (TCP_SYN | TCP_ACK) == TCP_SYN
    known = here if here in connections else there if there in connections else None
    connection = connections[known] if known else None
    if connection is None:
        if not opens and (known or len(ip.data) == ip.payload_at):  # what follows the end, or says nothing
            return
        ends = here if opens or _is_to_server(ip, plan) else there
        if known:  # the ports are in use again
            del connections[known]
        connection = connections[ends] = _Connection(ends)
        yield True, Act.OPEN, b"", ends
    ends, by_client = connection.ends, connection.ends == here
    stream = connection.streams[not by_client]
    said = _heard(stream, packet)
    if said:
        yield by_client, Act.SAY, said, ends
    if ip.flags & TCP_RST:
        connections[ends] = None
        yield by_client, Act.RESET, b"", ends
    elif stream.ends_at is not None and not stream.ended and _ahead(stream, stream.ends_at) <= 0:
        stream.ended = True
        yield by_client, Act.CLOSE, b"", ends
        if all(each.ended for each in connection.streams):
            connections[ends] = None


def _is_to_server(packet: IpPacket, plan: ReplayPlan) -> bool:
    """Whether a packet of a connection that had begun before the capture goes to the server, by the services' ports;
    else the first to speak is the client."""
    services = plan.service_ports.get(TCP, frozenset())
    return packet.destination_port in services or packet.source_port not in services


def _heard(stream: _Stream, packet: ReadPacket) -> bytes:
    """The bytes that come next in the stream, now that ``packet`` has come; empty where there are none yet."""
    ip = packet.ip
    sequence = int.from_bytes(ip.data[ip.transport_at + 4 : ip.transport_at + 8], "big")
    data = ip.data[ip.payload_at :]
    if ip.flags & TCP_SYN:
        sequence += 1
    if stream.expected is None or ip.flags & TCP_SYN:
        stream.expected = sequence % _SEQUENCE
    if ip.flags & TCP_FIN:
        stream.ends_at = (sequence + len(data)) % _SEQUENCE
    if not data:
        return b""
    if (ahead := _ahead(stream, sequence)) > 0:
        if ahead > _MOST_EARLY_BYTES:
            raise _gap(packet, ahead)
        stream.early.setdefault(sequence % _SEQUENCE, (data, packet))
        return b""
    return _take(stream, sequence, data) + _taken_early(stream)


def _take(stream: _Stream, sequence: int, data: bytes) -> bytes:
    """The part of ``data`` that is new."""
    assert stream.expected is not None
    known = -_ahead(stream, sequence)
    if known >= len(data):
        return b""
    new = data[known:]
    stream.expected = (stream.expected + len(new)) % _SEQUENCE
    return new


def _taken_early(stream: _Stream) -> bytes:
    """What had come early and is next now."""
    pieces = []
    while ready := sorted((_ahead(stream, at), at) for at in stream.early if _ahead(stream, at) <= 0):
        for _, at in ready:
            data, _ = stream.early.pop(at)
            if _ahead(stream, at) <= 0:
                pieces.append(_take(stream, at, data))
    return b"".join(pieces)


def _ahead(stream: _Stream, sequence: int) -> int:
    """How far a sequence number is ahead of the expected one; negative: behind."""
    assert stream.expected is not None
    return (sequence - stream.expected + _SEQUENCE // 2) % _SEQUENCE - _SEQUENCE // 2


def _check_whole(connection: _Connection) -> None:
    for stream in connection.streams:
        if stream.early:
            ahead, at = min((_ahead(stream, at), at) for at in stream.early)
            raise _gap(stream.early[at][1], ahead)


def _gap(packet: ReadPacket, ahead: int) -> Exception:
    reason = f"follows {ahead:,} bytes of its TCP stream that the capture does not have"
    return refusal(packet.file, packet.number, reason, "capture without drops, or replay mode: wire")
