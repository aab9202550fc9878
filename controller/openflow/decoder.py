"""Decodes a switch's statistics replies into the controller's entries: the inverse of `encoder`.

A switch tells fields in an order of its own, and says some in other words than it was told; both are undone here,
so that an entry that was installed reads back equal. What somebody else put there and this pipeline has no word
for becomes ``tlv`` (a field) or `Foreign` (an action, or the buckets of a group that is not fast failover).
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

from helsewan.controller.framework import describer, ofproto_v1_3, ofproto_v1_3_parser
from helsewan.controller.openflow.encoder import BY_NUMBER, CHECK_LARGER, NICIRA
from helsewan.controller.openflow.entries import (
    MPLS,
    TLV,
    VLAN,
    Action,
    AnyMeter,
    Bucket,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Foreign,
    Group,
    GroupRule,
    Load,
    Match,
    MeterRule,
    Move,
    Output,
    PacketMeterRule,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
    Value,
)

_of: Any = ofproto_v1_3
_parser: Any = ofproto_v1_3_parser

_LENGTH = struct.Struct("!H")
_TYPED = struct.Struct("!HH")  # type, length
# table, priority, cookie; durations, timeouts, flags and counters are not compared (OpenFlow 1.3.5, 7.3.5.2)
_FLOW = struct.Struct("!2xBx8xH10xQ16x")
_FLOW_HEAD = 48
_THIS_TABLE = 0xFF  # of a resubmit: the one that it is in
_GROUP = struct.Struct("!HBxI")
_BUCKET = struct.Struct("!HHII4x")  # length, weight, watch port, watch group
_METER = struct.Struct("!HHI")
_BAND = struct.Struct("!HHII")
_CHECK, _CHECK_FIELD = struct.Struct("!HHIHHH10x"), 14  # type, length, vendor, subtype, length to check, offset; field
_PORT = struct.Struct("!I28xII24x")  # number, configuration, state (7.2.1)
_METADATA = struct.Struct("!QQ")
_GOTO, _WRITE_METADATA, _APPLY, _METER_INSTRUCTION = 1, 2, 4, 6
_OTHER_NAMES = {"tcp_flags": "tcp_flags_nxm"}  # OpenFlow 1.5's word for Nicira's
_WHOLE = {"ip_frag": 3}  # a mask of all the field's bits is left out, though the field has fewer than its bytes


class Decoder:
    """Reads entries, and remembers the fields and actions it has met: of each there are few, in many flows."""

    def __init__(self) -> None:
        self._switch = describer()
        self._fields: dict[bytes, tuple[str, Any]] = {}
        self._actions: dict[bytes, tuple[Action, ...]] = {}

    def flows(self, data: bytes) -> Iterator[FlowRule]:
        """The entries of a flow statistics reply's body."""
        return map(self._flow, _split(data))

    def groups(self, data: bytes) -> Iterator[GroupRule]:
        """The entries of a group description reply's body."""
        return map(self._group, _split(data))

    def meters(self, data: bytes) -> Iterator[AnyMeter]:
        """The entries of a meter configuration reply's body."""
        return map(_meter, _split(data))

    def _flow(self, entry: bytes) -> FlowRule:
        table, priority, cookie = _FLOW.unpack_from(entry)
        _, length = _TYPED.unpack_from(entry, _FLOW_HEAD)
        match = self._match(entry[_FLOW_HEAD + _TYPED.size : _FLOW_HEAD + length])
        actions: tuple[Action, ...] = ()
        goto = metadata = meter = None
        for kind, body in _typed(entry[_FLOW_HEAD + length + -length % 8 :]):
            if kind == _APPLY:
                actions += self._list(body[4:])
            elif kind == _GOTO:
                goto = Table(body[0])
            elif kind == _WRITE_METADATA:
                metadata = _METADATA.unpack_from(body, 4)
            elif kind == _METER_INSTRUCTION:
                meter = int.from_bytes(body[:4], "big")
            else:
                actions += (Foreign(f"instruction {kind} {body.hex()}"),)
        return FlowRule(Table(table), priority, match, actions, goto, metadata, meter, cookie)

    def _match(self, data: bytes) -> Match:
        fields, at = [], 0
        while at < len(data):
            end = at + 4 + data[at + 3]
            tlv = data[at:end]
            found = self._fields.get(tlv)
            if found is None:
                found = self._fields[tlv] = _field(tlv)
            fields.append(found)
            at = end
        return tuple(fields)

    def _list(self, data: bytes) -> tuple[Action, ...]:
        """A list of actions."""
        found = self._actions.get(data)
        if found is None:
            found = self._actions[data] = tuple(_action(whole) for whole in _split(data, at=2))
        return found

    def _group(self, entry: bytes) -> GroupRule:
        _, kind, number = _GROUP.unpack_from(entry)
        buckets: list[Bucket] = []
        for bucket in _split(entry[_GROUP.size :]):
            _, _, watched, group = _BUCKET.unpack_from(bucket)
            actions = self._list(bucket[_BUCKET.size :])
            if group != _of.OFPG_ANY:
                actions = (Foreign(f"watches group {group}"), *actions)
            buckets.append(Bucket(watched, actions))
        if kind != _of.OFPGT_FF:
            buckets.append(Bucket(0, (Foreign(f"group type {kind}"),)))
        return GroupRule(number, tuple(buckets))


def dead_ports(data: bytes) -> frozenset[int]:
    """The ports that nothing can be sent over now, of a port description reply's body: without light, or whose BFD
    session is down. Raises struct.error for what is none."""
    found = (_PORT.unpack(data[at : at + _PORT.size]) for at in range(0, len(data), _PORT.size))
    return frozenset(port for port, _, state in found if state & _of.OFPPS_LINK_DOWN or not state & _of.OFPPS_LIVE)


def _meter(entry: bytes) -> AnyMeter:
    _, flags, number = _METER.unpack_from(entry)
    kind, _, rate, burst = _BAND.unpack_from(entry, _METER.size) if len(entry) > _METER.size else (0, 0, 0, 0)
    if kind != _of.OFPMBT_DROP:
        rate = 0  # no meter of ours
    return PacketMeterRule(number, rate, burst) if flags & _of.OFPMF_PKTPS else MeterRule(number, rate, burst)


def _split(data: bytes, at: int = 0) -> Iterator[bytes]:
    """Entries that carry their length at offset ``at``, one after the other."""
    start = 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start + at)
        if length <= at:
            raise ValueError(f"an entry of {length} bytes in a switch's answer")
        yield data[start : start + length]
        start += length


def _typed(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of instructions, one after the other."""
    for whole in _split(data, at=2):
        kind, _ = _TYPED.unpack_from(whole)
        yield kind, whole[_TYPED.size :]


def _field(tlv: bytes) -> tuple[str, Any]:
    """A field by its name, or as it is."""
    body = _TYPED.pack(_of.OFPMT_OXM, _TYPED.size + len(tlv)) + tlv + bytes(-(len(tlv) + 4) % 8)
    try:
        ((name, value),) = _parser.OFPMatch.parser(body, 0).items()
    except Exception:  # whatever the framework makes of a field it does not know
        return TLV, tlv.hex()
    name = _OTHER_NAMES.get(name, name)
    if name in _WHOLE and isinstance(value, int):
        value = value, _WHOLE[name]
    known = isinstance(value, int | str) or (isinstance(value, tuple) and len(value) == 2)
    return (name, value) if known and not name.startswith("field_") else (TLV, tlv.hex())


def _action(whole: bytes) -> Action:
    """An action in the controller's terms."""
    try:
        read = _parser.OFPAction.parser(whole, 0)
    except Exception:  # as above
        return Foreign(whole.hex())
    check = _CHECK.unpack_from(whole) if len(whole) == _CHECK.size else (0,) * 6
    if (check[0], check[2], check[3]) == (_of.OFPAT_EXPERIMENTER, NICIRA, CHECK_LARGER):
        number, *_ = _of.oxm_parse_header(whole, _CHECK_FIELD)
        return CheckLarger(check[4], _of.oxm_to_user_header(number)) if not check[5] else Foreign(whole.hex())
    maker = _MAKERS.get(type(read))
    made = maker(read) if maker is not None else None
    return made if made is not None else Foreign(whole.hex())


def _set_field(read: Any) -> Action:
    value: Value = read.value
    named = {f"field_{number}": name for name, (number, _) in BY_NUMBER.items()}
    if read.key in named:
        return SetField(named[read.key], int.from_bytes(b64decode(read.value), "big"))
    return SetField(_OTHER_NAMES.get(read.key, read.key), value)


def _load(read: Any) -> Action | None:
    offset, bits = read.ofs_nbits >> 6, (read.ofs_nbits & 0x3F) + 1
    return None if offset else Load(read.dst, read.value, bits)


def _move(read: Any) -> Action:
    source, destination = (name.removesuffix("_nxm") for name in (read.src_field, read.dst_field))
    return Move(source, destination, read.n_bits, read.src_ofs, read.dst_ofs)


def _resubmit(read: Any) -> Action | None:
    elsewhere = read.in_port != _of.OFPP_IN_PORT & 0xFFFF or read.table_id == _THIS_TABLE
    return None if elsewhere else Resubmit(Table(read.table_id))


_MAKERS: dict[type, Callable[[Any], Action | None]] = {
    _parser.OFPActionOutput: lambda read: Output(read.port),
    _parser.OFPActionSetField: _set_field,
    _parser.NXActionRegLoad: _load,
    _parser.NXActionRegMove: _move,
    _parser.OFPActionPushVlan: lambda read: PushVlan() if read.ethertype == VLAN else None,
    _parser.OFPActionPopVlan: lambda _: PopVlan(),
    _parser.OFPActionPushMpls: lambda read: PushMpls() if read.ethertype == MPLS else None,
    _parser.OFPActionPopMpls: lambda read: PopMpls(read.ethertype),
    _parser.OFPActionDecNwTtl: lambda _: DecTtl(),
    _parser.OFPActionDecMplsTtl: lambda _: DecMplsTtl(),
    _parser.OFPActionGroup: lambda read: Group(read.group_id),
    _parser.NXActionResubmitTable: _resubmit,
}
