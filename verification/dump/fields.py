"""Match fields in a file of rules: names, widths, and values as text."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from helsewan.controller.framework import ofproto_v1_3
from helsewan.controller.openflow.encoder import BY_NUMBER
from helsewan.controller.openflow.entries import Value

# Fields whose width is not a multiple of 8 (OpenFlow 1.3.5, table 12; ovs-fields(7)).
_BITS = {
    "vlan_vid": 13,
    "vlan_pcp": 3,
    "ip_dscp": 6,
    "ip_ecn": 2,
    "ipv6_flabel": 20,
    "mpls_label": 20,
    "mpls_tc": 3,
    "mpls_bos": 1,
    "tcp_flags": 12,
    "tcp_flags_nxm": 12,
    "ip_frag": 2,
}
# Fields that Open vSwitch matches without a mask only (ovs-fields(7)).
_WHOLE_ONLY = {"in_port", "eth_type", "vlan_pcp", "ip_proto", "ip_dscp", "ip_ecn", "nw_ttl", "arp_op"}
_WHOLE_ONLY |= {"icmpv4_type", "icmpv4_code", "icmpv6_type", "icmpv6_code"}
_WHOLE_ONLY |= {"mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl"}
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_HEX = re.compile(r"0x[0-9a-f]{1,32}")
_AS_HEX = frozenset({"metadata", "eth_type", "vlan_vid"})  # in which hexadecimal is customary


class FieldError(ValueError):
    """An invalid value of a field: the reason, and a hint about valid ones."""

    def __init__(self, reason: str, hint: str = "") -> None:
        self.reason, self.hint = reason, hint
        super().__init__(reason)


@cache
def names() -> frozenset[str]:
    """All fields' names: OpenFlow's OXM names, and Open vSwitch's as the framework spells them."""
    return frozenset(_types()) | BY_NUMBER.keys()


def bits(name: str) -> int:
    """The width of a field in bits. Raises KeyError for an unknown name."""
    if name in BY_NUMBER:
        return BY_NUMBER[name][1] * 8
    return _BITS.get(name) or int(_types()[name].size) * 8


@lru_cache(1 << 16)
def parse(name: str, text: int | str) -> Value | tuple[Value, Value]:
    """A field's value, or (value, mask) for ``value/mask``. Addresses may have a mask or a prefix length; numbers are
    integers, or text in hexadecimal, ``0x…``. Raises FieldError, and KeyError for an unknown name."""
    if isinstance(text, int):
        return _number(name, text)
    value, slash, mask = text.partition("/")
    if not slash:
        return _value(name, value)
    if name in _WHOLE_ONLY:
        raise FieldError("has a mask, which this field cannot have", "leave it out")
    pair = _value(name, value), _mask(name, mask)
    if _as_number(pair[0]) & ~_as_number(pair[1]):
        raise FieldError("has bits outside its mask", "clear them, or widen the mask")
    return pair


def show(name: str, value: Value | tuple[Value, Value]) -> int | str:
    """A value, or (value, mask), in the format of `parse`."""
    if isinstance(value, tuple):
        return "/".join(part if isinstance(part, str) else f"{part:#x}" for part in value)
    return f"{value:#x}" if isinstance(value, int) and name in _AS_HEX else value


@cache
def _types() -> dict[str, Any]:
    return {field.name: field.type for field in ofproto_v1_3.oxm_types if not field.name.startswith("_")}


def _kind(name: str) -> str:
    return "number" if name in BY_NUMBER else getattr(_types()[name], "__name__", "number")


def _value(name: str, text: str) -> Value:
    kind = _kind(name)
    if kind == "MacAddr":
        if not _MAC.fullmatch(text.lower()):
            raise FieldError("is no MAC address", "six bytes in hex with colons between them")
        return text.lower()
    if kind in ("IPv4Addr", "IPv6Addr"):
        return _address(kind, text)
    if not _HEX.fullmatch(text):
        raise FieldError("is no number", "write it in decimal, or as 0x… in quotes")
    return _number(name, int(text, 16))


def _address(kind: str, text: str) -> str:
    try:
        return str(IPv4Address(text) if kind == "IPv4Addr" else IPv6Address(text.partition("%")[0]))
    except AddressValueError:
        raise FieldError(f"is no {kind[:4]} address") from None


def _mask(name: str, text: str) -> Value:
    kind, width = _kind(name), bits(name)
    if kind in ("IPv4Addr", "IPv6Addr") and text.isascii() and text.isdigit() and int(text) <= width:
        number = (1 << width) - (1 << width - int(text))
        return str(IPv4Address(number) if width == 32 else IPv6Address(number))
    return _value(name, text)


def _number(name: str, value: int) -> int:
    if _kind(name) in ("MacAddr", "IPv4Addr", "IPv6Addr"):
        raise FieldError("is no address", "write it as text")
    if not 0 <= value < 1 << bits(name):
        raise FieldError(f"does not fit into {bits(name)} bits")
    return value


def _as_number(value: Value) -> int:
    if isinstance(value, int):
        return value
    if _MAC.fullmatch(value):
        return int(value.replace(":", ""), 16)
    return int(IPv6Address(value) if ":" in value else IPv4Address(value))
