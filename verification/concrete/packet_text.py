"""A packet from a few words: ``udp/5060``, ``tcp src=443 flags=SA``, ``gre ipv6``, ``icmp to=224.0.0.5 ttl=1``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.controller.rules.ip_version import IP4, IP6, IpVersion
from helsewan.policies.language.dscp import parse_dscp
from helsewan.policies.language.protocols import NUMBERS
from helsewan.policies.plan import Protocol
from helsewan.topology.model import Site
from helsewan.verification.concrete.packet import Packet

HINT = "such as 'udp/5060', 'tcp/443 flags=S', 'gre ipv6' or 'icmp type=13'"
_FLAGS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, "A": 0x10, "U": 0x20, "E": 0x40, "C": 0x80}
_WORDS = {"ipv4", "ipv6", "fragment", "later-fragment"}
_CLIENT_PORT, _TTL, _ETHERNET_BYTES = 40_000, 64, 14
_FIRST, _LATER = 1, 3  # of ip_frag (ovs-fields(7))
# key: its largest value
_NUMBERS = {"src": 0xFFFF, "dst": 0xFFFF, "type": 255, "code": 255, "ttl": 255, "size": 65_535, "proto": 255}
_KEYS = {*_NUMBERS, "flags", "dscp", "from", "to"}


@dataclass(frozen=True)
class _Words:
    """The words of a packet: ``values`` by key, ``marks`` without a value, the protocol's number."""

    values: dict[str, str]
    marks: frozenset[str]
    protocol: int

    def number(self, key: str, default: int) -> int:
        return int(self.values.get(key, default))


def packet_from(text: str, sender: Site, receiver: Site, option: str = "--packet") -> Packet:
    """The packet that ``text`` describes, from one site's own address to the other's unless it names others; the first
    word is the protocol. Raises InputError, at ``option``."""
    words = _parse(text, option)
    ends = _ends(words, sender, receiver, option)
    family = IP6 if ends[0].version == 6 else IP4
    fields: dict[str, int | str] = {
        "eth_type": family.eth_type,
        "eth_src": sender.mac,
        "nw_ttl": words.number("ttl", _TTL),
        "ip_dscp": _dscp(words, option),
        "ip_frag": _FIRST if "fragment" in words.marks else _LATER if "later-fragment" in words.marks else 0,
        "ip_proto": family.icmp if words.protocol == Protocol.ICMP else words.protocol,
        family.source: str(ends[0]),
        family.destination: str(ends[1]),
        **_transport(words, family, option),
    }
    if "size" in words.values:
        fields["frame_bytes"] = _ETHERNET_BYTES + words.number("size", 0)
    return Packet.of(**fields)


def _parse(text: str, option: str) -> _Words:
    first, *rest = text.replace(",", " ").split() or [""]
    name, slash, port = first.partition("/")
    values: dict[str, str] = {}
    marks = set[str]()
    for word in ([f"dst={port}"] if slash else []) + rest:
        key, given, value = word.partition("=")
        if not given and key in _WORDS:
            marks.add(key)
        elif given and key in _KEYS:
            values[key] = value
            if key in _NUMBERS and not (value.isdecimal() and value.isascii() and int(value) <= _NUMBERS[key]):
                raise InputError(Problem(option, word, f"is not from 0 to {_NUMBERS[key]}", HINT))
        else:
            known = [*sorted(_WORDS), *(f"{each}=" for each in sorted(_KEYS))]
            raise InputError(Problem(option, word, "is not understood", nearest(word, known)))
    number = {**NUMBERS, "icmpv6": 1}.get(name.lower())
    if number is None and name.isdecimal() and name.isascii() and int(name) <= _NUMBERS["proto"]:
        number = int(name)
    if number is None or number > _NUMBERS["proto"]:
        raise InputError(Problem(option, name, "is no protocol", HINT))
    return _Words(values, frozenset(marks), number)


def _ends(words: _Words, sender: Site, receiver: Site, option: str) -> list[IPv4Address | IPv6Address]:
    """Source and destination address, of one IP version."""
    given: dict[str, IPv4Address | IPv6Address] = {}
    for key in ("from", "to"):
        if key in words.values:
            try:
                given[key] = ip_address(words.values[key])
            except ValueError:
                raise InputError(Problem(option, words.values[key], "is no IP address", HINT)) from None
    versions = {address.version for address in given.values()} | {
        int(mark[3]) for mark in words.marks & {"ipv4", "ipv6"}
    }
    if len(versions) > 1:
        raise InputError(Problem(option, None, "names both IP versions", "leave one out"))
    version = next(iter(versions), 4)
    own = {"from": sender, "to": receiver}
    return [given.get(key) or (site.address6 if version == 6 else site.address4) for key, site in own.items()]


def _dscp(words: _Words, option: str) -> int:
    value = words.values.get("dscp", "0")
    try:
        return parse_dscp(int(value) if value.isdecimal() else value)
    except ValueError as error:
        raise InputError(Problem(option, value, str(error))) from None


def _transport(words: _Words, family: IpVersion, option: str) -> dict[str, int]:
    """The fields of the transport header."""
    if words.protocol == Protocol.ICMP:
        kind = family.icmp_type
        return {kind: words.number("type", family.echo_request), kind.replace("type", "code"): words.number("code", 0)}
    if not Protocol(words.protocol).has_ports:
        if foreign := words.values.keys() & {"src", "dst", "type", "code", "flags"}:
            raise InputError(
                Problem(option, min(foreign), "is no field of this protocol", "ports are of tcp, udp and sctp")
            )
        return {}
    name = Protocol(words.protocol).name.lower()
    if words.protocol != Protocol.SCTP and "dst" not in words.values and "src" not in words.values:
        raise InputError(Problem(option, name, "needs a port", f"write {name}/PORT, or src=PORT for a reply"))
    ports = {f"{name}_src": words.number("src", _CLIENT_PORT), f"{name}_dst": words.number("dst", _CLIENT_PORT)}
    if words.protocol != Protocol.TCP:
        return ports
    flags = words.values.get("flags", "S" if "dst" in words.values else "A").upper()
    if unknown := set(flags) - _FLAGS.keys():
        raise InputError(Problem(option, min(unknown), "is no TCP flag", f"of {' '.join(_FLAGS)}"))
    return {**ports, "tcp_flags": sum(_FLAGS[flag] for flag in set(flags))}
