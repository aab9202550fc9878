"""A router's core side as rules: labels to ports, with the repair of each hop beside it.

A label names an egress set or a detour, in one of two sets of labels. A change of paths writes the
set that is not in use, turns the ingress groups over to it, and takes the old one away when the last
packet has passed: no packet ever meets rules of two different states.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.edge import ingress_group
from controller.paths import Paths, Repair
from controller.pipeline import MPLS, PipelineError, Purpose, cookie
from controller.rules import (
    Action,
    Bucket,
    DecMplsTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Match,
    Output,
    PopMpls,
    PushMpls,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from policies.plan import Egress
from topology.model import TRUNK_PORT, Network

_FIRST_LABEL = (10_000, 500_000)  # of either set
_FIRST_DETOUR = 10_000  # within a set: egress sets come before, detours from here
_LABELS_PER_SET = 490_000
_FIRST_GROUP = (1_000_000, 2_000_000)
_PRIORITY = 100
_SET_SHIFT = 48  # in the cookie, see pipeline.Purpose.LABEL
LABEL_SET_MASK = 0xFF << 56 | 3 << _SET_SHIFT


@dataclass(frozen=True, slots=True)
class LabelSet:
    """One of the two sets of transport labels (``parity`` 0 or 1)."""

    parity: int

    @property
    def other(self) -> LabelSet:
        """The set this one takes turns with."""
        return LabelSet(1 - self.parity)

    @property
    def cookie(self) -> int:
        """What the cookies of all rules of this set have under ``LABEL_SET_MASK``."""
        return cookie(Purpose.LABEL) | (self.parity + 1) << _SET_SHIFT

    def egress(self, index: int) -> int:
        """The label that leads to an egress set."""
        if index >= _FIRST_DETOUR:
            raise PipelineError(f"egress set {index}: there are labels for {_FIRST_DETOUR}")
        return _FIRST_LABEL[self.parity] + index

    def detour(self, number: int) -> int:
        """The label that leads along a detour."""
        if number >= _LABELS_PER_SET - _FIRST_DETOUR:
            raise PipelineError(f"detour {number}: out of labels")
        return _FIRST_LABEL[self.parity] + _FIRST_DETOUR + number

    def group(self, egress: int) -> int:
        """The id of the group that passes packets on to an egress set."""
        return _FIRST_GROUP[self.parity] + egress


def core_rules(network: Network, paths: Paths, labels: LabelSet) -> dict[str, RuleSet]:
    """What each router does with labelled packets. Grows with routers and egress sets, not with sites."""
    groups: dict[str, list[GroupRule]] = {router.id: [] for router in network.routers}
    flows: dict[str, list[FlowRule]] = {router.id: [] for router in network.routers}
    passed = {(network.link[link].other(router), egress) for (router, egress), link in paths.primary.items()}
    for router, egress in sorted(passed):
        label = labels.egress(egress)
        if paths.target[router, egress] == router:
            flows[router].append(_ending(label, labels))
            continue
        port = network.ports[router][paths.primary[router, egress]]
        onward: Action = Output(port)
        if repair := paths.repair.get((router, egress)):
            first = Bucket(port, (Output(port),))
            second = _repair_bucket(network, router, repair, labels, labelled=True)
            groups[router].append(GroupRule(labels.group(egress), (first, second)))
            onward = Group(labels.group(egress))
        flows[router].append(_passing(label, onward, labels))
    for (router, number), link in paths.detour_hop.items():
        label = labels.detour(number)
        flows[router].append(_passing(label, Output(network.ports[router][link]), labels))
    for number, end in enumerate(paths.detour_target):
        flows[end].append(_ending(labels.detour(number), labels))
    return {router: RuleSet(groups=tuple(groups[router]), flows=tuple(flows[router])) for router in flows}


def ingress_groups(
    network: Network, egresses: tuple[Egress, ...], paths: Paths, labels: LabelSet
) -> dict[str, tuple[GroupRule, ...]]:
    """At each router, the group that every route to an egress set points at: it adds the transport label.

    A group without buckets drops: nothing leads there now."""

    def group(router: str, egress: Egress) -> GroupRule:
        key = router, egress.index
        buckets: tuple[Bucket, ...] = ()
        if paths.target.get(key) == router:
            buckets = (Bucket(TRUNK_PORT, (Resubmit(Table.VPN),)),)
        elif link := paths.primary.get(key):
            port = network.ports[router][link]
            label = SetField("mpls_label", labels.egress(egress.index))
            buckets = (Bucket(port, (PushMpls(), label, Output(port))),)
            if repair := paths.repair.get(key):
                buckets += (_repair_bucket(network, router, repair, labels, labelled=False),)
        return GroupRule(ingress_group(egress.index), buckets)

    return {
        # Sites whose first router this is are reached without a label (edge.py), so they need no group.
        router.id: tuple(group(router.id, egress) for egress in egresses if egress.routers[0] != router.id)
        for router in network.routers
    }


def _repair_bucket(network: Network, router: str, repair: Repair, labels: LabelSet, *, labelled: bool) -> Bucket:
    """The second choice: on to the detour, or down to this router's own sites. ``labelled`` says whether
    the packet has a transport label already."""
    if repair.link is None or repair.detour is None:
        down: tuple[Action, ...] = (PopMpls(MPLS), Resubmit(Table.VPN)) if labelled else (Resubmit(Table.VPN),)
        return Bucket(TRUNK_PORT, down)
    port = network.ports[router][repair.link]
    label = SetField("mpls_label", labels.detour(repair.detour))
    # A detour may begin with the link the packet came in on, and a switch sends nothing back unasked.
    forget = Load("in_port_nxm", 0, 16)
    return Bucket(port, (label, forget, Output(port)) if labelled else (PushMpls(), label, Output(port)))


def _passing(label: int, onward: Action, labels: LabelSet) -> FlowRule:
    """A rule that sends a label on."""
    actions = (DecMplsTtl(), onward)
    return FlowRule(Table.CORE, _PRIORITY, _labelled(label), actions, cookie=labels.cookie | label)


def _ending(label: int, labels: LabelSet) -> FlowRule:
    """A rule for a label that ends here: the VPN's label is beneath."""
    return FlowRule(Table.CORE, _PRIORITY, _labelled(label), (PopMpls(MPLS),), Table.VPN, cookie=labels.cookie | label)


def _labelled(label: int) -> Match:
    return ("eth_type", MPLS), ("mpls_label", label)
