"""How many labels a packet carries where: Open vSwitch takes three, and drops what would have a fourth.

The VPN's label goes on in the route table, the transport label in an ingress group, and each comes off in one place.
A detour swaps the transport label. So a packet in the core has two, and every entry can be held to that by itself.
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
FIRST_LABEL = 10_000  # of the transport labels; a group with such a number is one for packets that have theirs already
ACCESS_LINK_GROUPS = 1 << 20  # and the line's VLAN: the group of an access line, beyond all labels

_IN_CORE, _WITH_VPN = 2, 1
_LABELS_IN = {Table.CORE: _IN_CORE, Table.VPN: _WITH_VPN}  # in all other tables behind admit a packet has none

# The order in which a switch carries out an action set, as a bucket is one (OpenFlow 1.3.5, 5.10; Open vSwitch's
# ofpacts_execute_action_set). What stands in the same place keeps its order.
_SET_ORDER: tuple[tuple[type[Action], ...], ...] = (
    (PopVlan,),
    (PopMpls,),
    (PushMpls,),
    (PushVlan,),
    (DecTtl,),
    (DecMplsTtl,),
    (SetField, Load, Move),
    (Group, Output, Resubmit),
)
_PLACE = {kind: place for place, kinds in enumerate(_SET_ORDER) for kind in kinds}
_ONLY_ONE = len(_SET_ORDER) - 1


def label_error(entry: FlowRule | GroupRule) -> str | None:
    """What is wrong with how an entry treats labels; None if nothing is."""
    if isinstance(entry, GroupRule):
        return next(filter(None, (_bucket_fault(entry, bucket.actions) for bucket in entry.buckets)), None)
    if entry.table is Table.ADMIT:  # sites' packets and the core's; it touches no labels
        return "labels are not touched here" if {PushMpls, PopMpls} & set(map(type, entry.actions)) else None
    return _fault(entry.actions, labels_in(entry.table), entry.goto)


def labels_in(table: Table) -> int:
    """How many labels a packet has that comes to a table behind admit."""
    return _LABELS_IN.get(table, 0)


def labels_at(group: int) -> int:
    """How many labels a packet has that comes to a group."""
    return 0 if group >= ACCESS_LINK_GROUPS else _IN_CORE if group >= FIRST_LABEL else _WITH_VPN


def _bucket_fault(group: GroupRule, actions: tuple[Action, ...]) -> str | None:
    places = [_PLACE[type(action)] for action in actions]
    if places != sorted(places):
        return "a bucket's actions stand in another order than a switch carries them out"
    if places.count(_ONLY_ONE) > 1:
        return "a bucket leads to one place"
    return _fault(actions, labels_at(group.id), None)


def _fault(actions: tuple[Action, ...], labels: int, goto: Table | None) -> str | None:
    """Follows the number of labels through actions, from ``labels`` on."""
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
            return f"{labels} labels where there are to be {expected}"
    if goto is not None and labels != labels_in(goto):
        return f"{labels} labels for table {goto.name.lower()}, which takes {labels_in(goto)}"
    return None
