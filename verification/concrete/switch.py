"""One switch: what it does to one packet, by OpenFlow 1.3 and, where that is undefined, as Open vSwitch does.

The result includes its explanation: the entries matched, the groups evaluated, why a packet was not forwarded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    Action,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Move,
    Output,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from helsewan.controller.openflow.label_stack import MAX_LABELS
from helsewan.controller.openflow.pipeline import VLAN_PRESENT, Drop, Purpose, purpose_of
from helsewan.verification.concrete.lookup import Classifier
from helsewan.verification.concrete.packet import Header, Packet, number, plain

_EMPTY = Classifier(())


class NotModelledError(Exception):
    """A rule uses an action that this interpreter does not implement."""


class Stop(Enum):
    """Why a packet is not forwarded, other than by a rule that drops it."""

    NO_RULE = "no entry matches"
    TTL = "its time to live ran out"
    METER = "a meter dropped it"
    NO_BUCKET = "no bucket of the group is live: every watched port is down"
    IN_PORT = "it would go out of the port that it came in by"
    TOO_MANY_LABELS = "more labels than the switch supports"
    CONTROLLER = "it went to the controller only"
    NO_ACTION = "the last entry has neither an output nor a goto"


@dataclass(frozen=True, slots=True)
class Choice:
    """The evaluation of a group: the packet, metadata and registers it got, and the index of the bucket it chose (None:
    no bucket was live)."""

    group: GroupRule
    packet: Packet
    registers: Mapping[str, int]
    bucket: int | None


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet sent to the controller, with metadata and registers; ``expired``: because its TTL expired."""

    packet: Packet
    registers: Mapping[str, int]
    expired: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """What a switch did to a packet. ``outputs`` are ports, the controller included, and packets; ``reason`` is why the
    packet was not sent to a port, None where it was."""

    rules: tuple[FlowRule, ...]
    choices: tuple[Choice, ...]
    outputs: tuple[tuple[int, Packet], ...]
    reason: Drop | Stop | None
    packet_in: PacketIn | None = None


@dataclass(frozen=True)
class Switch:
    """A switch's tables and groups. Immutable: changed rules make a new switch."""

    tables: Mapping[Table, Classifier]
    groups: Mapping[int, GroupRule]

    @classmethod
    def of(cls, rules: RuleSet) -> Switch:
        """A switch that holds these rules."""
        return cls({}, {}).having(rules)

    def having(self, rules: RuleSet) -> Switch:
        """A switch with rules added to those of this one; unchanged tables are shared."""
        by_table = groupby(sorted(rules.flows, key=lambda rule: rule.table), key=lambda rule: rule.table)
        fresh = {table: Classifier((*self.tables.get(table, _EMPTY).rules, *flows)) for table, flows in by_table}
        return Switch({**self.tables, **fresh}, {**self.groups, **{group.id: group for group in rules.groups}})

    def receive(
        self,
        packet: Packet,
        in_port: int,
        down: frozenset[int] = frozenset(),
        passes: Callable[[int], bool] = lambda meter: True,
    ) -> Visit:
        """The result for a packet that comes in on ``in_port`` while the ports in ``down`` are down; ``passes`` returns
        for a meter id whether the meter lets the packet pass.

        Raises AmbiguousMatchError where entries of equal priority conflict, NotModelledError for an unknown action."""
        execution = _PipelineRun(self, in_port, down, passes)
        return execution.result(lambda: execution.table(Table.ADMIT, Header.of(packet, in_port)))

    def reselect_bucket(self, choice: Choice, in_port: int, down: frozenset[int] = frozenset()) -> Visit:
        """The result for the packet of a choice, evaluated by this switch's group with the same id."""
        execution = _PipelineRun(self, in_port, down, lambda meter: True)
        return execution.result(
            lambda: execution.group(choice.group.id, Header.of(choice.packet, in_port, choice.registers))
        )

    def send(self, packet: Packet, actions: tuple[Action, ...], down: frozenset[int] = frozenset()) -> Visit:
        """The result for a packet-out of the controller with these actions."""
        execution = _PipelineRun(self, CONTROLLER, down, lambda meter: True)
        return execution.result(lambda: execution.apply_actions(actions, Header.of(packet, CONTROLLER)))


class _StoppedError(Exception):
    """The packet is dropped, and with it the copies output before."""


@dataclass
class _PipelineRun:
    """The processing of one packet in one switch."""

    switch: Switch
    in_port: int
    down: frozenset[int]
    passes: Callable[[int], bool]
    rules: list[FlowRule] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    outputs: list[tuple[int, Packet]] = field(default_factory=list)
    stop: Stop = Stop.NO_ACTION
    packet_in: PacketIn | None = None

    def result(self, run: Callable[[], object]) -> Visit:
        """Calls ``run``, and returns the result."""
        try:
            run()
        except _StoppedError:
            self.outputs.clear()
        reason = self.reason() if all(port == CONTROLLER for port, _ in self.outputs) else None
        return Visit(tuple(self.rules), tuple(self.choices), tuple(self.outputs), reason, self.packet_in)

    def reason(self) -> Drop | Stop:
        """Why nothing was output: the reason in the last entry's cookie, if it has one."""
        last = self.rules[-1].cookie if self.rules else 0
        if self.stop is Stop.NO_ACTION and last >> 56 == Purpose.DROP:
            return Drop(purpose_of(last)[1])
        return Stop.CONTROLLER if self.outputs else self.stop

    def table(self, table: Table | None, header: Header) -> None:
        """Processes a table and those that its entries go to."""
        while table is not None:
            rule = self.switch.tables.get(table, _EMPTY).lookup(header.match_fields())
            if rule is None:
                self.stop = Stop.NO_RULE
                return
            self.rules.append(rule)
            if rule.meter is not None and not self.passes(rule.meter):
                self.stop = Stop.METER
                return
            if not self.apply_actions(rule.actions, header):
                return
            if rule.metadata is not None:
                value, mask = rule.metadata
                header.visible["metadata"] = header.visible["metadata"] & ~mask | value & mask
            table = rule.goto

    def apply_actions(self, actions: tuple[Action, ...], header: Header) -> bool:
        """Applies the actions in turn; False if processing ends with one of them."""
        return all(self.apply_action(action, header) for action in actions)

    def apply_action(self, action: Action, header: Header) -> bool:
        """Applies one action; False if processing ends with it."""
        match action:
            case Output(port):
                self.output(port, header)
            case SetField(name, value):
                header.write(plain(name), number(value))
            case Load(name, value, bits):
                _copy(value, header, plain(name), bits, 0)
            case Move(source, destination, bits, from_bit, to_bit):
                if (moved := header.read(plain(source))) is not None:
                    _copy(moved >> from_bit, header, plain(destination), bits, to_bit)
            case PushVlan():
                if header.visible["vlan_vid"]:
                    raise NotModelledError("a second VLAN tag")
                header.visible["vlan_vid"] = VLAN_PRESENT
            case PopVlan():
                header.visible["vlan_vid"] = 0
            case PushMpls():
                self.push_label(header)
            case PopMpls(eth_type):
                header.pop_label(eth_type)
            case DecTtl():
                return self.decrement_ttl("nw_ttl", header)
            case DecMplsTtl():
                return self.decrement_ttl("mpls_ttl", header)
            case CheckLarger(frame_bytes, register):  # a packet of unknown length fits everywhere
                header.write(register, int((header.read("frame_bytes") or 0) > frame_bytes))
            case Group(id_):
                self.group(id_, header)
            case Resubmit(table):
                self.table(table, header)
            case _:
                raise NotModelledError(str(action))
        return True

    def output(self, port: int, header: Header) -> None:
        """Outputs to a port, whether it is up or not; to the ingress port only by its reserved name IN_PORT."""
        if port == IN_PORT:
            port = header.visible["in_port"]
        elif port == header.visible["in_port"]:
            self.stop = Stop.IN_PORT
            return
        if port == CONTROLLER:
            self.send_to_controller(header, expired=False)
        self.outputs.append((port, header.packet()))

    def send_to_controller(self, header: Header, *, expired: bool) -> None:
        """Sends the packet in its current form to the controller."""
        self.packet_in = PacketIn(header.packet(), header.registers(), expired)

    def push_label(self, header: Header) -> None:
        """Pushes a label; Open vSwitch drops a packet with too many."""
        if header.depth == MAX_LABELS:
            self.stop = Stop.TOO_MANY_LABELS
            raise _StoppedError
        header.push_label()

    def decrement_ttl(self, name: str, header: Header) -> bool:
        """Decrements a TTL. When it expires, the packet goes to the controller and processing ends. Without the field,
        nothing happens."""
        ttl = header.read(name)
        if ttl is None:
            return True
        if ttl <= 1:
            self.stop = Stop.TTL
            self.send_to_controller(header, expired=True)
            return False
        header.write(name, ttl - 1)
        return True

    def group(self, id_: int, header: Header) -> None:
        """Applies the first bucket whose watched port is up to a copy of the packet: later actions do not see its
        changes. A bucket is an action set (OpenFlow 1.3.5, 5.10); the pipeline lists its actions in order of
        execution."""
        group = self.switch.groups[id_]
        alive = (place for place, bucket in enumerate(group.buckets) if bucket.watch_port not in self.down)
        taken = next(alive, None)
        self.choices.append(Choice(group, header.packet(), header.registers(), taken))
        if taken is None:
            self.stop = Stop.NO_BUCKET
        else:
            self.apply_actions(group.buckets[taken].actions, header.copy())


def _copy(value: int, header: Header, name: str, bits: int, to_bit: int) -> None:
    """Copies the low ``bits`` of a value into a field, starting at ``to_bit``."""
    old = header.read(name)
    if old is not None:
        mask = (1 << bits) - 1
        header.write(name, old & ~(mask << to_bit) | (value & mask) << to_bit)
