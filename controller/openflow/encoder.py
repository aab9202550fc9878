"""Encodes switch commands as OpenFlow 1.3 messages.

Encoding dominates the cost, so messages of equal entries are cached, and so are match fields and actions of flows, the
most frequent entries: the framework encodes those, and this module assembles flow messages from them.

Changes that must take effect atomically are sent as a bundle: ONF extension 230, the bundles of OpenFlow 1.4 for 1.3,
which both frameworks and Open vSwitch support.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from helsewan.controller.framework import ofproto_v1_3, ofproto_v1_3_parser, protocol_description
from helsewan.controller.openflow.entries import (
    TLV,
    Action,
    AnyMeter,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    Entry,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Move,
    Output,
    PacketMeterRule,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
)
from helsewan.controller.update.commands import Commit, Discard, Prepare, SwitchCommand, Update
from helsewan.controller.update.rule_diff import Difference

_of: Any = ofproto_v1_3
_parser: Any = ofproto_v1_3_parser

_HEADER = struct.Struct("!BBHI")  # version, type, length, xid
# cookie and its mask, table, command, timeouts, priority, buffer, out port and group, flags (OpenFlow 1.3.5, 7.3.4.1)
_FLOW_MOD = struct.Struct("!QQBBHHHIIIH2x")
_MATCH = struct.Struct("!HH")  # type, length without padding (7.2.3.1)
# Instructions (7.2.5): type, length, body.
_METER, _METADATA, _GOTO = struct.Struct("!HHI"), struct.Struct("!HH4xQQ"), struct.Struct("!HHB3x")
_APPLY = struct.Struct("!HH4x")
_ONF, NICIRA = 0x4F4E4600, 0x2320
CHECK_LARGER = 49  # NXAST_CHECK_PKT_LARGER: not supported by the framework
_BUNDLE_CONTROL, _BUNDLE_ADD = 2300, 2301
_OPEN, _COMMIT, _DISCARD = 0, 4, 6
_ATOMIC_ORDERED = 1 | 2
_METER_COMMANDS = {"add": _of.OFPMC_ADD, "modify": _of.OFPMC_MODIFY, "delete": _of.OFPMC_DELETE}
_ADD_FLAGS = struct.pack("!2xH", _ATOMIC_ORDERED)
_ROLE = struct.Struct("!I4xQ")  # role, generation (7.3.9)
_MAX_CACHED = 200_000  # messages, some 150 bytes each
_IMMEDIATE_BUNDLE = 0xFFFFFFFE  # number of a bundle that the same command opens and commits
# Open vSwitch's fields of neighbour discovery (OXM class 0x1000, fields 1 and 2), which the framework knows by number
# only: name to (number, length of the value in bytes).
BY_NUMBER = {"nd_reserved": (0x1000 << 7 | 1, 4), "nd_options_type": (0x1000 << 7 | 2, 1)}


@dataclass(frozen=True, slots=True)
class EncodedCommand:
    """A command as bytes. ``barrier`` is the xid of the barrier reply that confirms it; the message with xid
    ``first + n`` concerns ``subjects[n]``."""

    data: bytes
    first: int
    barrier: int
    subjects: tuple[object, ...]


class Encoder:
    """Encodes messages, and caches those of entries."""

    def __init__(self) -> None:
        self._switch = protocol_description()
        self._messages_by_entry: dict[tuple[str, Entry], bytes] = {}
        self._fields: dict[tuple[str, object], bytes] = {}
        self._actions: dict[Action, bytes] = {}

    def encode(self, command: SwitchCommand, first: int) -> EncodedCommand:
        """Encodes a command; its messages have the xids from ``first`` on."""
        parts: list[bytes] = []
        subjects: list[object] = []
        for subject, message in self._messages(command):
            parts.append(_numbered(message, first + len(subjects)))
            subjects.append(subject)
        barrier = first + len(subjects)
        parts.append(_HEADER.pack(_of.OFP_VERSION, _of.OFPT_BARRIER_REQUEST, _HEADER.size, barrier))
        return EncodedCommand(b"".join(parts), first, barrier, tuple(subjects))

    def hello(self) -> bytes:
        """The first message on a connection."""
        return self._serialised(_parser.OFPHello(self._switch))

    def full_packet_ins(self) -> bytes:
        """A message (OFPT_SET_CONFIG) that requests complete packets in packet-in messages. On a service connection of
        Open vSwitch it also enables packet-in messages."""
        return self._serialised(_parser.OFPSetConfig(self._switch, 0, _of.OFPCML_NO_BUFFER))

    def set_async(self, *, packets: bool) -> bytes:
        """A message (OFPT_SET_ASYNC) that selects what a switch sends on its connection unasked: if ``packets``,
        packet-in messages, else port status messages."""
        packet_ins = 1 << _of.OFPR_NO_MATCH | 1 << _of.OFPR_ACTION | 1 << _of.OFPR_INVALID_TTL
        ports = 1 << _of.OFPPR_ADD | 1 << _of.OFPPR_DELETE | 1 << _of.OFPPR_MODIFY
        # In pairs: while this controller is master or equal, and while it is slave.
        masks = ([packet_ins, 0], [0, 0]) if packets else ([0, 0], [ports, ports])
        return self._serialised(_parser.OFPSetAsync(self._switch, *masks, [0, 0]))

    @staticmethod
    def role_request(role: int, generation: int) -> bytes:
        """A message that requests a role (OFPCR_*); ``generation`` is the generation id of the mastership (6.3.7)."""
        rest = _ROLE.pack(role, generation)
        return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_ROLE_REQUEST, _HEADER.size + len(rest), 0) + rest

    def packet_out(self, actions: tuple[Action, ...], frame: bytes) -> bytes:
        """A message that makes a switch apply ``actions`` to ``frame``."""
        return self._serialised(
            _parser.OFPPacketOut(self._switch, _of.OFP_NO_BUFFER, _of.OFPP_CONTROLLER, _actions(actions), frame)
        )

    def _messages(self, command: SwitchCommand) -> Iterator[tuple[object, bytes]]:
        if isinstance(command, Discard):
            yield "discard a bundle", _control(_DISCARD, command.number)
        elif isinstance(command, Prepare):
            yield from self._bundle(command.difference, command.number)
        elif isinstance(command, Commit):
            yield from self._meters(command.difference)
            yield "commit a bundle", _control(_COMMIT, command.number)
        elif isinstance(command, Update):
            yield from self._meters(command.difference)
            if any(len(part.groups) + len(part.flows) for part in command.difference.parts):
                yield from self._bundle(command.difference, _IMMEDIATE_BUNDLE)
                yield "commit a bundle", _control(_COMMIT, _IMMEDIATE_BUNDLE)
            for meter in command.difference.remove.meters:
                yield meter, self._entry("delete", meter)

    def _meters(self, change: Difference) -> Iterator[tuple[object, bytes]]:
        for meter in change.add.meters:
            yield meter, self._entry("add", meter)
        for meter in change.change.meters:
            yield meter, self._entry("modify", meter)

    def _bundle(self, change: Difference, number: int) -> Iterator[tuple[object, bytes]]:
        """Opens and fills a bundle. Entries are added after the entries they refer to, and deleted before them, because
        a switch deletes the flows that use a group together with the group."""
        yield "open a bundle", _control(_OPEN, number)
        entries: list[tuple[str, Entry]] = [("delete", flow) for flow in change.remove.flows]
        entries += [("add", group) for group in change.add.groups]
        entries += [("modify", group) for group in change.change.groups]
        entries += [("add", flow) for flow in (*change.add.flows, *change.change.flows)]
        entries += [("delete", group) for group in change.remove.groups]
        for verb, entry in entries:
            yield entry, _bundle_message(_BUNDLE_ADD, number, _ADD_FLAGS + self._entry(verb, entry))

    def _entry(self, verb: str, entry: Entry) -> bytes:
        key = verb, entry
        found = self._messages_by_entry.get(key)
        if found is None:
            if len(self._messages_by_entry) >= _MAX_CACHED:
                self._clear_caches()
            found = self._messages_by_entry[key] = self._encode_entry(verb, entry)
        return found

    def _clear_caches(self) -> None:
        for cache in (self._messages_by_entry, self._fields, self._actions):
            cache.clear()

    def _encode_entry(self, verb: str, entry: Entry) -> bytes:
        """Encodes the message of an entry with xid 0."""
        if isinstance(entry, FlowRule):
            return self._flow(verb, entry)
        return self._serialised(self._message(verb, entry))

    def _flow(self, verb: str, rule: FlowRule) -> bytes:
        """Encodes a flow-mod. Fields keep the rule's order: the framework would sort them by number, with Nicira fields
        before their prerequisites, which a switch rejects."""
        command = _of.OFPFC_DELETE_STRICT if verb == "delete" else _of.OFPFC_ADD
        rest = int(rule.table), command, 0, 0, rule.priority, _of.OFP_NO_BUFFER, _of.OFPP_ANY, _of.OFPG_ANY, 0
        fields = b"".join([self._field(name, value) for name, value in rule.match])
        length = _MATCH.size + len(fields)
        body = [
            _FLOW_MOD.pack(rule.cookie, 0, *rest),
            _MATCH.pack(_of.OFPMT_OXM, length),
            fields,
            bytes(-length % 8),
            *(self._instructions(rule) if verb != "delete" else ()),
        ]
        size = _HEADER.size + sum(map(len, body))
        return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_FLOW_MOD, size, 0) + b"".join(body)

    def _instructions(self, rule: FlowRule) -> Iterator[bytes]:
        if rule.meter is not None:
            yield _METER.pack(_of.OFPIT_METER, _METER.size, rule.meter)
        if rule.actions:
            actions = b"".join([self._action(action) for action in rule.actions])
            yield _APPLY.pack(_of.OFPIT_APPLY_ACTIONS, _APPLY.size + len(actions)) + actions
        if rule.metadata is not None:
            yield _METADATA.pack(_of.OFPIT_WRITE_METADATA, _METADATA.size, *rule.metadata)
        if rule.goto is not None:
            yield _GOTO.pack(_of.OFPIT_GOTO_TABLE, _GOTO.size, rule.goto)

    def _field(self, name: str, value: object) -> bytes:
        """Encodes a match field."""
        found = self._fields.get((name, value))
        if found is None and name == TLV:
            found = self._fields[name, value] = bytes.fromhex(str(value))
        if found is None:
            buffer = bytearray()
            _of.oxm_serialize(*_of.oxm_from_user(name, value), buffer, 0)
            found = self._fields[name, value] = bytes(buffer)
        return found

    def _action(self, action: Action) -> bytes:
        """Encodes an action; its length is a multiple of eight bytes."""
        found = self._actions.get(action)
        if found is None:
            buffer = bytearray()
            _action(action).serialize(buffer, 0)
            found = self._actions[action] = bytes(buffer)
        return found

    def _message(self, verb: str, entry: GroupRule | AnyMeter) -> Any:
        if isinstance(entry, GroupRule):
            if verb == "delete":
                return _group_delete(self._switch, entry.id)
            command = _of.OFPGC_MODIFY if verb == "modify" else _of.OFPGC_ADD
            buckets = [
                _parser.OFPBucket(
                    watch_port=bucket.watch_port, watch_group=_of.OFPG_ANY, actions=_actions(bucket.actions)
                )
                for bucket in entry.buckets
            ]
            return _parser.OFPGroupMod(self._switch, command, _of.OFPGT_FF, entry.id, buckets)
        if isinstance(entry, PacketMeterRule):
            band = _parser.OFPMeterBandDrop(rate=entry.rate_pps, burst_size=entry.burst_packets)
            flags = _of.OFPMF_PKTPS | _of.OFPMF_BURST
        else:
            band = _parser.OFPMeterBandDrop(rate=entry.rate_kbps, burst_size=entry.burst_kbit)
            flags = _of.OFPMF_KBPS | _of.OFPMF_BURST
        bands = [] if verb == "delete" else [band]
        return _parser.OFPMeterMod(self._switch, _METER_COMMANDS[verb], flags, entry.id, bands)

    @staticmethod
    def _serialised(message: Any) -> bytes:
        message.set_xid(0)
        message.serialize()
        return bytes(message.buf)


def _numbered(message: bytes, xid: int) -> bytes:
    """The message with transaction id ``xid``, which a message in a bundle carries in both headers."""
    number = xid.to_bytes(4, "big")
    if message[1] == _of.OFPT_EXPERIMENTER and message[12:16] == _BUNDLE_ADD.to_bytes(4, "big"):
        return message[:4] + number + message[8:28] + number + message[32:]
    return message[:4] + number + message[8:]


def _control(kind: int, number: int) -> bytes:
    return _bundle_message(_BUNDLE_CONTROL, number, struct.pack("!HH", kind, _ATOMIC_ORDERED))


def _bundle_message(kind: int, number: int, rest: bytes) -> bytes:
    body = struct.pack("!III", _ONF, kind, number) + rest
    return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_EXPERIMENTER, _HEADER.size + len(body), 0) + body


def _group_delete(switch: Any, group: int) -> Any:
    return _parser.OFPGroupMod(switch, _of.OFPGC_DELETE, _of.OFPGT_FF, group, [])


def _actions(actions: tuple[Action, ...]) -> list[Any]:
    return [_action(action) for action in actions]


def _action(action: Action) -> Any:
    """An action as the framework's object."""
    match action:
        case Output(port):
            return _parser.OFPActionOutput(port)
        case SetField(field, int(value)) if field in BY_NUMBER:
            number, length = BY_NUMBER[field]
            encoded = b64encode(value.to_bytes(length, "big")).decode()
            return _parser.OFPActionSetField(**{f"field_{number}": encoded})
        case SetField(field, value):
            return _parser.OFPActionSetField(**{field: value})
        case Load(field, value, bits):
            return _parser.NXActionRegLoad(ofs_nbits=bits - 1, dst=field, value=value)
        case Move(source, destination, bits, source_offset, destination_offset):
            return _parser.NXActionRegMove(source, destination, bits, source_offset, destination_offset)
        case PushVlan():
            return _parser.OFPActionPushVlan()
        case PopVlan():
            return _parser.OFPActionPopVlan()
        case PushMpls():
            return _parser.OFPActionPushMpls()
        case PopMpls(eth_type):
            return _parser.OFPActionPopMpls(eth_type)
        case DecTtl():
            return _parser.OFPActionDecNwTtl()
        case DecMplsTtl():
            return _parser.OFPActionDecMplsTtl()
        case CheckLarger(frame_bytes, register):
            header = bytearray()
            _of.oxm_serialize_header(_of.oxm_from_user_header(register), header, 0)
            body = struct.pack("!HHH4s6x", CHECK_LARGER, frame_bytes, 0, bytes(header))  # bit 0 of the field
            return _parser.OFPActionExperimenterUnknown(NICIRA, body)
        case Group(number):
            return _parser.OFPActionGroup(number)
        case Resubmit(table):
            return _parser.NXActionResubmitTable(in_port=_of.OFPP_IN_PORT & 0xFFFF, table_id=int(table))
