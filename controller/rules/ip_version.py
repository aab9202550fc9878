"""The field names and numbers in which the rules of IPv4 and IPv6 differ; everything else is common to both."""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.controller.openflow.entries import IPV4, IPV6, Match, Value
from helsewan.topology.model import Prefix


@dataclass(frozen=True, slots=True)
class IpVersion:
    """A version of IP: EtherType, names and length of the address fields, and its ICMP: protocol number, name of the
    type field, types of echo request and echo reply."""

    eth_type: int
    source: str
    destination: str
    address_bits: int
    icmp: int
    icmp_type: str
    echo_request: int
    echo_reply: int

    def is_from(self, prefix: Prefix) -> Match:
        """Matches this version's packets from ``prefix``."""
        return ("eth_type", self.eth_type), (self.source, masked(prefix))

    def is_to(self, prefix: Prefix) -> Match:
        """Matches this version's packets to ``prefix``."""
        return ("eth_type", self.eth_type), (self.destination, masked(prefix))


IP4 = IpVersion(IPV4, "ipv4_src", "ipv4_dst", 32, 1, "icmpv4_type", 8, 0)  # RFC 792
IP6 = IpVersion(IPV6, "ipv6_src", "ipv6_dst", 128, 58, "icmpv6_type", 128, 129)  # RFC 4443
FAMILIES = IP4, IP6


def ip_version_of(prefix: Prefix) -> IpVersion:
    """The IP version of a prefix."""
    return IP4 if prefix.version == 4 else IP6


def masked(prefix: Prefix) -> Value | tuple[Value, Value]:
    """A prefix as a match value: the address, with a mask unless it is a host's."""
    address = str(prefix.network_address)
    return address if prefix.prefixlen == prefix.max_prefixlen else (address, str(prefix.netmask))
