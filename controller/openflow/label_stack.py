"""Depth of the label stack in each table and group, checked for every entry. Open vSwitch supports three labels and
drops packets that would get a fourth.

The route table pushes the VPN label and an ingress group the transport label; each is popped in one table. A detour
swaps the transport label. So every packet in the core has two labels, and each entry can be checked by itself.
"""

from __future__ import annotations

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    Action,
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
    SetField,
    Table,
)
from helsewan.topology.model import ACCESS_LINK_PORTS, TRUNK_PORT

MAX_LABELS = 3  # Open vSwitch's FLOW_MAX_MPLS_LABELS
FIRST_LABEL = 10_000  # first transport label; a group whose id is a transport label gets packets with that label
ACCESS_LINK_GROUPS = 1 << 20  # plus the VLAN of an access link: its group, above all labels

_IN_CORE, _WITH_VPN = 2, 1
_LABELS_IN = {Table.CORE: _IN_CORE, Table.VPN: _WITH_VPN}  # in all other tables but admit, a packet has none

# The order in which a switch executes an action set, such as a bucket (OpenFlow 1.3.5, 5.10; Open vSwitch's
# ofpacts_execute_action_set). Actions of the same rank keep their order.
_ACTION_SET_ORDER: tuple[tuple[type[Action], ...], ...] = (
    (PopVlan,),
    (PopMpls,),
    (PushMpls,),
    (PushVlan,),
    (DecTtl,),
    (DecMplsTtl,),
    (SetField, Load, Move),
    (Group, Output, Resubmit),
)
_RANK = {kind: rank for rank, kinds in enumerate(_ACTION_SET_ORDER) for kind in kinds}
_OUTPUT_RANK = len(_ACTION_SET_ORDER) - 1


def label_error(entry: FlowRule | GroupRule) -> str | None:
    """A description of the entry's error in label handling; None if it has none."""
    if isinstance(entry, GroupRule):
        return next(filter(None, (_bucket_error(entry, bucket.actions) for bucket in entry.buckets)), None)
    if entry.table is Table.ADMIT:  # gets labelled and unlabelled packets, and must not change labels
        return "labels are not touched here" if {PushMpls, PopMpls} & set(map(type, entry.actions)) else None
    return _depth_error(entry.actions, labels_in(entry.table), entry.goto)


def labels_in(table: Table) -> int:
    """Number of labels of packets in a table other than admit."""
    return _LABELS_IN.get(table, 0)


def labels_at(group: int) -> int:
    """Number of labels of packets that are sent to a group (by id)."""
    return 0 if group >= ACCESS_LINK_GROUPS else _IN_CORE if group >= FIRST_LABEL else _WITH_VPN


def _bucket_error(group: GroupRule, actions: tuple[Action, ...]) -> str | None:
    ranks = [_RANK[type(action)] for action in actions]
    if ranks != sorted(ranks):
        return "a bucket's actions are not in the order in which a switch executes them"
    if ranks.count(_OUTPUT_RANK) > 1:
        return "a bucket has more than one output"
    return _depth_error(actions, labels_at(group.id), None)


def _depth_error(actions: tuple[Action, ...], labels: int, goto: Table | None) -> str | None:
    """Tracks the number of labels through actions, starting with ``labels``; returns the first error."""
    for action in actions:
        expected: int | None = None
        match action:
            case PushMpls():
                labels += 1
            case PopMpls():
                labels -= 1
            case Group(group):
                expected = labels_at(group)
            case Resubmit(table):
                expected = labels_in(table)
            case Output(port) if port not in (CONTROLLER, IN_PORT):
                expected = 0 if port == TRUNK_PORT or port > ACCESS_LINK_PORTS else _IN_CORE
        if not 0 <= labels <= MAX_LABELS:
            return f"{labels} labels"
        if expected is not None and labels != expected:
            return f"{labels} labels instead of {expected}"
    if goto is not None and labels != labels_in(goto):
        return f"{labels} labels for table {goto.name.lower()}, which expects {labels_in(goto)}"
    return None
