"""Encoder of rtnetlink messages for traffic control: queueing disciplines, classes and filters.

pyroute2 lacks half of the kinds used here and scales others by values read from /proc. Structures and numbers are those
of linux/pkt_sched.h, pkt_cls.h and tc_act/*.h. No I/O: ``Netlink.request`` sends the messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from helsewan.emulation.links.pipe_model import CoDel, Red
from helsewan.emulation.netlink.messages import CREATE, EXCLUSIVE, attribute, request

ROOT = 0xFFFFFFFF
CLSACT = 0xFFFFFFF1
INGRESS = 0xFFFFFFF2  # filters on what an interface with clsact receives
UNLIMITED_BYTES = 1 << 28  # limit of an unlimited queue: the link engine's total memory
_TICK_NS = 64  # PSCHED_TICKS2NS
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET: transmission times are computed, not looked up in a table
_NEW_QDISC, _NEW_CLASS, _NEW_FILTER = 36, 40, 44
_NESTED = 0x8000  # NLA_F_NESTED
_TCMSG = struct.Struct("=BxxxiIII")  # family, index, handle, parent, info
_ALL_PROTOCOLS = 0x0003
_SHOT, _STOLEN, _PIPE = 2, 4, 3


class Request(NamedTuple):
    """A message to the kernel, and its description for errors."""

    what: str
    message: bytes


def nested(kind: int, parts: Iterable[bytes]) -> bytes:
    """An attribute that contains the attributes ``parts``."""
    return attribute(kind | _NESTED, b"".join(parts))


def _request(
    message: int, what: str, index: int, handle: int, parent: int, info: int, body: bytes, create: bool
) -> Request:
    payload = _TCMSG.pack(0, index, handle, parent, info) + body
    return Request(f"{what} on interface {index}", request(message, payload, CREATE | EXCLUSIVE if create else 0))


def _u8(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=B", value))


def _u16(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=H", value))


def _u32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=I", value))


def _u64(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack("=Q", value))


def qdisc(
    index: int, handle: int, parent: int, kind: str, options: bytes = b"", *, stab: bytes = b"", create: bool = True
) -> Request:
    """Create a queueing discipline under ``parent``; without ``create``, change the options of the existing one."""
    body = attribute(1, kind.encode() + b"\0") + (nested(2, [options]) if options else b"") + stab
    return _request(_NEW_QDISC, f"set {kind}", index, handle, parent, 0, body, create)


def clsact(index: int) -> Request:
    """Add clsact to interface ``index``, so that filters can match the frames it receives."""
    return qdisc(index, 0xFFFF0000, CLSACT, "clsact")


def size_table(overhead_bytes: int) -> bytes:
    """A discipline counts each frame as ``overhead_bytes`` longer (or, if negative, shorter)."""
    return nested(8, [attribute(1, struct.pack("=BBhiIIII", 0, 0, 0, overhead_bytes, _ETHERNET, 0, 0, 0))])


def htb(default_class: int) -> bytes:
    """Hierarchical token bucket; frames go to its ``default_class``."""
    return attribute(2, struct.pack("=IIIII", 3, 10, default_class, 0, 0))


def htb_class(
    index: int, handle: int, parent: int, rate_bps: int, burst_us: int, overhead_bytes: int, *, create: bool
) -> Request:
    """A class of HTB that sends at ``rate_bps``, counting ``overhead_bytes`` more for each frame; ``burst_us`` is the
    timer delay it can catch up with."""
    bytes_per_s = rate_bps // 8
    spec = struct.pack("=BBHhHI", 0, _ETHERNET, overhead_bytes, 0, 0, min(bytes_per_s, 0xFFFFFFFF))
    bucket = burst_us * 1000 // _TICK_NS
    parameters = spec + spec + struct.pack("=IIIII", bucket, bucket, 65_536, 0, 0)
    options = attribute(1, parameters) + _u64(6, bytes_per_s) + _u64(7, bytes_per_s)
    body = attribute(1, b"htb\0") + attribute(2, options)
    return _request(_NEW_CLASS, "set htb's class", index, handle, parent, 0, body, create)


def ets(strict: int, quanta: Sequence[int], default_band: int) -> bytes:
    """Enhanced transmission selection: ``strict`` bands in order, then the others by deficit round robin with
    ``quanta`` in bytes; frames that no filter matches go to ``default_band``."""
    bands = _u8(1, strict + len(quanta)) + (_u8(2, strict) if strict else b"")
    shares = nested(3, (_u32(4, quantum) for quantum in quanta)) if quanta else b""
    return bands + shares + nested(5, (_u8(6, default_band) for _ in range(16)))


def bfifo(limit_bytes: int) -> bytes:
    """First in, first out, ``limit_bytes`` at most."""
    return struct.pack("=I", limit_bytes)


def red(aqm: Red, limit_bytes: int) -> bytes:
    """Random early detection with one curve. ``limit_bytes`` 0 keeps the existing queue with its frames.

    The kernel spaces drops uniformly up to 1/p apart instead of dropping independently (Floyd and Jacobson, section 7),
    so it drops a share of about 2p of the frames; half of the model's p is therefore set. The average does not decay
    while the queue is empty, as the decay table holds zeros."""
    (curve,) = aqm.curves
    ageless = 31
    numbers = (limit_bytes, curve.min_bytes, curve.max_bytes, aqm.weight_shift, 32, ageless, 0)
    most = min(0xFFFFFFFF, round(curve.most / 2 * (1 << 32)))
    return attribute(1, struct.pack("=IIIBBBB", *numbers)) + attribute(2, bytes(256)) + _u32(3, most)


def codel(aqm: CoDel) -> bytes:
    """Controlled delay."""
    return _u32(1, aqm.target_us) + _u32(2, 1_000_000) + _u32(3, aqm.interval_us) + _u32(4, 0)


@dataclass(frozen=True, slots=True)
class Netem:
    """Settings of netem. ``table``: the delay's distribution in standard deviations times 8,192; ``loss``: p, r,
    1-h, 1-k of Gilbert and Elliott; ``rate_bps``: frames leave one after the other at this rate, in order."""

    limit_frames: int
    delay_ns: int = 0
    jitter_ns: int = 0
    table: tuple[int, ...] = ()
    rate_bps: int = 0
    overhead_bytes: int = 0
    loss: tuple[float, float, float, float] | None = None
    duplicate: float = 0.0
    corrupt: float = 0.0


def netem(settings: Netem) -> bytes:
    """Network emulator. All settings are sent each time, as netem keeps those that a change omits."""
    head = struct.pack("=IIIIII", 0, settings.limit_frames, 0, 0, probability(settings.duplicate), 0)
    parts = [
        _u64(10, settings.delay_ns),
        _u64(11, settings.jitter_ns),
        attribute(4, struct.pack("=II", probability(settings.corrupt), 0)),
        attribute(6, struct.pack("=IiIi", min(settings.rate_bps // 8, 0xFFFFFFFF), settings.overhead_bytes, 0, 0)),
        _u64(8, settings.rate_bps // 8),
    ]
    if settings.table:
        parts.append(attribute(2, struct.pack(f"={len(settings.table)}h", *settings.table)))
    if settings.loss:
        p, r, bad, good = settings.loss
        chances = (probability(p), probability(r), probability(1 - bad), probability(good))
        parts.append(nested(5, [attribute(2, struct.pack("=IIII", *chances))]))
    return head + b"".join(parts)


def probability(share: float) -> int:
    """A probability in netem's units, 2**32 - 1 for 1."""
    return round(share * 0xFFFFFFFF)


def classifier(index: int, parent: int, priority: int, program: bytes, *, drop: bool, create: bool = True) -> Request:
    """A filter that runs a classic BPF ``program``, which returns the frame's class, 0 for none; with ``drop``, frames
    for which it returns all ones are dropped."""
    options = _u16(4, len(program) // 8) + attribute(5, program)
    if drop:
        options += _u32(3, 1) + nested(1, [_action(1, "gact", 2, struct.pack("=IIiii", 0, 0, _SHOT, 0, 0))])
    return _filter(index, parent, priority, 1, "bpf", options, create)


def redirect(index: int, target: int, *, vlan: int = 0) -> Request:
    """Redirect all frames that interface ``index`` receives to ``target``, adding tag ``vlan`` (0: none)."""
    return _filter(index, INGRESS, 1, 0, "matchall", nested(2, _carry(target, push=vlan)), True)


def untagged_redirect(index: int, vlan: int, target: int) -> Request:
    """Redirect frames with tag ``vlan`` that interface ``index`` receives to ``target``, removing the tag."""
    options = nested(3, _carry(target, pop=True)) + _u16(8, 0x0081) + _u16(23, vlan)  # ETH_TYPE, VLAN_ID
    return _filter(index, INGRESS, 1, 0, "flower", options, True, protocol=0x8100)


def _filter(
    index: int,
    parent: int,
    priority: int,
    handle: int,
    kind: str,
    options: bytes,
    create: bool,
    protocol: int = _ALL_PROTOCOLS,
) -> Request:
    info = priority << 16 | (protocol >> 8 | (protocol & 0xFF) << 8)
    body = attribute(1, kind.encode() + b"\0") + attribute(2, options)
    return _request(_NEW_FILTER, f"set filter {kind}", index, handle, parent, info, body, create)


def _carry(target: int, *, push: int = 0, pop: bool = False) -> list[bytes]:
    """Actions: push or pop the tag, then redirect to ``target``."""
    actions = []
    if push or pop:
        tag = struct.pack("=IIiiii", 0, 0, _PIPE, 0, 0, 2 if push else 1)
        extra = _u16(3, push) + _u16(4, 0x0081) if push else b""  # 802.1Q
        actions.append(_action(1, "vlan", 2, tag, extra))
    out = struct.pack("=IIiiiiI", 0, 0, _STOLEN, 0, 0, 1, target)  # TCA_EGRESS_REDIR
    return [*actions, _action(len(actions) + 1, "mirred", 2, out)]


def _action(order: int, kind: str, parameters: int, value: bytes, extra: bytes = b"") -> bytes:
    return nested(order, [attribute(1, kind.encode() + b"\0"), nested(2, [attribute(parameters, value), extra])])
