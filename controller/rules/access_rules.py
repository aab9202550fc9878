"""Rules of a router's access side: ingress filter, contracts, classification and policing of traffic from sites, and
delivery to sites.

All but `failover_routes` depend on the plan alone: when paths change, only the groups that the routes refer to change.
Routing follows RFC 4364: the VRF of the source decides which destinations are reachable, and the VPN label of the
destination is carried below the transport label.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    MPLS,
    Action,
    Bucket,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Match,
    MeterRule,
    Move,
    Output,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    RuleSet,
    SetField,
    Table,
    without_duplicates,
)
from helsewan.controller.openflow.label_stack import ACCESS_LINK_GROUPS
from helsewan.controller.openflow.pipeline import (
    CLASS,
    DESTINATION_ROLE,
    DESTINATION_VPN,
    DIVERTED,
    VLAN_PRESENT,
    VRF,
    Drop,
    Purpose,
    cookie,
    drop_rule,
    joined,
)
from helsewan.controller.rules.contracts import ContractRules, contract_rules, error_rules, fragment_rules
from helsewan.controller.rules.ingress_filter import CACHED_ACCESS_LINKS, IngressFilter
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IP6, ip_version_of
from helsewan.controller.rules.mtu import mtu_rules
from helsewan.controller.rules.punt import PUNT_METER
from helsewan.controller.rules.ttl import pop_label
from helsewan.policies.plan import SHORTEST, Attachment, Plan, Route, TrafficClass, Vpn
from helsewan.topology.model import SITE_MTU, TRUNK_PORT, AccessLinkId, Site, router_mac

_BURST_US = 100_000  # burst size of a policer: what its rate transmits in this time
_QUEUE_BITS = 4  # meter id = VLAN of the access link, then queue of the class: independent of the policy
_BURST_MIN_KBIT = 24  # two full-sized frames

_LOW, _MISS = 100, 0
_FAILOVER_PRIORITY_OFFSET = 300  # greater than the difference between the priorities of any two routes
_DIVERTED_LABEL_OFFSET = 5_000  # keeps the result above all VPN labels and below the transport labels
CACHED_RULES = 1 << 15


def access_link_group(link: Attachment) -> int:
    """Id of the group that sends packets out of an access link of a dual-homed site."""
    return ACCESS_LINK_GROUPS + link.vlan


def diverted_label(label: int) -> int:
    """VPN label of packets that the router of a failed access link forwards to the router of the other one."""
    return label + _DIVERTED_LABEL_OFFSET


def ingress_group(egress: int) -> int:
    """Id of the group that forwards to an egress set (by index)."""
    return 1 + egress


def access_rules(plan: Plan) -> dict[str, RuleSet]:
    """The entries that each router (by id) needs for its own sites."""
    vrf = {vpn.name: tuple(map(_interned, _vrf(plan, vpn))) for vpn in plan.vpns}
    shared = _SharedRules(plan, contract_rules(plan), vrf, _remote_routes(plan, plan.routes))
    return {router.id: _AccessRules(plan, router.id, shared).rules() for router in plan.network.routers}


def failover_routes(plan: Plan, down: Collection[AccessLinkId]) -> dict[str, RuleSet]:
    """By router id, routes to dual-homed sites one of whose access links is in ``down`` and carried their traffic: they
    lead to the router of the other access link only, with a higher priority than the plan's own routes."""
    routes = tuple(
        Route(role.vpn, prefix, plan.egress_index[(site.homing[not failed],), False, SHORTEST])
        for site, failed in ((plan.network.site[name], failed) for name, failed in sorted(down))
        for role in (plan.role_of_site[site.id],)
        if (site.id, not failed) not in down and (failed == 0 or plan.vpn[role.vpn].both_access_links)
        for prefix in site.prefixes
    )
    if not routes:
        return {}
    remote = _remote_routes(plan, routes, _FAILOVER_PRIORITY_OFFSET)
    generators = (_AccessRules(plan, router.id, _SharedRules(plan, (), {}, ())) for router in plan.network.routers)
    return {each.router: RuleSet(flows=tuple(each.route(routes, remote))) for each in generators}


@dataclass(frozen=True)
class _SharedRules:
    """Rules that are the same on every router that has them: of each contract, of each VPN's VRF (by name), and the
    remote form of each of the plan's routes (see `_remote_routes`)."""

    plan: Plan
    contracts: tuple[ContractRules, ...]
    vrf: dict[str, tuple[FlowRule, ...]]
    routes: tuple[tuple[FlowRule, ...], ...]


@dataclass(frozen=True)
class _AccessRules:
    """Generates the access rules of one router."""

    plan: Plan
    router: str
    shared: _SharedRules

    def rules(self) -> RuleSet:
        """All entries, in pipeline order."""
        flows = (
            *IngressFilter(self.plan, self.router, self.access_links).rules(),
            *(rule for vpn in self.vpns for rule in self.shared.vrf[vpn.name]),
            *self.contract(),
            *self.police(),
            *self.route(self.plan.routes, self.shared.routes),
            *self.vpn(),
            *self.deliver(),
            *self.other_access_link(),
            *_TABLE_MISS_RULES,
        )
        policers = (meter for _, _, meter in self.policers)
        return RuleSet((*policers, PUNT_METER), tuple(self.access_link_groups()), without_duplicates(flows))

    @cached_property
    def mac(self) -> str:
        """MAC address of the router."""
        return router_mac(self.plan.network.router[self.router])

    @cached_property
    def access_links(self) -> tuple[tuple[int, Attachment], ...]:
        """The router's access links, each with its index in the plan."""
        return tuple((i, link) for i, link in enumerate(self.plan.attachments) if link.router == self.router)

    @cached_property
    def vpns(self) -> tuple[Vpn, ...]:
        """VPNs with an access link at this router."""
        present = {link.vpn for _, link in self.access_links}
        return tuple(vpn for vpn in self.plan.vpns if vpn.name in present)

    @cached_property
    def roles(self) -> frozenset[int]:
        """Numbers of the roles with an access link at this router."""
        return frozenset(link.role for _, link in self.access_links)

    def contract(self) -> Iterator[FlowRule]:
        """The sessions that roles at this router may open, and the replies that they may send."""
        yield from fragment_rules()
        yield from error_rules()
        for rules in self.shared.contracts:
            if rules.client in self.roles:
                yield from rules.opening
            if rules.server in self.roles:
                yield from rules.replies

    @cached_property
    def policers(self) -> tuple[tuple[Attachment, int, MeterRule], ...]:
        """(access link, DSCP, meter) of every policed class of every access link."""
        policed = [
            (link, self.plan.traffic_class[name], rate_bps)
            for _, link in self.access_links
            for name, rate_bps in link.police
        ]
        return tuple(
            (link, cls.dscp, _meter(link.vlan << _QUEUE_BITS | cls.queue, rate_bps)) for link, cls, rate_bps in policed
        )

    def police(self) -> Iterator[FlowRule]:
        """Sends each policed class of each access link through its meter."""
        for link, dscp, meter in self.policers:
            match: Match = (("metadata", CLASS.of(dscp)), ("vlan_vid", link.vlan | VLAN_PRESENT))
            yield FlowRule(
                Table.POLICE, _LOW, match, goto=Table.ROUTE, meter=meter.id, cookie=cookie(Purpose.PASS, meter.id)
            )

    def route(self, routes: Iterable[Route], remote: Iterable[tuple[FlowRule, ...]]) -> Iterator[FlowRule]:
        """Routes that VPNs of this router import: to a site of this router, or with labels to the group of an egress
        set. ``remote`` has the rules of each route as `_remote_routes` returns them."""
        imported = {other.name for vpn in self.vpns for other in self.plan.imports_from(vpn)}
        for route, rules in zip(routes, remote, strict=True):
            if route.vpn not in imported:
                continue
            if self.plan.egresses[route.egress].routers[0] == self.router:
                yield _interned(replace(rules[0], actions=(PopVlan(),), goto=Table.DELIVER))
            else:
                yield from rules

    def vpn(self) -> Iterator[FlowRule]:
        """Pops VPN labels, and writes the VPN of packets from the core to the metadata."""
        for vpn in self.vpns:
            for label, family in ((vpn.label, IP4), (vpn.label6, IP6)):
                match = _to_label(label)
                pop, found = pop_label(family.eth_type), DESTINATION_VPN.of(vpn.id)
                yield FlowRule(Table.VPN, _LOW, match, pop, Table.DELIVER, found, cookie=cookie(Purpose.PASS))
                if self.own_ports:
                    match, found = _to_label(diverted_label(label)), joined(found, DIVERTED.of(1))
                    yield FlowRule(Table.VPN, _LOW, match, pop, Table.DELIVER, found, cookie=cookie(Purpose.PASS))

    def deliver(self) -> Iterator[FlowRule]:
        """Delivers packets to the sites of this router.

        The ingress port is cleared first, because a switch does not output to it unless told so explicitly: two access
        links on the trunk share one port."""
        for index, link in self.access_links:
            site = self.plan.network.site[link.site]
            mtu_bytes = site.accesses[link.backup].mtu_bytes
            clear_in_port = Load("in_port_nxm", 0, 16)
            actions: tuple[Action, ...] = (DecTtl(), clear_in_port, Group(access_link_group(link)))
            if link.number not in self.own_ports:
                tag = PushVlan(), SetField("vlan_vid", link.vlan | VLAN_PRESENT)
                actions = (DecTtl(), *self.set_macs(site), *tag, clear_in_port, Output(TRUNK_PORT))
            vpn, own_cookie = self.plan.vpn[link.vpn].id, cookie(Purpose.ACCESS_LINK, index)
            yield from _delivery(site, actions, mtu_bytes, vpn, own_cookie)

    def set_macs(self, site: Site) -> tuple[Action, ...]:
        """Sets the MAC addresses of a frame from this router to a site."""
        return SetField("eth_src", self.mac), SetField("eth_dst", site.mac)

    @cached_property
    def own_ports(self) -> dict[AccessLinkId, int]:
        """Ports of the access links that are not on the trunk: those of dual-homed sites."""
        return self.plan.network.access_link_ports[self.router]

    def access_link_groups(self) -> Iterator[GroupRule]:
        """Groups that output to a dual-homed site while its access link here is up, and resubmit to
        `other_access_link` while it is down."""
        for _, link in self.access_links:
            if port := self.own_ports.get(link.number):
                out = Bucket(port, (*self.set_macs(self.plan.network.site[link.site]), Output(port)))
                yield GroupRule(access_link_group(link), (out, Bucket(TRUNK_PORT, (Resubmit(Table.OTHER_LINE),))))

    def other_access_link(self) -> Iterator[FlowRule]:
        """Forwards packets whose access link is down to the router of the dual-homed site's other access link. Their
        label (`diverted_label`) prevents that they are sent back if that access link is down, too."""
        for _, link in self.access_links:
            if link.number not in self.own_ports:
                continue
            site, vpn = self.plan.network.site[link.site], self.plan.vpn[link.vpn]
            egress = self.plan.egress_index[(site.homing[not link.backup],), False, SHORTEST]
            undiverted = joined(DESTINATION_VPN.of(vpn.id), DIVERTED.of(0))
            for label, family, prefix in zip((vpn.label, vpn.label6), FAMILIES, site.prefixes, strict=True):
                to: Match = (("metadata", undiverted), *family.is_to(prefix))
                onward = push_labels(diverted_label(label), egress)
                yield FlowRule(Table.OTHER_LINE, _LOW, to, onward, cookie=cookie(Purpose.ROUTE, egress))


@lru_cache(maxsize=CACHED_ACCESS_LINKS)
def _delivery(
    site: Site, actions: tuple[Action, ...], mtu_bytes: int, vpn: int, own_cookie: int
) -> tuple[FlowRule, ...]:
    """Rules that apply ``actions`` to packets for ``site`` in the VPN with number ``vpn``."""
    in_vpn: Match = (("metadata", DESTINATION_VPN.of(vpn)),)
    rules: list[FlowRule] = []
    for family, prefix in zip(FAMILIES, site.prefixes, strict=True):
        to = (*in_vpn, *family.is_to(prefix))
        out = FlowRule(Table.DELIVER, _LOW + prefix.prefixlen, to, actions, cookie=own_cookie)
        rules += mtu_rules(out, mtu_bytes) if mtu_bytes < SITE_MTU else (out,)
    return tuple(rules)


@lru_cache(maxsize=CACHED_RULES)
def _interned(rule: FlowRule) -> FlowRule:
    """The same object for equal rules: comparing an object with itself is fast."""
    return rule


def _vrf(plan: Plan, vpn: Vpn) -> Iterator[FlowRule]:
    """The VRF of a VPN: writes role and VPN of the destination to the metadata, for every VPN that this one imports."""
    visible = {other.name: other for other in plan.imports_from(vpn)}
    for role in plan.roles:
        if role.vpn not in visible:
            continue
        found = joined(DESTINATION_ROLE.of(role.id), DESTINATION_VPN.of(visible[role.vpn].id))
        for prefix in role.prefixes:
            to: Match = (("metadata", VRF.of(vpn.id)), *ip_version_of(prefix).is_to(prefix))
            priority = _LOW + prefix.prefixlen
            yield FlowRule(Table.VRF, priority, to, (), Table.CONTRACT, found, cookie=cookie(Purpose.PASS))


def _remote_routes(plan: Plan, routes: Iterable[Route], priority_offset: int = 0) -> tuple[tuple[FlowRule, ...], ...]:
    """The rules of each route on all routers but the first one of its egress set: one for all packets, then, with a
    higher priority, one for each class that does not use the shortest path."""
    classes = [cls for cls in plan.classes if cls.path != SHORTEST]

    def remote(route: Route, cls: TrafficClass | None) -> FlowRule:
        vpn, main = plan.vpn[route.vpn], plan.egresses[route.egress]
        egress = plan.egress_index[main.routers, main.both, cls.path] if cls else route.egress
        family, towards = ip_version_of(route.prefix), DESTINATION_VPN.of(vpn.id)
        to: Match = (
            ("metadata", joined(towards, CLASS.of(cls.dscp)) if cls else towards),
            ("vlan_vid", (VLAN_PRESENT, VLAN_PRESENT)),  # pop_vlan requires a match on the tag's presence
            *family.is_to(route.prefix),
        )
        priority = priority_offset + _LOW + 2 * route.prefix.prefixlen + (cls is not None)
        label = vpn.label if family is IP4 else vpn.label6
        actions = (PopVlan(), DecTtl(), *push_labels(label, egress))
        return FlowRule(Table.ROUTE, priority, to, actions, cookie=cookie(Purpose.ROUTE, egress))

    return tuple(tuple(_interned(remote(route, cls)) for cls in (None, *classes)) for route in routes)


def _to_label(label: int) -> Match:
    """Matches ``label`` at the bottom of the stack."""
    return ("eth_type", MPLS), ("mpls_label", label), ("mpls_bos", 1)


def push_labels(label: int, egress: int) -> tuple[Action, ...]:
    """Pushes a VPN ``label`` whose TC is the class selector of the packet's DSCP, and sends the packet to the group of
    ``egress``, which pushes the transport label."""
    return (
        Move("ip_dscp", "reg0", 3, source_offset=3),
        PushMpls(),
        SetField("mpls_label", label),
        Move("reg0", "mpls_tc", 3),
        Group(ingress_group(egress)),
    )


def _meter(number: int, rate_bps: int) -> MeterRule:
    """The meter of a policer; the rate is rounded up to whole kbit/s."""
    rate_kbps = -(-rate_bps // 1000)
    return MeterRule(number, rate_kbps, max(_BURST_MIN_KBIT, rate_kbps * _BURST_US // 1_000_000))


def _punt_rule(table: Table, priority: int, match: Match, reason: Drop) -> FlowRule:
    """A rule that counts packets that cannot be forwarded and punts them, so that their sender gets an ICMP error."""
    return FlowRule(table, priority, match, (Output(CONTROLLER),), cookie=cookie(Purpose.DROP, reason))


_TABLE_MISS_RULES = (
    drop_rule(Table.ADMIT, _MISS, (), Drop.NOT_LABELLED),
    _punt_rule(Table.VRF, _MISS, (), Drop.NO_ROUTE),
    drop_rule(Table.CONTRACT, _MISS, (), Drop.NO_CONTRACT),
    FlowRule(Table.POLICE, _MISS, (), goto=Table.ROUTE, cookie=cookie(Purpose.PASS)),
    _punt_rule(Table.ROUTE, _MISS, (), Drop.NO_PATH),
    drop_rule(Table.CORE, _MISS, (), Drop.NO_LABEL),
    drop_rule(Table.VPN, _MISS, (), Drop.NO_VPN),
    drop_rule(Table.DELIVER, _MISS, (), Drop.NOT_HERE),
    _punt_rule(Table.OTHER_LINE, _MISS, (), Drop.NO_LINE),
)
