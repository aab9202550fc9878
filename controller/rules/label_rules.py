"""Rules of a router's core side: forwarding by transport label, with the local repair of each hop.

The hops of a label never change while packets may carry it; other hops get another label. So rules can be replaced one
by one, and no packet is forwarded by a mixture of old and new paths (per-packet consistency: Reitblatt et al., SIGCOMM
2012).
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
from helsewan.controller.rules.ttl import SAVE_TTL, pop_and_restore_ttl, pop_label
from helsewan.policies.plan import Egress
from helsewan.topology.model import TRUNK_PORT, Network

_LABEL_LIMIT = 1 << 20  # a label has 20 bits (RFC 3032, 2.1)
_LABEL_COUNT = _LABEL_LIMIT - FIRST_LABEL
_HINT = "have fewer routers, sets of routers that sites share, or choices of path"
_PRIORITY = 100
_TC_BITS = 3


@dataclass(frozen=True, slots=True)
class Labels:
    """Transport labels: ``egress`` of each reachable egress set or tree (by index), ``detour`` of each detour (by
    number), ``by_tree`` of both; ``hops`` has the links of each label by router id."""

    egress: dict[int, int]
    detour: tuple[int, ...]
    by_tree: dict[int | Detour, int]
    hops: dict[int, dict[str, str]]


def assign_labels(paths: Paths, *known: Labels) -> Labels:
    """Labels for these paths. A tree keeps its label of ``known`` (earlier arguments first) if no router that has a hop
    for it would use another one; routers may be added or removed. All other trees get unused labels.

    Raises InputError if no labels are left."""
    taken = set[int]().union(*(labels.hops for labels in known))
    unused = (label for label in range(FIRST_LABEL, _LABEL_LIMIT) if label not in taken)
    trees: dict[int | Detour, dict[str, str]] = {}
    for (router, egress), link in paths.primary.items():
        trees.setdefault(egress, {})[router] = link
    trees |= zip(paths.detours, paths.detour_hops, strict=True)
    by_tree: dict[int | Detour, int] = {}
    for tree, hops in trees.items():
        candidates = (labels.by_tree[tree] for labels in known if tree in labels.by_tree)
        label = next((each for each in candidates if _is_compatible(each, hops, known)), None) or next(unused, None)
        if label is None:
            reason = f"need a label each, {len(taken)} are still in use, and there are {_LABEL_COUNT}"
            raise InputError(Problem("network", f"{len(trees)} trees of paths", reason, _HINT))
        by_tree[tree] = label
    egresses = {tree: label for tree, label in by_tree.items() if isinstance(tree, int)}
    detour = tuple(by_tree[detour] for detour in paths.detours)
    return Labels(egresses, detour, by_tree, {by_tree[tree]: hops for tree, hops in trees.items()})


def _is_compatible(label: int, hops: dict[str, str], known: tuple[Labels, ...]) -> bool:
    """Whether every known hop of a label is the same in ``hops`` or absent there."""
    known_hops = (labels.hops.get(label, {}) for labels in known)
    return all(hops.get(router, link) == link for each in known_hops for router, link in each.items())


def label_rules(network: Network, paths: Paths, labels: Labels) -> dict[str, RuleSet]:
    """The rules, by router id, for labelled packets. Their number grows with routers and egress sets, not with sites.

    The id of a group that forwards packets to an egress set is the set's label."""
    groups: dict[str, list[GroupRule]] = {router.id: [] for router in network.routers}
    flows: dict[str, list[FlowRule]] = {router.id: [] for router in network.routers}
    transit = {(network.link[link].other(router), egress) for (router, egress), link in paths.primary.items()}
    for router, egress in sorted(transit):
        label = labels.egress[egress]
        if paths.target[router, egress] == router:
            flows[router].append(_pop_rule(label))
            continue
        port = network.ports[router][paths.primary[router, egress]]
        onward: Action = Output(port)
        repair = paths.repair.get((router, egress))
        if repair is not None:
            first = Bucket(port, (Output(port),))
            second = _repair_bucket(network, router, repair, labels, labelled=True)
            groups[router].append(GroupRule(label, (first, second)))
            onward = Group(label)
        # A bucket pops labels before all other actions, so the TTL that it needs is saved before the group.
        save = (SAVE_TTL,) if repair is not None and repair.link is None else ()
        flows[router].append(_forward_rule(label, *save, DecMplsTtl(), onward))
    for detour, hops, label in zip(paths.detours, paths.detour_hops, labels.detour, strict=True):
        for router, link in hops.items():
            flows[router].append(_forward_rule(label, DecMplsTtl(), Output(network.ports[router][link])))
        flows[detour.end].append(_pop_rule(label))
    return {router: RuleSet(groups=tuple(groups[router]), flows=tuple(flows[router])) for router in flows}


def ingress_groups(
    network: Network, egresses: tuple[Egress, ...], paths: Paths, labels: Labels
) -> dict[str, tuple[GroupRule, ...]]:
    """By router id, the groups that routes to egress sets refer to: they push the transport label. While an egress set
    cannot be reached, its group punts packets, so that their senders get an ICMP error."""

    def group(router: str, egress: Egress) -> GroupRule:
        key = router, egress.index
        buckets: tuple[Bucket, ...] = (Bucket(TRUNK_PORT, (Output(CONTROLLER),)),)
        if paths.target.get(key) == router:
            buckets = (Bucket(TRUNK_PORT, (Resubmit(Table.VPN),)),)
        elif link := paths.primary.get(tree := (router, paths.entry_tree.get(key, egress.index))):
            port = network.ports[router][link]
            label = SetField("mpls_label", labels.egress[tree[1]])
            buckets = (Bucket(port, (PushMpls(), label, Output(port))),)
            if repair := paths.repair.get(tree):
                buckets += (_repair_bucket(network, router, repair, labels, labelled=False),)
        return GroupRule(ingress_group(egress.index), buckets)

    return {
        # Sites whose first router this is are reached without a label (access_rules.py), so they need no group.
        router.id: tuple(group(router.id, egress) for egress in egresses if egress.routers[0] != router.id)
        for router in network.routers
    }


def _repair_bucket(network: Network, router: str, repair: Repair, labels: Labels, *, labelled: bool) -> Bucket:
    """The second bucket of a group: forwards to the detour, or to this router's own sites. ``labelled``: the packet
    already has a transport label."""
    if repair.link is None or repair.detour is None:
        pop = pop_and_restore_ttl(MPLS) if labelled else ()
        return Bucket(TRUNK_PORT, (*pop, Resubmit(Table.VPN)))
    port = network.ports[router][repair.link]
    label = SetField("mpls_label", labels.detour[repair.detour])
    # A detour may start with the link on which the packet arrived, and a switch does not output to the ingress port.
    clear_in_port = Load("in_port_nxm", 0, 16)
    return Bucket(port, (label, clear_in_port, Output(port)) if labelled else (PushMpls(), label, Output(port)))


def _forward_rule(label: int, *actions: Action) -> FlowRule:
    """A rule that forwards packets with a label.

    The datapath flow that Open vSwitch caches rewrites the whole label stack entry, with the TC of the first packet,
    unless the rule reads the TC: so the rule copies it to a register."""
    read_tc = Move("mpls_tc", "reg0", _TC_BITS)
    return FlowRule(Table.CORE, _PRIORITY, _labelled(label), (read_tc, *actions), cookie=cookie(Purpose.LABEL, label))


def _pop_rule(label: int) -> FlowRule:
    """A rule that pops a label that ends at this router, and continues with the VPN label below."""
    return FlowRule(
        Table.CORE, _PRIORITY, _labelled(label), pop_label(MPLS), Table.VPN, cookie=cookie(Purpose.LABEL, label)
    )


def _labelled(label: int) -> Match:
    return ("eth_type", MPLS), ("mpls_label", label)
