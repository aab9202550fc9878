"""Parts of the benchmarks' networks: two sites on links of the engine, UDP frames between them, processor times."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from pathlib import Path

from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import CORE_MTU, TAP_QUEUE, End
from helsewan.emulation.nodes.nodes import NamespaceNode

INTERFACE = "wan0"
ADDRESSES = (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"))
MACS = ("02:00:00:00:00:01", "02:00:00:00:00:02")
UDP_PORT = 9
NUMBER_AT = 42  # in a frame of udp_frame(): the first byte of the datagram's data


def end(backend: EngineBackend, node: NamespaceNode, name: str) -> End:
    """A TAP in ``node``, up, as an end of a future link."""
    made = backend.end(node, name)
    node.bring_up(name, mtu=CORE_MTU, txqlen=TAP_QUEUE)
    return made


def sites(backend: EngineBackend) -> tuple[list[NamespaceNode], tuple[End, End]]:
    """Two nodes with an address and a TAP each."""
    nodes = [NamespaceNode(f"site{number}") for number in range(2)]
    ends = end(backend, nodes[0], INTERFACE), end(backend, nodes[1], INTERFACE)
    for node, mac, address in zip(nodes, MACS, ADDRESSES, strict=True):
        node.netlink.set_link(INTERFACE, up=True, address=mac)
        node.netlink.set_loopback_address(address)
    return nodes, ends


def udp_frame(ip_bytes: int, dscp: int = 0) -> bytes:
    """An Ethernet frame from the first site to the second: a UDP datagram of ``ip_bytes`` in all, without checksum."""
    head = struct.pack("!BBHHHBBH", 0x45, dscp << 2, ip_bytes, 0, 0, 64, 17, 0)
    head += b"".join(address.packed for address in ADDRESSES)
    total = sum(struct.unpack("!10H", head))
    checksum = ~(total + (total >> 16)) & 0xFFFF
    head = head[:10] + struct.pack("!H", checksum) + head[12:]
    udp = struct.pack("!HHHH", UDP_PORT, UDP_PORT, ip_bytes - 20, 0)
    ethernet = bytes.fromhex((MACS[1] + MACS[0]).replace(":", "")) + b"\x08\x00"
    return ethernet + head + udp + bytes(ip_bytes - 28)


def cpu_ns(pid: int) -> int:
    """Processor time of the main thread of a process."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def ticks(pid: int) -> tuple[int, int]:
    """User and system time of a process in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])
