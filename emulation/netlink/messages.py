"""Encoder of the rtnetlink(7) messages that sites and routers need.

Thousands of interfaces are set up at start, and a general library takes most of a millisecond per message. Numbers are
those of linux/rtnetlink.h, if_link.h and if_addr.h; integers are in native byte order.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

NLMSG_ERROR = 2
RTM_NEWLINK, RTM_GETLINK, RTM_SETLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE = 16, 18, 19, 20, 21, 24
RTM_NEWNEIGH = 28
LOOPBACK_INDEX = 1  # in every namespace

CREATE, EXCLUSIVE = 0x400, 0x200
_REQUEST, _ACK, _REPLACE = 0x1, 0x4, 0x100
_IFF_UP = 0x1
_IFLA_ADDRESS, _IFLA_MTU, _IFLA_TXQLEN, _IFLA_STATS64, _IFLA_AF_SPEC = 1, 4, 13, 23, 26
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_FD = 3, 18, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC = 1, 4, 5, 6, 7
_RT_TABLE_MAIN, _RTPROT_STATIC, _RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK, _RTN_UNICAST = 254, 4, 0, 253, 1
_RTNH_F_ONLINK = 0x4
_LINK_LOCAL6_BITS = 64  # prefix length of a link-local address (RFC 4291, 2.5.6)
_IFA_F_NODAD = 0x2  # no duplicate address detection (IPv6): the address is unique

Address = IPv4Address | IPv6Address

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_IFINFO = struct.Struct("=BxHiII")  # family, device type, index, flags, mask of changed flags
_IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_NDMSG = struct.Struct("=BxxxiHxx")  # family, interface, state, and flags and type
_NDA_DST, _NDA_LLADDR, _NUD_PERMANENT = 1, 2, 0x80
_RTMSG = struct.Struct("=BBBBBBBBI")  # family, lengths, TOS, table, protocol, scope, type, flags
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_STATISTICS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped")


def set_link(
    index: int, *, up: bool, address: str | None = None, mtu: int | None = None, txqlen: int | None = None
) -> bytes:
    """Set an interface up or down, and set its MAC address, MTU, and queue length in frames."""
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, _IFF_UP if up else 0, _IFF_UP)
    if address is not None:
        body += attribute(_IFLA_ADDRESS, bytes.fromhex(address.replace(":", "")))
    if mtu is not None:
        body += attribute(_IFLA_MTU, _u32(mtu))
    if txqlen is not None:
        body += attribute(_IFLA_TXQLEN, _u32(txqlen))
    return request(RTM_SETLINK, body)


def add_veth(name: str, mtu: int, peer: str, peer_namespace: int | None = None) -> bytes:
    """Create a pair of virtual Ethernet interfaces: ``name`` here, and ``peer`` here or in the namespace of descriptor
    ``peer_namespace``. Both have ``mtu``, except that a peer in another namespace has the default."""
    other = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, peer.encode() + b"\0")
    if peer_namespace is None:
        other += attribute(_IFLA_MTU, _u32(mtu))
    else:
        other += attribute(_IFLA_NET_NS_FD, _u32(peer_namespace))
    about = attribute(_IFLA_INFO_KIND, b"veth\0")
    about += attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, other))
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute(_IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(_IFLA_MTU, _u32(mtu)) + attribute(_IFLA_LINKINFO, about)
    return request(RTM_NEWLINK, body, CREATE | EXCLUSIVE)


def withhold_ipv6(index: int) -> bytes:
    """Disable automatic IPv6 addresses of an interface, so that it sends no IPv6 of its own when it comes up."""
    mode = attribute(_IFLA_INET6_ADDR_GEN_MODE, bytes([_ADDR_GEN_NONE]))
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    return request(RTM_SETLINK, body + attribute(_IFLA_AF_SPEC, attribute(socket.AF_INET6, mode)))


def set_address(index: int, address: Address) -> bytes:
    """Give an interface a host address, or an IPv6 link-local one, unless it already has it."""
    return request(RTM_NEWADDR, _address(index, address), CREATE | _REPLACE)


def delete_address(index: int, address: Address) -> bytes:
    """Remove an address set by ``set_address``."""
    return request(RTM_DELADDR, _address(index, address))


def set_default_route(gateway: Address, index: int, source: Address, metric: int) -> bytes:
    """Set the default route of ``metric``, whose gateway is on-link although no prefix covers it."""
    scope = _RT_SCOPE_UNIVERSE, _RTN_UNICAST
    body = _RTMSG.pack(_family(gateway), 0, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, *scope, _RTNH_F_ONLINK)
    body += attribute(_RTA_GATEWAY, gateway.packed) + attribute(_RTA_OIF, _u32(index))
    body += attribute(_RTA_PREFSRC, source.packed) + attribute(_RTA_PRIORITY, _u32(metric))
    return request(RTM_NEWROUTE, body, CREATE | _REPLACE)


def set_link_route(destination: IPv4Address, index: int) -> bytes:
    """Set a host route to an address on the interface's link."""
    scope = _RT_SCOPE_LINK, _RTN_UNICAST
    body = _RTMSG.pack(socket.AF_INET, 32, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, *scope, 0)
    body += attribute(_RTA_DST, destination.packed) + attribute(_RTA_OIF, _u32(index))
    return request(RTM_NEWROUTE, body, CREATE | _REPLACE)


def set_neighbour(address: Address, index: int, mac: str) -> bytes:
    """Add a permanent neighbour entry, so that no address resolution takes place."""
    body = _NDMSG.pack(_family(address), index, _NUD_PERMANENT)
    body += attribute(_NDA_DST, address.packed) + attribute(_NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))
    return request(RTM_NEWNEIGH, body, CREATE | _REPLACE)


def get_link(index: int) -> bytes:
    """Request an interface's state; the reply is decoded by `is_up` and `statistics`."""
    return request(RTM_GETLINK, _IFINFO.pack(socket.AF_UNSPEC, 0, index, 0, 0))


def numbered(message: bytes, number: int) -> bytes:
    """The message with sequence number ``number`` and the request for an acknowledgement (NLM_F_ACK)."""
    length, kind, flags, _, _ = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, flags | _ACK, number, 0) + message[_HEADER.size :]


def replies(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The messages of a datagram: (type, sequence number, body)."""
    at = 0
    while at < len(data):
        length, kind, _, number, _ = _HEADER.unpack_from(data, at)
        yield kind, number, data[at + _HEADER.size : at + length]
        at += _aligned(length)


def error_of(body: bytes) -> int:
    """The error number in the body of an NLMSG_ERROR; 0: success."""
    (negative,) = struct.unpack_from("=i", body)
    return -int(negative)


def is_up(body: bytes) -> bool:
    """Whether the interface of an RTM_NEWLINK is administratively up."""
    return bool(_IFINFO.unpack_from(body)[3] & _IFF_UP)


def statistics(body: bytes) -> dict[str, int]:
    """The counters in an RTM_NEWLINK (``rx_dropped``, ``tx_dropped``, ``rx_packets`` ...)."""
    at = _IFINFO.size
    while at < len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if kind == _IFLA_STATS64:
            values = struct.unpack_from(f"={len(_STATISTICS)}Q", body, at + _ATTRIBUTE.size)
            return dict(zip(_STATISTICS, values, strict=True))
        at += _aligned(length)
    raise ValueError("no counters in this message")


def _family(address: Address) -> int:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _address(index: int, address: Address) -> bytes:
    flags = _IFA_F_NODAD if address.version == 6 else 0
    bits = _LINK_LOCAL6_BITS if address.version == 6 and address.is_link_local else address.max_prefixlen
    body = _IFADDR.pack(_family(address), bits, flags, _RT_SCOPE_UNIVERSE, index)
    return body + attribute(_IFA_LOCAL, address.packed) + attribute(_IFA_ADDRESS, address.packed)


def request(kind: int, body: bytes, flags: int = 0) -> bytes:
    """A message of ``kind``; ``numbered`` makes it ready to be sent."""
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute of a message, padded."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)
