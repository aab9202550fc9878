"""Encodes switch commands as OpenFlow 1.3 messages. Making a message is what costs time, so equal entries are made
once, and of flows,
which are the many, equal match fields and actions too: the framework makes those, this module puts them together.

What must take effect in one step goes as a bundle: ONF extension 230, which is OpenFlow 1.4's as 1.3 can say it. Both
frameworks and Open vSwitch have it.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from helsewan.controller.framework import describer, ofproto_v1_3, ofproto_v1_3_parser
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
# Instructions (7.2.5): type and length, then their own.
_METER, _METADATA, _GOTO = struct.Struct("!HHI"), struct.Struct("!HH4xQQ"), struct.Struct("!HHB3x")
_APPLY = struct.Struct("!HH4x")
_ONF, NICIRA = 0x4F4E4600, 0x2320
CHECK_LARGER = 49  # NXAST_CHECK_PKT_LARGER: the framework does not know it
_BUNDLE_CONTROL, _BUNDLE_ADD = 2300, 2301
_OPEN, _COMMIT, _DISCARD = 0, 4, 6
_IN_ONE_STEP = 1 | 2  # atomic, ordered
_METER_COMMANDS = {"add": _of.OFPMC_ADD, "modify": _of.OFPMC_MODIFY, "delete": _of.OFPMC_DELETE}
_ADD_FLAGS = struct.pack("!2xH", _IN_ONE_STEP)
_ROLE = struct.Struct("!I4xQ")  # role, generation (7.3.9)
_MOST_KNOWN = 200_000  # messages remembered, some 150 bytes each
_ONE_OFF = 0xFFFFFFFE  # the number of a bundle that is committed by the order that opens it
# Open vSwitch's fields of neighbour discovery (OXM class 0x1000, fields 1 and 2), which the framework knows by number
# only, and the bytes of their values.
BY_NUMBER = {"nd_reserved": (0x1000 << 7 | 1, 4), "nd_options_type": (0x1000 << 7 | 2, 1)}


@dataclass(frozen=True, slots=True)
class Frame:
    """An order as bytes. ``barrier`` is the xid of the reply that tells it is done; the message with xid
    ``first + n`` is about ``subjects[n]``."""

    data: bytes
    first: int
    barrier: int
    subjects: tuple[object, ...]


class Encoder:
    """Makes messages, and remembers those of entries it has met."""

    def __init__(self) -> None:
        self._switch = describer()
        self._known: dict[tuple[str, Entry], bytes] = {}
        self._fields: dict[tuple[str, object], bytes] = {}
        self._actions: dict[Action, bytes] = {}

    def frame(self, order: SwitchCommand, first: int) -> Frame:
        """The order as bytes, its messages numbered from ``first``."""
        parts: list[bytes] = []
        subjects: list[object] = []
        for subject, message in self._messages(order):
            parts.append(_numbered(message, first + len(subjects)))
            subjects.append(subject)
        barrier = first + len(subjects)
        parts.append(_HEADER.pack(_of.OFP_VERSION, _of.OFPT_BARRIER_REQUEST, _HEADER.size, barrier))
        return Frame(b"".join(parts), first, barrier, tuple(subjects))

    def hello(self) -> bytes:
        """The first message on a connection."""
        return self._serialised(_parser.OFPHello(self._switch))

    def whole_packets(self) -> bytes:
        """A message that has a switch hand up whole packets, on connections that get none unasked too."""
        return self._serialised(_parser.OFPSetConfig(self._switch, 0, _of.OFPCML_NO_BUFFER))

    def reports(self, *, packets: bool) -> bytes:
        """A message that says what a switch reports on a connection: packets that it cannot pass on, those whose TTL
        runs out among them, or else the state of its ports."""
        packet_ins = 1 << _of.OFPR_NO_MATCH | 1 << _of.OFPR_ACTION | 1 << _of.OFPR_INVALID_TTL
        ports = 1 << _of.OFPPR_ADD | 1 << _of.OFPPR_DELETE | 1 << _of.OFPPR_MODIFY
        # In pairs: to a master or an equal, and to a slave.
        asked = ([packet_ins, 0], [0, 0]) if packets else ([0, 0], [ports, ports])
        return self._serialised(_parser.OFPSetAsync(self._switch, *asked, [0, 0]))

    @staticmethod
    def role(role: int, generation: int) -> bytes:
        """A message that asks for a role (OFPCR_*) in a generation of masters; the switch says which it has given."""
        rest = _ROLE.pack(role, generation)
        return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_ROLE_REQUEST, _HEADER.size + len(rest), 0) + rest

    def packet_out(self, actions: tuple[Action, ...], frame: bytes) -> bytes:
        """A message that has a switch send a frame of ours."""
        return self._serialised(
            _parser.OFPPacketOut(self._switch, _of.OFP_NO_BUFFER, _of.OFPP_CONTROLLER, _actions(actions), frame)
        )

    def _messages(self, order: SwitchCommand) -> Iterator[tuple[object, bytes]]:
        if isinstance(order, Discard):
            yield "discard a bundle", _control(_DISCARD, order.number)
        elif isinstance(order, Prepare):
            yield from self._filled(order.difference, order.number)
        elif isinstance(order, Commit):
            yield from self._meters(order.difference)
            yield "commit a bundle", _control(_COMMIT, order.number)
        elif isinstance(order, Update):
            yield from self._meters(order.difference)
            if any(len(part.groups) + len(part.flows) for part in order.difference.parts):
                yield from self._filled(order.difference, _ONE_OFF)
                yield "commit a bundle", _control(_COMMIT, _ONE_OFF)
            for meter in order.difference.remove.meters:
                yield meter, self._entry("delete", meter)

    def _meters(self, change: Difference) -> Iterator[tuple[object, bytes]]:
        for meter in change.add.meters:
            yield meter, self._entry("add", meter)
        for meter in change.change.meters:
            yield meter, self._entry("modify", meter)

    def _filled(self, change: Difference, number: int) -> Iterator[tuple[object, bytes]]:
        """A bundle opened and filled. What refers comes after what it refers to, and goes before: a switch deletes
        the flows that use a group together with the group."""
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
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._forget()
            found = self._known[key] = self._made(verb, entry)
        return found

    def _forget(self) -> None:
        for known in (self._known, self._fields, self._actions):
            known.clear()

    def _made(self, verb: str, entry: Entry) -> bytes:
        """An entry's message, numbered 0."""
        if isinstance(entry, FlowRule):
            return self._flow(verb, entry)
        return self._serialised(self._message(verb, entry))

    def _flow(self, verb: str, rule: FlowRule) -> bytes:
        """Fields stay in the rule's order: left to itself the framework sorts them by number, Nicira's before their
        prerequisites, and a switch refuses that."""
        command = _of.OFPFC_DELETE_STRICT if verb == "delete" else _of.OFPFC_ADD
        where = int(rule.table), command, 0, 0, rule.priority, _of.OFP_NO_BUFFER, _of.OFPP_ANY, _of.OFPG_ANY, 0
        fields = b"".join([self._field(name, value) for name, value in rule.match])
        length = _MATCH.size + len(fields)
        body = [
            _FLOW_MOD.pack(rule.cookie, 0, *where),
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
        """One field of a match."""
        found = self._fields.get((name, value))
        if found is None and name == TLV:
            found = self._fields[name, value] = bytes.fromhex(str(value))
        if found is None:
            buffer = bytearray()
            _of.oxm_serialize(*_of.oxm_from_user(name, value), buffer, 0)
            found = self._fields[name, value] = bytes(buffer)
        return found

    def _action(self, action: Action) -> bytes:
        """One action; its length is a multiple of eight."""
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
    """The message with its transaction number; one wrapped in a bundle carries the same number inside."""
    number = xid.to_bytes(4, "big")
    if message[1] == _of.OFPT_EXPERIMENTER and message[12:16] == _BUNDLE_ADD.to_bytes(4, "big"):
        return message[:4] + number + message[8:28] + number + message[32:]
    return message[:4] + number + message[8:]


def _control(kind: int, number: int) -> bytes:
    return _bundle_message(_BUNDLE_CONTROL, number, struct.pack("!HH", kind, _IN_ONE_STEP))


def _bundle_message(kind: int, number: int, rest: bytes) -> bytes:
    body = struct.pack("!III", _ONF, kind, number) + rest
    return _HEADER.pack(_of.OFP_VERSION, _of.OFPT_EXPERIMENTER, _HEADER.size + len(body), 0) + body


def _group_delete(switch: Any, group: int) -> Any:
    return _parser.OFPGroupMod(switch, _of.OFPGC_DELETE, _of.OFPGT_FF, group, [])


def _actions(actions: tuple[Action, ...]) -> list[Any]:
    return [_action(action) for action in actions]


def _action(action: Action) -> Any:
    """An action in the framework's terms."""
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
