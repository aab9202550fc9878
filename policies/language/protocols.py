"""IP protocols of services: by a name of IANA's registry, by number, or all of them."""

from __future__ import annotations

from helsewan.common.schema_errors import nearest
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.plan import Protocol

# https://www.iana.org/assignments/protocol-numbers, in lower case; the numbers without a name here can be written
NUMBERS = {
    "icmp": 1,
    "igmp": 2,
    "ipv4": 4,
    "ipip": 4,
    "st": 5,
    "tcp": 6,
    "egp": 8,
    "igp": 9,
    "udp": 17,
    "hmp": 20,
    "rdp": 27,
    "dccp": 33,
    "ipv6": 41,
    "idrp": 45,
    "rsvp": 46,
    "gre": 47,
    "dsr": 48,
    "esp": 50,
    "ah": 51,
    "skip": 57,
    "eigrp": 88,
    "ospf": 89,
    "ospfigp": 89,
    "mtp": 92,
    "etherip": 97,
    "encap": 98,
    "pim": 103,
    "ipcomp": 108,
    "vrrp": 112,
    "pgm": 113,
    "l2tp": 115,
    "isis": 124,
    "sctp": 132,
    "fc": 133,
    "udplite": 136,
    "mpls-in-ip": 137,
    "manet": 138,
    "shim6": 140,
    "wesp": 141,
    "rohc": 142,
    "ethernet": 143,
    "any": Protocol.ANY,
}
_NAMES = {number: name for name, number in reversed(NUMBERS.items())}
_HEADERS = {0: "hop-by-hop options", 43: "routing", 44: "fragment", 59: "no next header", 60: "destination options"}
_HINT = "tcp, udp, icmp, any, a name of IANA's registry such as gre, or a number"


def parse_protocol(value: object) -> Protocol:
    """The protocol of a name or number; raises ``Refusal`` for what is none, and for those that IPv6 uses as extension
    headers or that have a name of their own here."""
    if isinstance(value, Protocol):
        return value
    if isinstance(value, str) and not value.isdecimal():
        if value.lower() in ("ipv6-icmp", "icmpv6"):
            raise Refusal("is no protocol of a service", "icmp is echo of both IP versions, any has all of ICMPv6")
        if value.lower() not in NUMBERS:
            close = nearest(value.lower(), NUMBERS)
            raise Refusal("is no protocol", close if close.startswith("did you") else _HINT)
        return Protocol(NUMBERS[value.lower()])
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 255:
        raise Refusal("is no protocol", _HINT)
    if number in _HEADERS:
        raise Refusal(f"is an extension header of IPv6 ({_HEADERS[number]})", "name the protocol that it carries")
    if number in (1, 58):
        raise Refusal("is ICMP", "icmp is echo of both IP versions, any has all of ICMP")
    return Protocol(number)


def protocol_name(protocol: Protocol) -> str:
    """The name of a protocol as policies write it, or its number as text."""
    return _NAMES.get(int(protocol), str(int(protocol)))
