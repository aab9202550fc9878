"""Decodes a switch's statistics replies into the controller's entries: the inverse of `encoder`.

A switch returns fields in an order of its own, and encodes some of them in another way; both are normalised here, so
that an entry reads back equal to the one installed. Fields that this pipeline does not use become ``tlv``; actions that
it does not use, and buckets of groups that are not fast failover, become `Foreign`.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from helsewan.controller.framework import ofproto_v1_3, ofproto_v1_3_parser, protocol_description
from helsewan.controller.openflow.encoder import BY_NUMBER, CHECK_LARGER, NICIRA
from helsewan.controller.openflow.entries import (
    MPLS,
    PORT_CONFIG,
    PORT_STATE,
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
    Port,
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
# table, priority, timeouts, cookie; durations, flags and counters are not compared (OpenFlow 1.3.5, 7.3.5.2)
_FLOW = struct.Struct("!2xBx8xHHH6xQ16x")
_FLOW_HEADER_BYTES = 48
_CURRENT_TABLE = 0xFF  # OFPTT_ALL in a resubmit
_GROUP = struct.Struct("!HBxI")
_BUCKET = struct.Struct("!HHII4x")  # length, weight, watch port, watch group
_METER = struct.Struct("!HHI")
_BAND, _BAND_BYTES = struct.Struct("!HHII"), 16
_CHECK, _CHECK_FIELD = struct.Struct("!HHIHHH10x"), 14  # type, length, vendor, subtype, length to check, offset; field
_PORT = struct.Struct("!I28xII24x")  # number, configuration, state (7.2.1)
_METADATA = struct.Struct("!QQ")
_GOTO, _WRITE_METADATA, _APPLY, _METER_INSTRUCTION = 1, 2, 4, 6
_FIELD_ALIASES = {"tcp_flags": "tcp_flags_nxm"}  # name in OpenFlow 1.5: name of the Nicira extension
_FULL_MASKS = {"ip_frag": 3}  # a switch omits the mask of a field of less than 8 bits if it covers all of them


class Decoder:
    """Decodes entries. Fields and actions are cached, since few different ones occur in many flows."""

    def __init__(self) -> None:
        self._switch = protocol_description()
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
        table, priority, idle_s, hard_s, cookie = _FLOW.unpack_from(entry)
        _, length = _TYPED.unpack_from(entry, _FLOW_HEADER_BYTES)
        match = self._match(entry[_FLOW_HEADER_BYTES + _TYPED.size : _FLOW_HEADER_BYTES + length])
        actions: tuple[Action, ...] = ()
        goto = metadata = meter = None
        for kind, body in _typed(entry[_FLOW_HEADER_BYTES + length + -length % 8 :]):
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
        return FlowRule(Table(table), priority, match, actions, goto, metadata, meter, cookie, idle_s, hard_s)

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
        """Decodes a list of actions."""
        found = self._actions.get(data)
        if found is None:
            found = self._actions[data] = tuple(_action(tlv) for tlv in _split(data, at=2))
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


def ports(data: bytes) -> tuple[Port, ...]:
    """The ports in a port description reply's body, without the switch's own interface. Raises struct.error for an
    invalid body."""
    found = (_PORT.unpack(data[at : at + _PORT.size]) for at in range(0, len(data), _PORT.size))
    return tuple(
        Port(number, _named(config, PORT_CONFIG), _named(state, PORT_STATE))
        for number, config, state in sorted(found)
        if number <= _of.OFPP_MAX
    )


def _named(bits: int, names: Mapping[str, int]) -> tuple[str, ...]:
    """The names of the bits that are set; unnamed ones as one number."""
    unnamed = bits & ~sum(names.values())
    return (*(name for name, bit in names.items() if bits & bit), *([f"{unnamed:#x}"] if unnamed else ()))


def _meter(entry: bytes) -> AnyMeter:
    _, flags, number = _METER.unpack_from(entry)
    kind, _, rate, burst = _BAND.unpack_from(entry, _METER.size) if len(entry) > _METER.size else (0, 0, 0, 0)
    if kind != _of.OFPMBT_DROP or len(entry) > _METER.size + _BAND_BYTES:
        rate = 0  # the controller installs no other and no further bands: marks the meter as different
    return PacketMeterRule(number, rate, burst) if flags & _of.OFPMF_PKTPS else MeterRule(number, rate, burst)


def _split(data: bytes, at: int = 0) -> Iterator[bytes]:
    """Splits a sequence of structures that contain their length in bytes at offset ``at``."""
    start = 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start + at)
        if length <= at:
            raise ValueError(f"an entry of {length} bytes in a switch's reply")
        yield data[start : start + length]
        start += length


def _typed(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each instruction."""
    for tlv in _split(data, at=2):
        kind, _ = _TYPED.unpack_from(tlv)
        yield kind, tlv[_TYPED.size :]


def _field(tlv: bytes) -> tuple[str, Any]:
    """(name, value) of a match field, or (``tlv``, hex) if it is unknown."""
    body = _TYPED.pack(_of.OFPMT_OXM, _TYPED.size + len(tlv)) + tlv + bytes(-(len(tlv) + 4) % 8)
    try:
        ((name, value),) = _parser.OFPMatch.parser(body, 0).items()
    except Exception:  # the framework raises various exceptions for unknown fields
        return TLV, tlv.hex()
    name = _FIELD_ALIASES.get(name, name)
    if name in _FULL_MASKS and isinstance(value, int):
        value = value, _FULL_MASKS[name]
    known = isinstance(value, int | str) or (isinstance(value, tuple) and len(value) == 2)
    return (name, value) if known and not name.startswith("field_") else (TLV, tlv.hex())


def _action(tlv: bytes) -> Action:
    """Decodes an action."""
    try:
        read = _parser.OFPAction.parser(tlv, 0)
    except Exception:  # as in `_field`
        return Foreign(tlv.hex())
    check = _CHECK.unpack_from(tlv) if len(tlv) == _CHECK.size else (0,) * 6
    if (check[0], check[2], check[3]) == (_of.OFPAT_EXPERIMENTER, NICIRA, CHECK_LARGER):
        number, *_ = _of.oxm_parse_header(tlv, _CHECK_FIELD)
        return CheckLarger(check[4], _of.oxm_to_user_header(number)) if not check[5] else Foreign(tlv.hex())
    convert = _CONVERTERS.get(type(read))
    action = convert(read) if convert is not None else None
    return action if action is not None else Foreign(tlv.hex())


def _set_field(read: Any) -> Action:
    value: Value = read.value
    named = {f"field_{number}": name for name, (number, _) in BY_NUMBER.items()}
    if read.key in named:
        return SetField(named[read.key], int.from_bytes(b64decode(read.value), "big"))
    return SetField(_FIELD_ALIASES.get(read.key, read.key), value)


def _load(read: Any) -> Action | None:
    offset, bits = read.ofs_nbits >> 6, (read.ofs_nbits & 0x3F) + 1
    return None if offset else Load(read.dst, read.value, bits)


def _move(read: Any) -> Action:
    source, destination = (name.removesuffix("_nxm") for name in (read.src_field, read.dst_field))
    return Move(source, destination, read.n_bits, read.src_ofs, read.dst_ofs)


def _resubmit(read: Any) -> Action | None:
    elsewhere = read.in_port != _of.OFPP_IN_PORT & 0xFFFF or read.table_id == _CURRENT_TABLE
    return None if elsewhere else Resubmit(Table(read.table_id))


_CONVERTERS: dict[type, Callable[[Any], Action | None]] = {
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
