"""Fields that a packet has only if another says so (OpenFlow 1.3.5, 7.2.3.8). A switch refuses an entry that matches
or changes one without having matched, or made, what it depends on."""

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

Known = Iterable[tuple[str, object]]  # fields with their values
_Needed = tuple[tuple[str, int], ...]  # one of these

_IP: _Needed = (("eth_type", IPV4), ("eth_type", IPV6))
_ARP: _Needed = (("eth_type", ARP),)
_MPLS: _Needed = (("eth_type", MPLS),)
_SOLICITATION, _ADVERTISEMENT = ("icmpv6_type", 135), ("icmpv6_type", 136)
_NEEDED: dict[str, _Needed] = {
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
    """What an entry uses that nothing before it vouches for, in words; None if nothing is. ``known`` is what is sure
    of every packet that comes to it."""
    sure = set(known)
    for name, value in match:
        if fault := _fault(name, _NEEDED.get(name, ()), sure):
            return fault
        sure.add((name, value))
    for action in actions:
        for name, needed in _uses(action):
            if fault := _fault(name, needed, sure):
                return fault
        sure = _sure_after(action, sure)
    return None


def _fault(name: str, needed: _Needed, sure: set[tuple[str, object]]) -> str | None:
    if not needed or not sure.isdisjoint(needed):
        return None
    return f"{name} needs {' or '.join(f'{field}={number:#x}' for field, number in needed)} before it"


def _uses(action: Action) -> Iterator[tuple[str, _Needed]]:
    """The fields that an action reads or changes, and what each needs."""
    match action:
        case SetField(name) | Load(name):
            yield name, _NEEDED.get(name, ())
        case Move(source, destination):
            yield source, _NEEDED.get(source, ())
            yield destination, _NEEDED.get(destination, ())
        case DecTtl():
            yield "DecTtl", _IP
        case DecMplsTtl() | PopMpls():
            yield type(action).__name__, _MPLS


def _sure_after(action: Action, sure: set[tuple[str, object]]) -> set[tuple[str, object]]:
    """What is sure of a packet after an action."""
    match action:
        case PushMpls():
            return {("eth_type", MPLS)}
        case PopMpls(eth_type):
            return {("eth_type", eth_type)}
        case SetField(name, value) | Load(name, value):
            return {(field, known) for field, known in sure if field != name} | {(name, value)}
    return sure
