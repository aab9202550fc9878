"""ICMP errors of sites: which of them belong to traffic that a contract allows.

A switch keeps no sessions and cannot match the packet that an error quotes, so it punts errors that no contract allows.
One is passed on if a site sends it about a packet that its receiver may have sent to that very site: the quoted packet
must be from the error's receiver, to the site's own prefix, and one that a contract between the two roles allows, as a
request or a reply. So a site can send no error to whom it has no contract with, none into a VPN that its own does not
import, and none about another site's traffic. Whether the quoted packet was sent is not known without state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from helsewan.controller.openflow.pipeline import DESTINATION_ROLE, SOURCE_ROLE, Drop, Purpose, cookie
from helsewan.controller.rules.ip_version import IP4, IP6, IpVersion
from helsewan.controller.rules.punt import Punt
from helsewan.controller.slowpath.icmp import Ipv4Packet, read_ipv4
from helsewan.controller.slowpath.icmp6 import Ipv6Packet, read_ipv6, upper_layer
from helsewan.policies.plan import Contract, Plan, Protocol, Service

_ICMP_HEADER_BYTES = 8  # of an error, before the packet that it quotes (RFC 792, RFC 4443)
_QUOTED_BYTES = 4  # of the quoted packet's upper layer that are read: its ports, or its ICMP type
_FRAGMENT4 = 0x3FFF  # more fragments, and the offset
_COOKIE = cookie(Purpose.DROP, Drop.ICMP_ERROR)


@dataclass(frozen=True, slots=True)
class _Quoted:
    """The packet that an error quotes: its ends, its protocol, and its ports or its ICMP type."""

    packet: Ipv4Packet | Ipv6Packet
    version: IpVersion
    protocol: int
    source_port: int
    destination_port: int
    icmp_type: int


def is_site_error(punt: Punt) -> bool:
    """Whether a switch punted an ICMP error of a site, which no contract allows."""
    return punt.cookie == _COOKIE and not punt.expired


def related_contract(plan: Plan, punt: Punt, packet: Ipv4Packet | Ipv6Packet) -> Contract | None:
    """The contract that allows the packet which ``packet``, a site's ICMP error, quotes; None if none does, or if the
    error is not about a packet from its receiver to the site."""
    quoted = _read_quoted(packet)
    site_role, other_role = ((punt.metadata & part.mask) >> part.shift for part in (SOURCE_ROLE, DESTINATION_ROLE))
    if quoted is None or quoted.packet.source != packet.destination:
        return None
    if not _same_site(plan, punt.router, site_role, packet, quoted.packet):
        return None
    for contract in plan.contracts:
        service, ends = plan.service[contract.service], (contract.client, contract.server)
        request = ends == (other_role, site_role) and _belongs(service, quoted, opens=True)
        if request or (ends == (site_role, other_role) and _belongs(service, quoted, opens=False)):
            return contract
    return None


def _same_site(
    plan: Plan, router: str, role: int, packet: Ipv4Packet | Ipv6Packet, quoted: Ipv4Packet | Ipv6Packet
) -> bool:
    """Whether the error's source and the quoted packet's destination are addresses of one site of ``role`` at
    ``router``. The switch has checked that the source is the sender's own."""
    return any(
        packet.source in prefix and quoted.destination in prefix
        for link in plan.attachments
        if link.router == router and link.role == role
        for prefix in plan.network.site[link.site].prefixes
        if prefix.version == packet.source.version
    )


def _belongs(service: Service, quoted: _Quoted, opens: bool) -> bool:
    """Whether the quoted packet is a request (``opens``) or a reply of a service."""
    version = quoted.version
    if service.protocol is Protocol.ICMP:
        wanted = version.echo_request if opens else version.echo_reply
        return quoted.protocol == version.icmp and quoted.icmp_type == wanted
    port = quoted.destination_port if opens else quoted.source_port
    return quoted.protocol == service.protocol and (
        not service.ports or any(port & match.mask == match.value for match in service.ports)
    )


def _read_quoted(packet: Ipv4Packet | Ipv6Packet) -> _Quoted | None:
    """The packet that an ICMP error quotes; None if it contains no header with ports or type, or quotes a fragment."""
    found = next(_upper(packet), None)
    if found is None:
        return None
    data = packet.data[found[1] + _ICMP_HEADER_BYTES :]
    version = IP4 if isinstance(packet, Ipv4Packet) else IP6
    quoted = read_ipv4(data) if version is IP4 else read_ipv6(data)
    for protocol, offset in _upper(quoted) if quoted else ():
        head = data[offset : offset + _QUOTED_BYTES]
        if quoted and len(head) == _QUOTED_BYTES:
            ports = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
            return _Quoted(quoted, version, protocol, *ports, head[0])
    return None


def _upper(packet: Ipv4Packet | Ipv6Packet) -> Iterator[tuple[int, int]]:
    """The upper-layer protocol and the offset of its header; nothing for a fragment."""
    if isinstance(packet, Ipv4Packet):
        if not int.from_bytes(packet.data[6:8], "big") & _FRAGMENT4:
            yield packet.data[9], (packet.data[0] & 15) * 4
    elif found := upper_layer(packet.data):
        yield found
