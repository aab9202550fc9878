"""Prerequisites of match fields (OpenFlow 1.3.5, 7.2.3.8): a switch rejects an entry that matches or changes a field
without having matched, or set, the value of another field that it requires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from helsewan.controller.openflow.entries import (
    ARP,
    IPV4,
    IPV6,
    MPLS,
    Action,
    DecMplsTtl,
    DecTtl,
    Load,
    Match,
    Move,
    PopMpls,
    PushMpls,
    SetField,
)

Known = Iterable[tuple[str, object]]  # (field, value)
_Required = tuple[tuple[str, int], ...]  # alternatives: one of these (field, value) pairs

_IP: _Required = (("eth_type", IPV4), ("eth_type", IPV6))
_ARP: _Required = (("eth_type", ARP),)
_MPLS: _Required = (("eth_type", MPLS),)
_SOLICITATION, _ADVERTISEMENT = ("icmpv6_type", 135), ("icmpv6_type", 136)
_PREREQUISITES: dict[str, _Required] = {
    "ipv4_src": (("eth_type", IPV4),),
    "ipv4_dst": (("eth_type", IPV4),),
    "ipv6_src": (("eth_type", IPV6),),
    "ipv6_dst": (("eth_type", IPV6),),
    "ip_proto": _IP,
    "ip_dscp": _IP,
    "ip_frag": _IP,
    "nw_ttl": _IP,
    "tcp_src": (("ip_proto", 6),),
    "tcp_dst": (("ip_proto", 6),),
    "tcp_flags_nxm": (("ip_proto", 6),),
    "udp_src": (("ip_proto", 17),),
    "udp_dst": (("ip_proto", 17),),
    "sctp_src": (("ip_proto", 132),),
    "sctp_dst": (("ip_proto", 132),),
    "icmpv4_type": (("ip_proto", 1),),
    "icmpv6_type": (("ip_proto", 58),),
    "ipv6_nd_target": (_SOLICITATION,),
    "ipv6_nd_tll": (_ADVERTISEMENT,),
    "nd_reserved": (_SOLICITATION, _ADVERTISEMENT),
    "nd_options_type": (_SOLICITATION, _ADVERTISEMENT),
    **dict.fromkeys(("arp_op", "arp_sha", "arp_tha", "arp_spa", "arp_tpa"), _ARP),
    **dict.fromkeys(("mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"), _MPLS),
}


def missing_prerequisite(match: Match, actions: tuple[Action, ...], known: Known = ()) -> str | None:
    """A description of the first field that an entry uses without its prerequisite; None if there is none.
    ``known`` are the fields that are known of every packet which reaches the entry."""
    established = set(known)
    for name, value in match:
        if error := _error(name, _PREREQUISITES.get(name, ()), established):
            return error
        established.add((name, value))
    for action in actions:
        for name, required in _uses(action):
            if error := _error(name, required, established):
                return error
        established = _known_after(action, established)
    return None


def unmet(name: str, match: Match) -> str | None:
    """The prerequisite of a match's field, as text, if the match lacks it, in whatever order; None if it has it."""
    required = _PREREQUISITES.get(name, ())
    return _shown(required) if required and set(match).isdisjoint(required) else None


def _shown(required: _Required) -> str:
    return " or ".join(f"{field}={number:#x}" for field, number in required)


def _error(name: str, required: _Required, known: set[tuple[str, object]]) -> str | None:
    if not required or not known.isdisjoint(required):
        return None
    return f"{name} requires {_shown(required)} before it"


def _uses(action: Action) -> Iterator[tuple[str, _Required]]:
    """The fields that an action reads or changes, each with its prerequisites."""
    match action:
        case SetField(name) | Load(name):
            yield name, _PREREQUISITES.get(name, ())
        case Move(source, destination):
            yield source, _PREREQUISITES.get(source, ())
            yield destination, _PREREQUISITES.get(destination, ())
        case DecTtl():
            yield "DecTtl", _IP
        case DecMplsTtl() | PopMpls():
            yield type(action).__name__, _MPLS


def _known_after(action: Action, known: set[tuple[str, object]]) -> set[tuple[str, object]]:
    """The fields that are known of a packet after an action."""
    match action:
        case PushMpls():
            return {("eth_type", MPLS)}
        case PopMpls(eth_type):
            return {("eth_type", eth_type)}
        case SetField(name, value) | Load(name, value):
            return {(field, old) for field, old in known if field != name} | {(name, value)}
    return known
