"""Orders as bytes: numbered, in order, ended by a barrier, and read back as the rules they were made from."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from controller_plan import small_plan

from controller import wire
from controller.conductor import Conductor
from controller.framework import describer, ofproto_v1_3, ofproto_v1_3_parser
from controller.orders import Add, Change, Program, Remove
from controller.punt import PUNT_METER
from controller.rules import (
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
from controller.wire import Encoder, Frame

FLOW = FlowRule(Table.CORE, 100, (("eth_type", 0x8847), ("mpls_label", 10_001)), (Output(2),), cookie=5)
GROUP = GroupRule(7, (Bucket(2, (PushMpls(), SetField("mpls_label", 10_001), Output(2))), Bucket(3, (Output(3),))))
METER = MeterRule(1, 2500, 250)
PROGRAM = Program(RuleSet((METER,), (GROUP,), (FLOW,)))
EXPERIMENTER, BARRIER = 4, 20
BARRIER_BYTES = 8


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(type, xid, message) of each message of a stream; what a bundle holds comes out of it."""
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
    """The message as the framework reads it."""
    version, kind, length, xid = struct.unpack_from("!BBHI", message)
    return ofproto_v1_3_parser.msg_parser(describer(), version, kind, length, xid, message)


@dataclass(frozen=True)
class GroupMod:
    """A group message, which the framework writes but does not read (OpenFlow 1.3.5, A.3.4.2)."""

    command: int
    type: int
    id: int
    watch_ports: tuple[int, ...]

    @classmethod
    def of(cls, message: bytes) -> GroupMod:
        """Reads one."""
        command, kind, number = struct.unpack_from("!HBxI", message, 8)
        ports, at = [], 16
        while at < len(message):
            length, _, port = struct.unpack_from("!HHI", message, at)
            ports.append(port)
            at += length
        return cls(command, kind, number, tuple(ports))


def kinds(frame: Frame) -> list[int]:
    """The message types of a frame."""
    return [kind for kind, _, _ in messages(frame.data)]


@pytest.mark.parametrize("first", [1, 500])
def test_every_message_is_numbered_and_named(first: int) -> None:
    frame = Encoder().frame(PROGRAM, first)
    xids = [xid for _, xid, _ in messages(frame.data)]
    assert xids == list(range(first, frame.barrier + 1))
    assert len(frame.subjects) == frame.barrier - first
    assert kinds(frame)[-1] == BARRIER
    by_xid = {xid: message for _, xid, message in messages(frame.data)}
    assert parsed(by_xid[first + frame.subjects.index(FLOW)]).cookie == FLOW.cookie


def test_program_replaces_everything_in_one_bundle() -> None:
    frame = Encoder().frame(PROGRAM, 1)
    subjects = [str(subject).split(":")[0] for subject in frame.subjects]
    assert subjects == [
        "delete all meters",
        "meter 1",
        "open a bundle",
        "delete all groups",
        "delete all flows",
        "group 7",
        "table core, priority 100",
        "commit a bundle",
    ]


def test_same_entry_gives_the_same_bytes_but_for_the_number() -> None:
    encoder = Encoder()
    once, again = encoder.frame(Add(RuleSet(flows=(FLOW,))), 1), encoder.frame(Add(RuleSet(flows=(FLOW,))), 3)
    assert once.data.replace(b"\0\0\0\1", b"\0\0\0\3", 1)[:-8] == again.data[:-8]


def test_memory_of_messages_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_MOST_KNOWN", 2)
    encoder, plain = Encoder(), Encoder()
    flows = tuple(FlowRule(Table.CORE, 1, (), (Output(port),)) for port in range(1, 6))
    assert encoder.frame(Add(RuleSet(flows=flows)), 1) == plain.frame(Add(RuleSet(flows=flows)), 1)


def test_each_order_has_its_verbs() -> None:
    of, rules = ofproto_v1_3, RuleSet((), (GROUP,), (FLOW,))
    verbs = {Add: (of.OFPGC_ADD, of.OFPFC_ADD), Change: (of.OFPGC_MODIFY, of.OFPFC_ADD)}
    verbs[Remove] = (of.OFPGC_DELETE, of.OFPFC_DELETE_STRICT)
    for order, (of_group, of_flow) in verbs.items():
        found = list(messages(Encoder().frame(order(rules), 1).data))
        (group,) = (GroupMod.of(message) for kind, _, message in found if kind == of.OFPT_GROUP_MOD)
        (flow,) = (parsed(message) for kind, _, message in found if kind == of.OFPT_FLOW_MOD)
        assert (group.command, flow.command) == (of_group, of_flow)
        # A switch refuses to delete a group that is described.
        assert group.watch_ports == (() if order is Remove else (2, 3))


def test_what_refers_comes_after_what_it_refers_to_and_goes_before() -> None:
    rules = RuleSet((), (GROUP,), (FLOW,))
    of = ofproto_v1_3
    assert kinds(Encoder().frame(Add(rules), 1)) == [of.OFPT_GROUP_MOD, of.OFPT_FLOW_MOD, BARRIER]
    assert kinds(Encoder().frame(Remove(rules), 1)) == [of.OFPT_FLOW_MOD, of.OFPT_GROUP_MOD, BARRIER]


def test_every_rule_reads_back_as_it_was_written() -> None:
    conductor, encoder = Conductor(small_plan()), Encoder()
    for router in conductor.plan.network.router:
        frame = encoder.frame(conductor.program_of(router), 1)
        for _, xid, message in messages(frame.data):
            subject = frame.subjects[xid - 1] if xid < frame.barrier else None
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
    """The flow's message as the framework makes it, from first to last byte."""
    of, parser = ofproto_v1_3, ofproto_v1_3_parser
    instructions: list[Any] = []
    if rule.meter is not None:
        instructions.append(parser.OFPInstructionMeter(rule.meter))
    if rule.actions:
        actions = [wire._action(action) for action in rule.actions]
        instructions.append(parser.OFPInstructionActions(of.OFPIT_APPLY_ACTIONS, actions))
    if rule.metadata is not None:
        instructions.append(parser.OFPInstructionWriteMetadata(*rule.metadata))
    if rule.goto is not None:
        instructions.append(parser.OFPInstructionGotoTable(int(rule.goto)))
    message = parser.OFPFlowMod(
        describer(),
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


def test_flows_are_the_frameworks_to_the_byte() -> None:
    of, conductor, encoder = ofproto_v1_3, Conductor(small_plan()), Encoder()
    flows = {flow for router in conductor.plan.network.router for flow in conductor.program_of(router).rules.flows}
    assert {type(action) for flow in flows for action in flow.actions} >= {Output, SetField, PushMpls}
    assert all(any(flow.table is table for flow in flows) for table in Table)
    for order, command in ((Add, of.OFPFC_ADD), (Remove, of.OFPFC_DELETE_STRICT)):
        for flow in flows:
            made = encoder.frame(order(RuleSet(flows=(flow,))), 0).data
            assert made[:-BARRIER_BYTES] == framework_flow(flow, command), flow


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


def test_what_the_framework_lacks_is_written_as_open_vswitch_does() -> None:
    """The bytes are ``ovs-ofctl add-flow``'s for ``check_pkt_larger(1414)->reg2[0]``."""
    rule = FlowRule(Table.DELIVER, 1, (), (CheckLarger(1414, "reg2"),))
    ((_, _, message), _) = messages(Encoder().frame(Add(RuleSet(flows=(rule,))), 1).data)
    assert message.endswith(bytes.fromhex("ffff0018 00002320 0031 0586 0000 00010404 000000000000"))


def test_meters_of_packets_count_packets() -> None:
    ((_, _, message), _) = messages(Encoder().frame(Add(RuleSet(meters=(PUNT_METER,))), 1).data)
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
    ((_, _, message), _) = messages(Encoder().frame(Add(RuleSet(flows=(rule,))), 1).data)
    assert list(dict(parsed(message).match.items())) == ["eth_type", "ip_proto", "tcp_src", "tcp_flags_nxm"]
