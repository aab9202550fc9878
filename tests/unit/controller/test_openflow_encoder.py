"""Encoded commands: numbered, ordered, terminated by a barrier, and decoded to the rules they were encoded from."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from controller_plan import small_plan

from helsewan.controller.framework import ofproto_v1_3, ofproto_v1_3_parser, protocol_description
from helsewan.controller.openflow import encoder
from helsewan.controller.openflow.encoder import EncodedCommand, Encoder
from helsewan.controller.openflow.entries import (
    Bucket,
    CheckLarger,
    FlowRule,
    GroupRule,
    MeterRule,
    Output,
    PushMpls,
    RuleSet,
    SetField,
    Table,
)
from helsewan.controller.rules.punt import PUNT_METER
from helsewan.controller.update.commands import Commit, Discard, Prepare, Update
from helsewan.controller.update.reconciler import Reconciler
from helsewan.controller.update.rule_diff import Difference, difference

FLOW = FlowRule(Table.CORE, 100, (("eth_type", 0x8847), ("mpls_label", 10_001)), (Output(2),), cookie=5)
GROUP = GroupRule(7, (Bucket(2, (PushMpls(), SetField("mpls_label", 10_001), Output(2))), Bucket(3, (Output(3),))))
METER = MeterRule(1, 2500, 250)
RULES = RuleSet((METER,), (GROUP,), (FLOW,))
PROGRAM = Update(Difference(add=RULES))


def adding(flow: FlowRule) -> Update:
    """The command that adds a flow."""
    return Update(Difference(add=RuleSet(flows=(flow,))))


EXPERIMENTER, FLOW_MOD, BARRIER = 4, 14, 20


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, xid, message) of each message of a stream, those in bundles unwrapped."""
    while data:
        version, kind, length, xid = struct.unpack_from("!BBHI", data)
        assert version == 4
        message, data = data[:length], data[length:]
        if kind == EXPERIMENTER and message[12:16] == struct.pack("!I", 2301):
            (inner,) = messages(message[24:])
            assert inner[1] == xid
            yield inner
        else:
            yield kind, xid, message


def parsed(message: bytes) -> Any:
    """The message as decoded by the framework."""
    version, kind, length, xid = struct.unpack_from("!BBHI", message)
    return ofproto_v1_3_parser.msg_parser(protocol_description(), version, kind, length, xid, message)


@dataclass(frozen=True)
class GroupMod:
    """A group message, which the framework encodes but does not decode (OpenFlow 1.3.5, A.3.4.2)."""

    command: int
    type: int
    id: int
    watch_ports: tuple[int, ...]

    @classmethod
    def of(cls, message: bytes) -> GroupMod:
        """Decodes one."""
        command, kind, number = struct.unpack_from("!HBxI", message, 8)
        ports, at = [], 16
        while at < len(message):
            length, _, port = struct.unpack_from("!HHI", message, at)
            ports.append(port)
            at += length
        return cls(command, kind, number, tuple(ports))


def kinds(encoded: EncodedCommand) -> list[int]:
    """The message types of an encoded command."""
    return [kind for kind, _, _ in messages(encoded.data)]


@pytest.mark.parametrize("first", [1, 500])
def test_every_message_has_a_number_and_a_subject(first: int) -> None:
    encoded = Encoder().encode(PROGRAM, first)
    xids = [xid for _, xid, _ in messages(encoded.data)]
    assert xids == list(range(first, encoded.barrier + 1))
    assert len(encoded.subjects) == encoded.barrier - first
    assert kinds(encoded)[-1] == BARRIER
    by_xid = {xid: message for _, xid, message in messages(encoded.data)}
    assert parsed(by_xid[first + encoded.subjects.index(FLOW)]).cookie == FLOW.cookie


def test_update_is_one_bundle_after_its_meters() -> None:
    encoded = Encoder().encode(PROGRAM, 1)
    subjects = [str(subject).split(":")[0] for subject in encoded.subjects]
    assert subjects == ["meter 1", "open a bundle", "group 7", "table core, priority 100", "commit a bundle"]


def test_prepared_difference_is_committed_by_its_number() -> None:
    """The bundle's control messages: (number, type, flags) with OpenFlow 1.4's types, atomic and ordered."""
    found = []
    for command in (Prepare(PROGRAM.difference, 7), Commit(PROGRAM.difference, 7), Discard(7)):
        for kind, _, message in messages(Encoder().encode(command, 1).data):
            if kind == EXPERIMENTER:
                assert message[8:16] == struct.pack("!II", 0x4F4E4600, 2300)
                found.append(struct.unpack("!IHH", message[16:]))
    assert found == [(7, 0, 3), (7, 4, 3), (7, 6, 3)]
    assert len(list(messages(Encoder().encode(Commit(PROGRAM.difference, 7), 1).data))) == 3  # meter, commit, barrier


def test_same_entry_has_the_same_bytes_except_for_the_xid() -> None:
    encoder = Encoder()
    once, again = encoder.encode(adding(FLOW), 1), encoder.encode(adding(FLOW), 5)
    firsts, seconds = list(messages(once.data)), list(messages(again.data))
    for (kind, xid, message), (other_kind, other_xid, other) in zip(firsts, seconds, strict=True):
        assert (kind, xid + 4) == (other_kind, other_xid)
        assert message[:4] + message[8:] == other[:4] + other[8:]


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "_MAX_CACHED", 2)
    ours, plain = Encoder(), Encoder()
    flows = tuple(FlowRule(Table.CORE, 1, (), (Output(port),)) for port in range(1, 6))
    command = Update(Difference(add=RuleSet(flows=flows)))
    assert ours.encode(command, 1) == plain.encode(command, 1)


@pytest.mark.parametrize("part", ["add", "change", "remove"])
def test_each_part_of_a_difference_has_its_commands(part: str) -> None:
    of = ofproto_v1_3
    verbs = {
        "add": (of.OFPMC_ADD, of.OFPGC_ADD, of.OFPFC_ADD),
        "change": (of.OFPMC_MODIFY, of.OFPGC_MODIFY, of.OFPFC_ADD),
        "remove": (of.OFPMC_DELETE, of.OFPGC_DELETE, of.OFPFC_DELETE_STRICT),
    }
    found = list(messages(Encoder().encode(Update(Difference(**{part: RULES})), 1).data))
    (meter,) = (message for kind, _, message in found if kind == of.OFPT_METER_MOD)
    (group,) = (GroupMod.of(message) for kind, _, message in found if kind == of.OFPT_GROUP_MOD)
    (flow,) = (parsed(message) for kind, _, message in found if kind == of.OFPT_FLOW_MOD)
    assert (struct.unpack_from("!H", meter, 8)[0], group.command, flow.command) == verbs[part]
    # A switch rejects the deletion of a group with buckets.
    assert group.watch_ports == (() if part == "remove" else (2, 3))


def test_entries_are_added_after_and_deleted_before_those_they_refer_to() -> None:
    of = ofproto_v1_3
    wanted = {of.OFPT_METER_MOD, of.OFPT_GROUP_MOD, of.OFPT_FLOW_MOD}
    for difference_, expected in (
        (Difference(add=RULES), [of.OFPT_METER_MOD, of.OFPT_GROUP_MOD, of.OFPT_FLOW_MOD]),
        (Difference(remove=RULES), [of.OFPT_FLOW_MOD, of.OFPT_GROUP_MOD, of.OFPT_METER_MOD]),
    ):
        assert [kind for kind in kinds(Encoder().encode(Update(difference_), 1)) if kind in wanted] == expected


def test_every_rule_is_decoded_as_it_was_encoded() -> None:
    reconciler, encoder = Reconciler(small_plan()), Encoder()
    for router in reconciler.plan.network.router:
        encoded = encoder.encode(Update(difference(RuleSet(), reconciler.target(router))), 1)
        for _, xid, message in messages(encoded.data):
            subject = encoded.subjects[xid - 1] if xid < encoded.barrier else None
            if isinstance(subject, FlowRule):
                _same_flow(subject, parsed(message))
            elif isinstance(subject, GroupRule):
                watched = tuple(bucket.watch_port for bucket in subject.buckets)
                fast_failover, add = ofproto_v1_3.OFPGT_FF, ofproto_v1_3.OFPGC_ADD
                assert GroupMod.of(message) == GroupMod(add, fast_failover, subject.id, watched)
            elif isinstance(subject, MeterRule):
                flags, band = ofproto_v1_3.OFPMF_KBPS | ofproto_v1_3.OFPMF_BURST, ofproto_v1_3.OFPMBT_DROP
                written = struct.unpack_from("!HHIHHII", message, 8)
                assert written == (0, flags, subject.id, band, 16, subject.rate_kbps, subject.burst_kbit)


def framework_flow(rule: FlowRule, command: int) -> bytes:
    """The complete flow message as encoded by the framework."""
    of, parser = ofproto_v1_3, ofproto_v1_3_parser
    instructions: list[Any] = []
    if rule.meter is not None:
        instructions.append(parser.OFPInstructionMeter(rule.meter))
    if rule.actions:
        actions = [encoder._action(action) for action in rule.actions]
        instructions.append(parser.OFPInstructionActions(of.OFPIT_APPLY_ACTIONS, actions))
    if rule.metadata is not None:
        instructions.append(parser.OFPInstructionWriteMetadata(*rule.metadata))
    if rule.goto is not None:
        instructions.append(parser.OFPInstructionGotoTable(int(rule.goto)))
    message = parser.OFPFlowMod(
        protocol_description(),
        cookie=rule.cookie,
        table_id=int(rule.table),
        priority=rule.priority,
        command=command,
        out_port=of.OFPP_ANY,
        out_group=of.OFPG_ANY,
        match=parser.OFPMatch(_ordered_fields=list(rule.match)),
        instructions=instructions,
    )
    message.set_xid(0)
    message.serialize()
    return bytes(message.buf)


def test_flow_messages_equal_the_frameworks() -> None:
    of, reconciler, encoder = ofproto_v1_3, Reconciler(small_plan()), Encoder()
    flows = {flow for router in reconciler.plan.network.router for flow in reconciler.target(router).flows}
    assert {type(action) for flow in flows for action in flow.actions} >= {Output, SetField, PushMpls}
    assert all(any(flow.table is table for flow in flows) for table in Table)
    for flow in flows:
        ((_, _, made),) = (
            each for each in messages(encoder.encode(adding(flow), 0).data) if each[0] == of.OFPT_FLOW_MOD
        )
        assert _unnumbered(made) == framework_flow(flow, of.OFPFC_ADD), flow


def _unnumbered(message: bytes) -> bytes:
    return message[:4] + bytes(4) + message[8:]


def _same_flow(rule: FlowRule, read: Any) -> None:
    assert (read.table_id, read.priority, read.cookie) == (rule.table, rule.priority, rule.cookie)
    assert dict(read.match.items()) == dict(rule.match)
    steps = {type(instruction).__name__: instruction for instruction in read.instructions}
    assert ("OFPInstructionGotoTable" in steps) is (rule.goto is not None)
    if rule.goto is not None:
        assert steps["OFPInstructionGotoTable"].table_id == rule.goto
    if rule.metadata is not None:
        written = steps["OFPInstructionWriteMetadata"]
        assert (written.metadata, written.metadata_mask) == rule.metadata
    if rule.meter is not None:
        assert steps["OFPInstructionMeter"].meter_id == rule.meter
    assert len(steps["OFPInstructionActions"].actions if rule.actions else ()) == len(rule.actions)


def test_actions_unknown_to_the_framework_equal_open_vswitchs() -> None:
    """The expected bytes are those of ``ovs-ofctl add-flow`` for ``check_pkt_larger(1414)->reg2[0]``."""
    rule = FlowRule(Table.DELIVER, 1, (), (CheckLarger(1414, "reg2"),))
    (message,) = (each for kind, _, each in messages(Encoder().encode(adding(rule), 1).data) if kind == FLOW_MOD)
    assert message.endswith(bytes.fromhex("ffff0018 00002320 0031 0586 0000 00010404 000000000000"))


def test_meters_of_packets_count_packets() -> None:
    command = Update(Difference(add=RuleSet(meters=(PUNT_METER,))))
    ((_, _, message), _) = messages(Encoder().encode(command, 1).data)
    of = ofproto_v1_3
    flags = of.OFPMF_PKTPS | of.OFPMF_BURST
    written = struct.unpack_from("!HHIHHII", message, 8)
    assert written == (0, flags, of.OFPM_CONTROLLER, of.OFPMBT_DROP, 16, PUNT_METER.rate_pps, PUNT_METER.burst_packets)


def test_fields_stay_in_the_rules_order() -> None:
    rule = FlowRule(
        Table.CONTRACT,
        1,
        (("eth_type", 0x0800), ("ip_proto", 6), ("tcp_src", 443), ("tcp_flags_nxm", (16, 16))),
    )
    (message,) = (each for kind, _, each in messages(Encoder().encode(adding(rule), 1).data) if kind == FLOW_MOD)
    assert list(dict(parsed(message).match.items())) == ["eth_type", "ip_proto", "tcp_src", "tcp_flags_nxm"]
