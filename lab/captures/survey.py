"""What there is in captures: a first pass over the files, before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from helsewan.lab.captures.capture_file import refusal
from helsewan.lab.captures.capture_stream import Passed, ReadPacket, read_packets
from helsewan.lab.captures.flow_key import flow_key
from helsewan.lab.captures.ip_packet import TCP
from helsewan.lab.flows.replay_plan import FRAME_BYTES, FlowKey, ServicePorts

MOST_FLOWS = 100_000  # about 80 MB
MOST_ADDRESSES = 100_000  # of those that are not mapped, which are only counted


@dataclass(frozen=True, slots=True)
class Place:
    """A packet of a file: its number there, and how many bytes of it are meant."""

    file: Path
    number: int
    count: int


@dataclass(slots=True)
class Sighting:
    """The packets of one kind. ``longest`` is the longest packet that cannot be cut into segments, ``filled`` the first
    one of which bytes were not captured."""

    packets: int = 0
    ip_bytes: int = 0
    first_ns: int = 0
    last_ns: int = 0
    filled: Place | None = None
    filled_packets: int = 0
    offloaded: int = 0  # TCP packets longer than ``mtu_bytes``
    longest: Place | None = None


@dataclass
class Survey:
    """Packets by kind, in the order of their first; and those between addresses that nobody ``wants``."""

    kinds: dict[FlowKey, Sighting] = field(default_factory=dict)
    passed: Passed = field(default_factory=Passed)
    unwanted_packets: int = 0
    unwanted: set[bytes] = field(default_factory=set)  # addresses, at most MOST_ADDRESSES


def survey(files: Sequence[Path], ports: ServicePorts, wants: Callable[[bytes], bool], mtu_bytes: int) -> Survey:
    """The packets in ``files`` both ends of which ``wants``. Raises CaptureRefused for a file or a packet that is
    refused, and where there are too many flows."""
    found = Survey()
    kinds, known = found.kinds, {}  # type: dict[FlowKey, Sighting], dict[bytes, bytes]
    for packet in read_packets(files, found.passed):
        ip = packet.ip
        source_wanted, destination_wanted = wants(ip.source), wants(ip.destination)
        if not (source_wanted and destination_wanted):
            found.unwanted_packets += 1
            if len(found.unwanted) < MOST_ADDRESSES:
                unwanted = [ip.source] * (not source_wanted) + [ip.destination] * (not destination_wanted)
                found.unwanted.update(unwanted)
            continue
        key = flow_key(ip, ports)
        sighting = kinds.get(key)
        if sighting is None:
            if len(kinds) == MOST_FLOWS:
                reason = f"begins flow {MOST_FLOWS + 1:,}; at most {MOST_FLOWS:,} are replayed at once"
                raise refusal(
                    packet.file, packet.number, reason, "map fewer addresses, or replay a part of the capture"
                )
            ends = (known.setdefault(key[0], key[0]), known.setdefault(key[1], key[1]))
            sighting = kinds[(*ends, *key[2:])] = Sighting(first_ns=packet.time_ns)
        _count(sighting, packet, mtu_bytes)
    return found


def _count(sighting: Sighting, packet: ReadPacket, mtu_bytes: int) -> None:
    size = len(packet.ip.data)
    sighting.packets += 1
    sighting.ip_bytes += size
    sighting.last_ns = packet.time_ns
    if packet.ip.filled:
        sighting.filled_packets += 1
        sighting.filled = sighting.filled or Place(packet.file, packet.number, packet.ip.filled)
    if packet.ip.protocol == TCP and not packet.ip.is_fragment:
        sighting.offloaded += size > mtu_bytes
    elif sighting.longest is None or size > sighting.longest.count:
        sighting.longest = Place(packet.file, packet.number, size)


def frame_bytes(sighting: Sighting) -> int:
    """The bytes of its packets as Ethernet frames."""
    return sighting.ip_bytes + FRAME_BYTES * sighting.packets
