"""Rules of a router's core side: labels to ports, with the local repair of each hop.

A label leads one way, and never another while a packet may carry it: other hops get another label. So
paths can change rule by rule, and no packet ever meets hops of two different states.
"""

from __future__ import annotations

from dataclasses import dataclass

from helsewan.common.errors import InputError, Problem
from helsewan.controller.openflow.entries import (
    CONTROLLER,
    MPLS,
    Action,
    Bucket,
    DecMplsTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Match,
    Move,
    Output,
    PushMpls,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from helsewan.controller.openflow.label_stack import FIRST_LABEL
from helsewan.controller.openflow.pipeline import Purpose, cookie
from helsewan.controller.rules.access_rules import ingress_group
from helsewan.controller.rules.paths import Detour, Paths, Repair
from helsewan.controller.rules.ttl import NOTED, popped, restored
from helsewan.policies.plan import Egress
from helsewan.topology.model import TRUNK_PORT, Network

_END_OF_LABELS = 1 << 20
_LABELS = _END_OF_LABELS - FIRST_LABEL
_FEWER = "have fewer routers, sets of routers that sites share, or choices of path"
_PRIORITY = 100
_TC_BITS = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """Transport labels: of each egress set (by index) that can be reached, and of each detour (by number).

    ``hops`` maps each label to what it stands for: router to link."""

    egress: dict[int, int]
    detour: tuple[int, ...]
    of: dict[int | Detour, int]
    hops: dict[int, dict[str, str]]


def assign_labels(paths: Paths, *known: Labels) -> Labels:
    """Labels for these paths. One of ``known``, of earlier ones first, that leads the same way stays: no router that
    knew it sends it elsewhere, though routers may be new to it or need it no more. All others are new.

    Raises InputError when there are no labels left: the network has more ways to tell apart than labels."""
    taken = set[int]().union(*(labels.hops for labels in known))
    unused = (label for label in range(FIRST_LABEL, _END_OF_LABELS) if label not in taken)
    wanted: dict[int | Detour, dict[str, str]] = {}
    for (router, egress), link in paths.primary.items():
        wanted.setdefault(egress, {})[router] = link
    wanted |= zip(paths.detours, paths.detour_hops, strict=True)
    of: dict[int | Detour, int] = {}
    for meaning, hops in wanted.items():
        candidates = (labels.of[meaning] for labels in known if meaning in labels.of)
        label = next((each for each in candidates if _leads_so(each, hops, known)), None) or next(unused, None)
        if label is None:
            reason = f"need a label each, {len(taken)} are still in use, and there are {_LABELS}"
            raise InputError(Problem("network", f"{len(wanted)} trees of paths", reason, _FEWER))
        of[meaning] = label
    egresses = {meaning: label for meaning, label in of.items() if isinstance(meaning, int)}
    detour = tuple(of[detour] for detour in paths.detours)
    return Labels(egresses, detour, of, {of[meaning]: hops for meaning, hops in wanted.items()})


def _leads_so(label: int, hops: dict[str, str], known: tuple[Labels, ...]) -> bool:
    """Whether a label leads nowhere else than ``hops`` do, at the routers that know it."""
    ways = (labels.hops.get(label, {}) for labels in known)
    return all(hops.get(router, link) == link for way in ways for router, link in way.items())


def label_rules(network: Network, paths: Paths, labels: Labels) -> dict[str, RuleSet]:
    """What each router does with labelled packets. Grows with routers and egress sets, not with sites.

    A group that passes an egress set's packets on has the set's label for its id."""
    groups: dict[str, list[GroupRule]] = {router.id: [] for router in network.routers}
    flows: dict[str, list[FlowRule]] = {router.id: [] for router in network.routers}
    passed = {(network.link[link].other(router), egress) for (router, egress), link in paths.primary.items()}
    for router, egress in sorted(passed):
        label = labels.egress[egress]
        if paths.target[router, egress] == router:
            flows[router].append(_ending(label))
            continue
        port = network.ports[router][paths.primary[router, egress]]
        onward: Action = Output(port)
        repair = paths.repair.get((router, egress))
        if repair is not None:
            first = Bucket(port, (Output(port),))
            second = _repair_bucket(network, router, repair, labels, labelled=True)
            groups[router].append(GroupRule(label, (first, second)))
            onward = Group(label)
        # A bucket takes labels off before it does anything else, so what it is to know of them is noted before.
        noting = (NOTED,) if repair is not None and repair.link is None else ()
        flows[router].append(_passing(label, *noting, DecMplsTtl(), onward))
    for detour, hops, label in zip(paths.detours, paths.detour_hops, labels.detour, strict=True):
        for router, link in hops.items():
            flows[router].append(_passing(label, DecMplsTtl(), Output(network.ports[router][link])))
        flows[detour.end].append(_ending(label))
    return {router: RuleSet(groups=tuple(groups[router]), flows=tuple(flows[router])) for router in flows}


def ingress_groups(
    network: Network, egresses: tuple[Egress, ...], paths: Paths, labels: Labels
) -> dict[str, tuple[GroupRule, ...]]:
    """At each router, the group that every route to an egress set points at: it adds the transport label. Where
    nothing leads there now, it has the senders told."""

    def group(router: str, egress: Egress) -> GroupRule:
        key = router, egress.index
        buckets: tuple[Bucket, ...] = (Bucket(TRUNK_PORT, (Output(CONTROLLER),)),)
        if paths.target.get(key) == router:
            buckets = (Bucket(TRUNK_PORT, (Resubmit(Table.VPN),)),)
        elif link := paths.primary.get(way := (router, paths.begin.get(key, egress.index))):
            port = network.ports[router][link]
            label = SetField("mpls_label", labels.egress[way[1]])
            buckets = (Bucket(port, (PushMpls(), label, Output(port))),)
            if repair := paths.repair.get(way):
                buckets += (_repair_bucket(network, router, repair, labels, labelled=False),)
        return GroupRule(ingress_group(egress.index), buckets)

    return {
        # Sites whose first router this is are reached without a label (edge.py), so they need no group.
        router.id: tuple(group(router.id, egress) for egress in egresses if egress.routers[0] != router.id)
        for router in network.routers
    }


def _repair_bucket(network: Network, router: str, repair: Repair, labels: Labels, *, labelled: bool) -> Bucket:
    """The second choice: on to the detour, or down to this router's own sites. ``labelled`` says whether
    the packet has a transport label already."""
    if repair.link is None or repair.detour is None:
        down: tuple[Action, ...] = (*restored(MPLS), Resubmit(Table.VPN)) if labelled else (Resubmit(Table.VPN),)
        return Bucket(TRUNK_PORT, down)
    port = network.ports[router][repair.link]
    label = SetField("mpls_label", labels.detour[repair.detour])
    # A detour may begin with the link the packet came in on, and a switch sends nothing back unasked.
    forget = Load("in_port_nxm", 0, 16)
    return Bucket(port, (label, forget, Output(port)) if labelled else (PushMpls(), label, Output(port)))


def _passing(label: int, *actions: Action) -> FlowRule:
    """A rule that sends a label on. Open vSwitch writes a label it changes as a whole, traffic class and all, as it was
    in the packet for which it worked this out; only what a rule has looked at is sure to be the same in the next."""
    look = Move("mpls_tc", "reg0", _TC_BITS)
    return FlowRule(Table.CORE, _PRIORITY, _labelled(label), (look, *actions), cookie=cookie(Purpose.LABEL, label))


def _ending(label: int) -> FlowRule:
    """A rule for a label that ends here: the VPN's label is beneath."""
    return FlowRule(
        Table.CORE, _PRIORITY, _labelled(label), popped(MPLS), Table.VPN, cookie=cookie(Purpose.LABEL, label)
    )


def _labelled(label: int) -> Match:
    return ("eth_type", MPLS), ("mpls_label", label)
