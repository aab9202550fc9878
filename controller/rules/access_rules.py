"""Rules of a router's access side: admission, contracts, classes and policing of what sites send, and delivery to
sites.

These rules depend on the plan alone, not on the state of the network: paths change behind the groups
that the routes point at. Routing is that of RFC 4364: the source's VRF decides what can be seen, the
destination's VPN label travels under the transport label.
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
    first_of_each,
)
from helsewan.controller.openflow.label_stack import LINE_GROUPS
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
from helsewan.controller.rules.contracts import ContractRules, contract_rules, fragment_rules
from helsewan.controller.rules.ingress_filter import KNOWN_LINES, IngressFilter
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IP6, ip_version_of
from helsewan.controller.rules.mtu import mtu_rules
from helsewan.controller.rules.punt import PUNT_METER
from helsewan.controller.rules.ttl import popped
from helsewan.policies.plan import SHORTEST, Attachment, Plan, Route, TrafficClass, Vpn
from helsewan.topology.model import SITE_MTU, TRUNK_PORT, AccessLinkId, Site, router_mac

_BURST_US = 100_000  # a policer lets this much time's worth of its rate pass at once
_QUEUE_BITS = 4  # a meter's number: the line's VLAN, then the class's queue; it stays the same under another policy
_BURST_MIN_KBIT = 24  # but never less than two full-sized frames

_LOW, _MISS = 100, 0
_BEFORE = 300  # more than the priorities of any two routes are apart
_DIVERTED_LABEL = 5_000  # beyond all VPNs' labels, before the transport labels
KNOWN_RULES = 1 << 15  # that routers share


def line_group(line: Attachment) -> int:
    """The id of the group that leads out of a dual-homed site's line."""
    return LINE_GROUPS + line.vlan


def diverted(label: int) -> int:
    """A VPN's label on packets that could not leave at the router they were led to."""
    return label + _DIVERTED_LABEL


def ingress_group(egress: int) -> int:
    """The id of the group that leads from this router to an egress set (by index)."""
    return 1 + egress


def access_rules(plan: Plan) -> dict[str, RuleSet]:
    """Everything each router needs for its own sites."""
    vrf = {vpn.name: tuple(map(_one, _vrf(plan, vpn))) for vpn in plan.vpns}
    shared = _Shared(plan, contract_rules(plan), vrf, _from_afar(plan, plan.routes))
    return {router.id: _AccessRules(plan, router.id, shared).rules() for router in plan.network.routers}


def turned_routes(plan: Plan, down: Collection[AccessLinkId]) -> dict[str, RuleSet]:
    """By router, the routes to dual-homed sites that lost one of their lines and were reached over it: now to the
    router of the other alone. They come before the plan's own routes."""
    routes = tuple(
        Route(role.vpn, prefix, plan.egress_index[(site.homing[not lost],), False, SHORTEST])
        for site, lost in ((plan.network.site[name], lost) for name, lost in sorted(down))
        for role in (plan.role_of_site[site.id],)
        if (site.id, not lost) not in down and (lost == 0 or plan.vpn[role.vpn].both_access_links)
        for prefix in site.prefixes
    )
    if not routes:
        return {}
    from_afar = _from_afar(plan, routes, _BEFORE)
    edges = (_AccessRules(plan, router.id, _Shared(plan, (), {}, ())) for router in plan.network.routers)
    return {edge.router: RuleSet(flows=tuple(edge.route(routes, from_afar))) for edge in edges}


@dataclass(frozen=True)
class _Shared:
    """Rules that are the same on every router that has them: of each contract, of each VPN's VRF, and of each
    route of the plan from afar."""

    plan: Plan
    contracts: tuple[ContractRules, ...]
    vrf: dict[str, tuple[FlowRule, ...]]
    routes: tuple[tuple[FlowRule, ...], ...]


@dataclass(frozen=True)
class _AccessRules:
    """One router's access side."""

    plan: Plan
    router: str
    shared: _Shared

    def rules(self) -> RuleSet:
        """All entries, in pipeline order."""
        flows = (
            *IngressFilter(self.plan, self.router, self.lines).rules(),
            *(rule for vpn in self.vpns for rule in self.shared.vrf[vpn.name]),
            *self.contract(),
            *self.police(),
            *self.route(self.plan.routes, self.shared.routes),
            *self.vpn(),
            *self.deliver(),
            *self.other_line(),
            *_MISSES,
        )
        policers = (meter for _, _, meter in self.policers)
        return RuleSet((*policers, PUNT_METER), tuple(self.line_groups()), first_of_each(flows))

    @cached_property
    def mac(self) -> str:
        """The router's own MAC address."""
        return router_mac(self.plan.network.router[self.router])

    @cached_property
    def lines(self) -> tuple[tuple[int, Attachment], ...]:
        """This router's access lines with their index in the plan."""
        return tuple((i, line) for i, line in enumerate(self.plan.attachments) if line.router == self.router)

    @cached_property
    def vpns(self) -> tuple[Vpn, ...]:
        """The VPNs that have a line here."""
        present = {line.vpn for _, line in self.lines}
        return tuple(vpn for vpn in self.plan.vpns if vpn.name in present)

    @cached_property
    def roles(self) -> frozenset[int]:
        """The roles that have a line here."""
        return frozenset(line.role for _, line in self.lines)

    def contract(self) -> Iterator[FlowRule]:
        """What the roles here may open, and how they may answer."""
        yield from fragment_rules()
        for rules in self.shared.contracts:
            if rules.client in self.roles:
                yield from rules.opening
            if rules.server in self.roles:
                yield from rules.replies

    @cached_property
    def policers(self) -> tuple[tuple[Attachment, int, MeterRule], ...]:
        """(line, code point, meter) of every policed class of every line."""
        policed = [(line, self.plan.traffic_class[name], rate) for _, line in self.lines for name, rate in line.police]
        return tuple(
            (line, cls.dscp, _meter(line.vlan << _QUEUE_BITS | cls.queue, rate)) for line, cls, rate in policed
        )

    def police(self) -> Iterator[FlowRule]:
        """Each class of each line held to its rate, where it has one."""
        for line, dscp, meter in self.policers:
            match: Match = (("metadata", CLASS.of(dscp)), ("vlan_vid", line.vlan | VLAN_PRESENT))
            yield FlowRule(
                Table.POLICE, _LOW, match, goto=Table.ROUTE, meter=meter.id, cookie=cookie(Purpose.PASS, meter.id)
            )

    def route(self, routes: Iterable[Route], from_afar: Iterable[tuple[FlowRule, ...]]) -> Iterator[FlowRule]:
        """Where a destination is: behind this router, or behind an egress set's group, labelled."""
        wanted = {other.name for vpn in self.vpns for other in self.plan.imports_from(vpn)}
        for route, afar in zip(routes, from_afar, strict=True):
            if route.vpn not in wanted:
                continue
            if self.plan.egresses[route.egress].routers[0] == self.router:
                yield _one(replace(afar[0], actions=(PopVlan(),), goto=Table.DELIVER))
            else:
                yield from afar

    def vpn(self) -> Iterator[FlowRule]:
        """What arrived from the core, by its VPN label."""
        for vpn in self.vpns:
            for label, family in ((vpn.label, IP4), (vpn.label6, IP6)):
                match = _to_label(label)
                pop, found = popped(family.eth_type), DESTINATION_VPN.of(vpn.id)
                yield FlowRule(Table.VPN, _LOW, match, pop, Table.DELIVER, found, cookie=cookie(Purpose.PASS))
                if self.own_ports:
                    match, found = _to_label(diverted(label)), joined(found, DIVERTED.of(1))
                    yield FlowRule(Table.VPN, _LOW, match, pop, Table.DELIVER, found, cookie=cookie(Purpose.PASS))

    def deliver(self) -> Iterator[FlowRule]:
        """Out to the sites. The port of entry is forgotten first: from line to line is out where it came in."""
        for index, line in self.lines:
            site = self.plan.network.site[line.site]
            mtu_bytes = site.accesses[line.backup].mtu_bytes
            forget = Load("in_port_nxm", 0, 16)
            actions: tuple[Action, ...] = (DecTtl(), forget, Group(line_group(line)))
            if line.number not in self.own_ports:
                tag = PushVlan(), SetField("vlan_vid", line.vlan | VLAN_PRESENT)
                actions = (DecTtl(), *self.addressed(site), *tag, forget, Output(TRUNK_PORT))
            vpn, own = self.plan.vpn[line.vpn].id, cookie(Purpose.LINE, index)
            yield from _delivered(site, actions, mtu_bytes, vpn, own)

    def addressed(self, site: Site) -> tuple[Action, ...]:
        """From this router to a site."""
        return SetField("eth_src", self.mac), SetField("eth_dst", site.mac)

    @cached_property
    def own_ports(self) -> dict[AccessLinkId, int]:
        """The ports of lines that are not on the trunk: those of dual-homed sites."""
        return self.plan.network.access_link_ports[self.router]

    def line_groups(self) -> Iterator[GroupRule]:
        """Out to a dual-homed site while its line here is up, else on to the router of its other line."""
        for _, line in self.lines:
            if port := self.own_ports.get(line.number):
                out = Bucket(port, (*self.addressed(self.plan.network.site[line.site]), Output(port)))
                yield GroupRule(line_group(line), (out, Bucket(TRUNK_PORT, (Resubmit(Table.OTHER_LINE),))))

    def other_line(self) -> Iterator[FlowRule]:
        """What cannot leave on a dual-homed site's line here goes to the router of its other one, under a label that
        says so: it does not come back if that line is down, too."""
        for _, line in self.lines:
            if line.number not in self.own_ports:
                continue
            site, vpn = self.plan.network.site[line.site], self.plan.vpn[line.vpn]
            egress = self.plan.egress_index[(site.homing[not line.backup],), False, SHORTEST]
            undiverted = joined(DESTINATION_VPN.of(vpn.id), DIVERTED.of(0))
            for label, family, prefix in zip((vpn.label, vpn.label6), FAMILIES, site.prefixes, strict=True):
                to: Match = (("metadata", undiverted), *family.is_to(prefix))
                onward = onto_labels(diverted(label), egress)
                yield FlowRule(Table.OTHER_LINE, _LOW, to, onward, cookie=cookie(Purpose.ROUTE, egress))


@lru_cache(maxsize=KNOWN_LINES)
def _delivered(site: Site, actions: tuple[Action, ...], mtu_bytes: int, vpn: int, own: int) -> tuple[FlowRule, ...]:
    """Out to a site by ``actions``."""
    there: Match = (("metadata", DESTINATION_VPN.of(vpn)),)
    rules: list[FlowRule] = []
    for family, prefix in zip(FAMILIES, site.prefixes, strict=True):
        to = (*there, *family.is_to(prefix))
        out = FlowRule(Table.DELIVER, _LOW + prefix.prefixlen, to, actions, cookie=own)
        rules += mtu_rules(out, mtu_bytes) if mtu_bytes < SITE_MTU else (out,)
    return tuple(rules)


@lru_cache(maxsize=KNOWN_RULES)
def _one(rule: FlowRule) -> FlowRule:
    """Equal rules as one object, which is compared with itself at once."""
    return rule


def _vrf(plan: Plan, vpn: Vpn) -> Iterator[FlowRule]:
    """Who a packet is for, among all that its source's VPN imports: the destination's role and VPN."""
    visible = {other.name: other for other in plan.imports_from(vpn)}
    for role in plan.roles:
        if role.vpn not in visible:
            continue
        found = joined(DESTINATION_ROLE.of(role.id), DESTINATION_VPN.of(visible[role.vpn].id))
        for prefix in role.prefixes:
            to: Match = (("metadata", VRF.of(vpn.id)), *ip_version_of(prefix).is_to(prefix))
            priority = _LOW + prefix.prefixlen
            yield FlowRule(Table.VRF, priority, to, (), Table.CONTRACT, found, cookie=cookie(Purpose.PASS))


def _from_afar(plan: Plan, routes: Iterable[Route], above: int = 0) -> tuple[tuple[FlowRule, ...], ...]:
    """Every route as routers that are not the first of its egress set have it: a rule for all packets, and before it
    one for each class that goes by other paths. ``above`` raises their priority."""
    apart = [cls for cls in plan.classes if cls.path != SHORTEST]

    def afar(route: Route, cls: TrafficClass | None) -> FlowRule:
        vpn, main = plan.vpn[route.vpn], plan.egresses[route.egress]
        egress = plan.egress_index[main.routers, main.both, cls.path] if cls else route.egress
        family, towards = ip_version_of(route.prefix), DESTINATION_VPN.of(vpn.id)
        to: Match = (
            ("metadata", joined(towards, CLASS.of(cls.dscp)) if cls else towards),
            ("vlan_vid", (VLAN_PRESENT, VLAN_PRESENT)),  # a tag can be taken off only where there is one
            *family.is_to(route.prefix),
        )
        priority, number = above + _LOW + 2 * route.prefix.prefixlen + (cls is not None), cookie(Purpose.ROUTE, egress)
        label = vpn.label if family is IP4 else vpn.label6
        actions = (PopVlan(), DecTtl(), *onto_labels(label, egress))
        return FlowRule(Table.ROUTE, priority, to, actions, cookie=number)

    return tuple(tuple(_one(afar(route, cls)) for cls in (None, *apart)) for route in routes)


def _to_label(label: int) -> Match:
    """Matches the last label."""
    return ("eth_type", MPLS), ("mpls_label", label), ("mpls_bos", 1)


def onto_labels(label: int, egress: int) -> tuple[Action, ...]:
    """On the way to an egress set: the VPN's label with the packet's class, then the group's transport label."""
    return (
        Move("ip_dscp", "reg0", 3, source_offset=3),
        PushMpls(),
        SetField("mpls_label", label),
        Move("reg0", "mpls_tc", 3),
        Group(ingress_group(egress)),
    )


def _meter(number: int, rate_bps: int) -> MeterRule:
    """A policer's meter; rates are rounded up to whole kbit/s."""
    rate_kbps = -(-rate_bps // 1000)
    return MeterRule(number, rate_kbps, max(_BURST_MIN_KBIT, rate_kbps * _BURST_US // 1_000_000))


def _told(table: Table, priority: int, match: Match, reason: Drop) -> FlowRule:
    """A rule that counts what goes no further, and has its sender told."""
    return FlowRule(table, priority, match, (Output(CONTROLLER),), cookie=cookie(Purpose.DROP, reason))


_MISSES = (
    drop_rule(Table.ADMIT, _MISS, (), Drop.NOT_LABELLED),
    _told(Table.VRF, _MISS, (), Drop.NO_ROUTE),
    drop_rule(Table.CONTRACT, _MISS, (), Drop.NO_CONTRACT),
    FlowRule(Table.POLICE, _MISS, (), goto=Table.ROUTE, cookie=cookie(Purpose.PASS)),
    _told(Table.ROUTE, _MISS, (), Drop.NO_PATH),
    drop_rule(Table.CORE, _MISS, (), Drop.NO_LABEL),
    drop_rule(Table.VPN, _MISS, (), Drop.NO_VPN),
    drop_rule(Table.DELIVER, _MISS, (), Drop.NOT_HERE),
    _told(Table.OTHER_LINE, _MISS, (), Drop.NO_LINE),
)
