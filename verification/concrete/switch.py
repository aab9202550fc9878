"""One switch: what it does to one packet, by OpenFlow 1.3 and, where that leaves things open, as Open vSwitch does.

Beside the result it says how it came about: the entries met, the groups asked, why a packet stopped.
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
    """A rule uses something that this interpreter does not implement."""


class Stop(Enum):
    """Why a packet goes no further, other than by a rule that drops it."""

    NO_RULE = "no entry matches"
    TTL = "its time to live ran out"
    METER = "a meter had enough"
    NO_BUCKET = "every port that the group could use is down"
    IN_PORT = "it would leave where it came in"
    TOO_MANY_LABELS = "a fourth label"
    CONTROLLER = "the controller was handed it instead"
    NO_ACTION = "the last entry neither sends it out nor on"


@dataclass(frozen=True, slots=True)
class Choice:
    """A group that was evaluated: with what packet, metadata and registers, and which bucket it took (None: no bucket
    was live)."""

    group: GroupRule
    packet: Packet
    notes: Mapping[str, int]
    bucket: int | None


@dataclass(frozen=True, slots=True)
class HandedUp:
    """A packet sent to the controller, with metadata and registers; ``expired``: because its TTL ran out."""

    packet: Packet
    notes: Mapping[str, int]
    expired: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """What a switch did to a packet. ``outputs`` may name the controller; ``reason`` is why the packet left by no
    port, None where it did."""

    rules: tuple[FlowRule, ...]
    choices: tuple[Choice, ...]
    outputs: tuple[tuple[int, Packet], ...]
    reason: Drop | Stop | None
    handed_up: HandedUp | None = None


@dataclass(frozen=True)
class Switch:
    """A switch's tables and groups. Immutable: other rules make another switch."""

    tables: Mapping[Table, Classifier]
    groups: Mapping[int, GroupRule]

    @classmethod
    def of(cls, rules: RuleSet) -> Switch:
        """A switch that holds these rules."""
        return cls({}, {}).having(rules)

    def having(self, rules: RuleSet) -> Switch:
        """This switch with rules added; tables that get none are shared with it."""
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
        """What becomes of a packet that comes in on ``in_port`` while the ports in ``down`` are down; ``passes`` says
        of a meter's id whether the meter lets it by.

        Raises ChanceError where two entries are equally right and NotModelledError where one does what is unknown."""
        work = _Work(self, in_port, down, passes)
        return work.result(lambda: work.table(Table.ADMIT, Header.of(packet, in_port)))

    def choose_again(self, choice: Choice, in_port: int, down: frozenset[int] = frozenset()) -> Visit:
        """What this switch's group of the same number makes of the same packet."""
        work = _Work(self, in_port, down, lambda meter: True)
        return work.result(lambda: work.group(choice.group.id, Header.of(choice.packet, in_port, choice.notes)))

    def send(self, packet: Packet, actions: tuple[Action, ...], down: frozenset[int] = frozenset()) -> Visit:
        """What the switch does with a packet that the controller has it treat so."""
        work = _Work(self, CONTROLLER, down, lambda meter: True)
        return work.result(lambda: work.act(actions, Header.of(packet, CONTROLLER)))


class _StoppedError(Exception):
    """The whole packet is lost, with the copies sent before."""


@dataclass
class _Work:
    """One packet in one switch."""

    switch: Switch
    in_port: int
    down: frozenset[int]
    passes: Callable[[int], bool]
    rules: list[FlowRule] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    outputs: list[tuple[int, Packet]] = field(default_factory=list)
    stop: Stop = Stop.NO_ACTION
    handed_up: HandedUp | None = None

    def result(self, run: Callable[[], object]) -> Visit:
        """Runs, and tells what happened."""
        try:
            run()
        except _StoppedError:
            self.outputs.clear()
        reason = self.reason() if all(port == CONTROLLER for port, _ in self.outputs) else None
        return Visit(tuple(self.rules), tuple(self.choices), tuple(self.outputs), reason, self.handed_up)

    def reason(self) -> Drop | Stop:
        """Why nothing left: the last entry's own reason, if it has one."""
        last = self.rules[-1].cookie if self.rules else 0
        if self.stop is Stop.NO_ACTION and last >> 56 == Purpose.DROP:
            return Drop(purpose_of(last)[1])
        return Stop.CONTROLLER if self.outputs else self.stop

    def table(self, table: Table | None, header: Header) -> None:
        """Through a table and those its entries lead to."""
        while table is not None:
            rule = self.switch.tables.get(table, _EMPTY).lookup(header.matched())
            if rule is None:
                self.stop = Stop.NO_RULE
                return
            self.rules.append(rule)
            if rule.meter is not None and not self.passes(rule.meter):
                self.stop = Stop.METER
                return
            if not self.act(rule.actions, header):
                return
            if rule.metadata is not None:
                value, mask = rule.metadata
                header.seen["metadata"] = header.seen["metadata"] & ~mask | value & mask
            table = rule.goto

    def act(self, actions: tuple[Action, ...], header: Header) -> bool:
        """Does the actions in turn; False where the rest, and the next table, is left out."""
        return all(self.do(action, header) for action in actions)

    def do(self, action: Action, header: Header) -> bool:
        """One action."""
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
                if header.seen["vlan_vid"]:
                    raise NotModelledError("a second VLAN tag")
                header.seen["vlan_vid"] = VLAN_PRESENT
            case PopVlan():
                header.seen["vlan_vid"] = 0
            case PushMpls():
                self.push_label(header)
            case PopMpls(eth_type):
                header.pop_label(eth_type)
            case DecTtl():
                return self.older("nw_ttl", header)
            case DecMplsTtl():
                return self.older("mpls_ttl", header)
            case CheckLarger(frame_bytes, register):  # a packet of no stated length fits everywhere
                header.write(register, int((header.read("frame_bytes") or 0) > frame_bytes))
            case Group(id_):
                self.group(id_, header)
            case Resubmit(table):
                self.table(table, header)
            case _:
                raise NotModelledError(str(action))
        return True

    def output(self, port: int, header: Header) -> None:
        """Out of a port, though it be down; where it came in only if asked in so many words."""
        if port == IN_PORT:
            port = header.seen["in_port"]
        elif port == header.seen["in_port"]:
            self.stop = Stop.IN_PORT
            return
        if port == CONTROLLER:
            self.hand_up(header, expired=False)
        self.outputs.append((port, header.packet()))

    def hand_up(self, header: Header, *, expired: bool) -> None:
        """The packet as it is now to the controller."""
        self.handed_up = HandedUp(header.packet(), header.notes(), expired)

    def push_label(self, header: Header) -> None:
        """A label more."""
        if header.depth == MAX_LABELS:
            self.stop = Stop.TOO_MANY_LABELS
            raise _StoppedError
        header.push_label()

    def older(self, name: str, header: Header) -> bool:
        """Counts a TTL down; at the end the controller gets the packet, and the rest of the entry is left out. What
        has no TTL does not age."""
        ttl = header.read(name)
        if ttl is None:
            return True
        if ttl <= 1:
            self.stop = Stop.TTL
            self.hand_up(header, expired=True)
            return False
        header.write(name, ttl - 1)
        return True

    def group(self, id_: int, header: Header) -> None:
        """The first bucket whose port is up, on a copy: what follows the group does not see what a bucket did. A
        bucket is an action set (OpenFlow 1.3.5, 5.10); the pipeline has it stand in the order of execution."""
        group = self.switch.groups[id_]
        alive = (place for place, bucket in enumerate(group.buckets) if bucket.watch_port not in self.down)
        taken = next(alive, None)
        self.choices.append(Choice(group, header.packet(), header.notes(), taken))
        if taken is None:
            self.stop = Stop.NO_BUCKET
        else:
            self.act(group.buckets[taken].actions, header.copy())


def _copy(value: int, header: Header, name: str, bits: int, to_bit: int) -> None:
    """The low ``bits`` of a value into a field, from ``to_bit`` up."""
    old = header.read(name)
    if old is not None:
        mask = (1 << bits) - 1
        header.write(name, old & ~(mask << to_bit) | (value & mask) << to_bit)
