"""A router's access side as rules: who may send, to whom, what, in which class, how much; and delivery.

These rules depend on the plan alone, not on the state of the network: paths change behind the groups
that the routes point at. Routing is that of RFC 4364: the source's VRF decides what can be seen, the
destination's VPN label travels under the transport label.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Network

from controller.contracts import ECHO_REPLY, ECHO_REQUEST, ContractRules, contract_rules, fragment_rule
from controller.fit import fitted
from controller.pipeline import (
    ARP,
    DESTINATION_ROLE,
    DESTINATION_VPN,
    IPV4,
    IPV6,
    MPLS,
    SOURCE_ROLE,
    VLAN_PRESENT,
    VRF,
    Drop,
    Purpose,
    cookie,
    joined,
)
from controller.punt import PUNT_METER
from controller.rules import (
    CONTROLLER,
    IN_PORT,
    Action,
    DecTtl,
    FlowRule,
    Group,
    Load,
    Match,
    MeterRule,
    Move,
    Output,
    PopVlan,
    PushMpls,
    PushVlan,
    RuleSet,
    SetField,
    Table,
    Value,
    first_of_each,
)
from controller.ttl import popped
from policies.plan import Attachment, PathChoice, Plan, Route, TrafficClass, Vpn
from topology.model import SITE_MTU, TRUNK_PORT, router_mac

_BURST_US = 100_000  # a policer lets this much time's worth of its rate pass at once
_BURST_MIN_KBIT = 24  # but never less than two full-sized frames

_TOP, _HIGH, _MIDDLE, _LOW, _MISS = 400, 300, 200, 100, 0


def ingress_group(egress: int) -> int:
    """The id of the group that leads from this router to an egress set (by index)."""
    return 1 + egress


def edge_rules(plan: Plan) -> dict[str, RuleSet]:
    """Everything each router needs for its own sites."""
    shared = _Shared(plan, contract_rules(plan), {vpn.name: tuple(_vrf(plan, vpn)) for vpn in plan.vpns}, _routes(plan))
    return {router.id: _Edge(plan, router.id, shared).rules() for router in plan.network.routers}


@dataclass(frozen=True)
class _Shared:
    """Rules that are the same on every router that has them: of each contract, of each VPN's VRF, and of each
    route of the plan from afar."""

    plan: Plan
    contracts: tuple[ContractRules, ...]
    vrf: dict[str, tuple[FlowRule, ...]]
    routes: tuple[tuple[FlowRule, ...], ...]


@dataclass(frozen=True)
class _Edge:
    """One router's access side."""

    plan: Plan
    router: str
    shared: _Shared

    def rules(self) -> RuleSet:
        """All entries, in pipeline order."""
        flows = (
            *self.admit(),
            *(rule for vpn in self.vpns for rule in self.shared.vrf[vpn.name]),
            *self.contract(),
            *self.police(),
            *self.route(),
            *self.vpn(),
            *self.deliver(),
            *_MISSES,
        )
        policers = (meter for _, _, meter in self.policers)
        return RuleSet(meters=(*policers, PUNT_METER), flows=first_of_each(flows))

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

    def admit(self) -> Iterator[FlowRule]:
        """Only what a site's own addresses send; the gateway answers ARP and ping in the switch itself."""
        for index, line in self.lines:
            site = self.plan.network.site[line.site]
            gateway, prefix = str(site.gateway4), _masked(site.prefix4)
            where: Match = (("in_port", TRUNK_PORT), ("vlan_vid", line.vlan | VLAN_PRESENT))
            ip: Match = (*where, ("eth_type", IPV4))
            own = cookie(Purpose.LINE, index)
            arp: Match = (("eth_type", ARP), ("arp_op", 1), ("arp_spa", prefix), ("arp_tpa", gateway))
            yield FlowRule(Table.ADMIT, _TOP, (*where, *arp), self.arp_reply(gateway), cookie=own)
            ping: Match = (("ipv4_src", prefix), ("ipv4_dst", gateway), ("ip_proto", 1), ("icmpv4_type", ECHO_REQUEST))
            yield FlowRule(Table.ADMIT, _TOP, (*ip, *ping), self.ping_reply(gateway), cookie=own)
            identity = joined(VRF.of(self.plan.vpn[line.vpn].id), SOURCE_ROLE.of(line.role))
            known: Match = (*ip, ("ipv4_src", prefix))
            yield FlowRule(Table.ADMIT, _HIGH, known, goto=Table.VRF, metadata=identity, cookie=own)
            yield _drop(Table.ADMIT, _MIDDLE, ip, Drop.SPOOFED)
            yield _drop(Table.ADMIT, _MIDDLE, (*where, ("eth_type", IPV6)), Drop.IPV6)
            yield _drop(Table.ADMIT, _LOW + 1, where, Drop.NOT_IPV4)
        yield _drop(Table.ADMIT, _LOW, (("in_port", TRUNK_PORT),), Drop.UNKNOWN_LINE)
        for port in sorted(self.plan.network.ports[self.router].values()):
            labelled: Match = (("in_port", port), ("eth_type", MPLS))
            yield FlowRule(Table.ADMIT, _HIGH, labelled, goto=Table.CORE, cookie=cookie(Purpose.PASS))

    def arp_reply(self, gateway: str) -> tuple[Action, ...]:
        """Turns a request for the gateway into the answer (RFC 826)."""
        return (
            *self.turned_round(),
            SetField("arp_op", 2),
            Move("arp_sha", "arp_tha", 48),
            SetField("arp_sha", self.mac),
            Move("arp_spa", "arp_tpa", 32),
            SetField("arp_spa", gateway),
            Output(IN_PORT),
        )

    def ping_reply(self, gateway: str) -> tuple[Action, ...]:
        """Turns an echo request to the gateway into the answer (RFC 792)."""
        return (
            *self.turned_round(),
            Move("ipv4_src", "ipv4_dst", 32),
            SetField("ipv4_src", gateway),
            SetField("icmpv4_type", ECHO_REPLY),
            Output(IN_PORT),
        )

    def turned_round(self) -> tuple[Action, ...]:
        """Back to the sender, from this router."""
        return Move("eth_src", "eth_dst", 48), SetField("eth_src", self.mac)

    def contract(self) -> Iterator[FlowRule]:
        """What the roles here may open, and how they may answer."""
        yield fragment_rule()
        for rules in self.shared.contracts:
            if rules.client in self.roles:
                yield from rules.opening
            if rules.server in self.roles:
                yield from rules.replies

    @cached_property
    def policers(self) -> tuple[tuple[Attachment, int, MeterRule], ...]:
        """(line, code point, meter) of every policed class of every line, meters numbered from 1."""
        policed = [(line, name, rate) for _, line in self.lines for name, rate in line.police]
        return tuple(
            (line, self.plan.traffic_class[name].dscp, _meter(number, rate))
            for number, (line, name, rate) in enumerate(policed, start=1)
        )

    def police(self) -> Iterator[FlowRule]:
        """Each class of each line held to its rate, where it has one."""
        for line, dscp, meter in self.policers:
            match: Match = (("vlan_vid", line.vlan | VLAN_PRESENT), ("eth_type", IPV4), ("ip_dscp", dscp))
            yield FlowRule(
                Table.POLICE, _LOW, match, goto=Table.ROUTE, meter=meter.id, cookie=cookie(Purpose.PASS, meter.id)
            )

    def route(self) -> Iterator[FlowRule]:
        """Where a destination is: behind this router, or behind an egress set's group, labelled."""
        wanted = {other.name for vpn in self.vpns for other in self.plan.imports_from(vpn)}
        for route, afar in zip(self.plan.routes, self.shared.routes, strict=True):
            if route.vpn not in wanted:
                continue
            if self.plan.egresses[route.egress].routers[0] == self.router:
                yield replace(afar[0], actions=(PopVlan(),), goto=Table.DELIVER)
            else:
                yield from afar

    def vpn(self) -> Iterator[FlowRule]:
        """What arrived from the core, by its VPN label."""
        for vpn in self.vpns:
            match: Match = (("eth_type", MPLS), ("mpls_label", vpn.label), ("mpls_bos", 1))
            yield FlowRule(
                Table.VPN,
                _LOW,
                match,
                popped(IPV4),
                Table.DELIVER,
                DESTINATION_VPN.of(vpn.id),
                cookie=cookie(Purpose.PASS),
            )

    def deliver(self) -> Iterator[FlowRule]:
        """Out to the site. The port of entry is forgotten first: from line to line is out where it came in."""
        for index, line in self.lines:
            site = self.plan.network.site[line.site]
            mtu_bytes = site.accesses[line.backup].mtu_bytes
            to: Match = (
                ("metadata", DESTINATION_VPN.of(self.plan.vpn[line.vpn].id)),
                ("eth_type", IPV4),
                ("ipv4_dst", _masked(site.prefix4)),
            )
            actions = (
                DecTtl(),
                SetField("eth_src", self.mac),
                SetField("eth_dst", site.mac),
                PushVlan(),
                SetField("vlan_vid", line.vlan | VLAN_PRESENT),
                Load("in_port_nxm", 0, 16),
                Output(TRUNK_PORT),
            )
            priority = _LOW + site.prefix4.prefixlen
            out = FlowRule(Table.DELIVER, priority, to, actions, cookie=cookie(Purpose.LINE, index))
            yield from fitted(out, mtu_bytes) if mtu_bytes < SITE_MTU else (out,)


def _vrf(plan: Plan, vpn: Vpn) -> Iterator[FlowRule]:
    """Who a packet is for, among all that its source's VPN imports: the destination's role and VPN."""
    visible = {other.name: other for other in plan.imports_from(vpn)}
    for role in plan.roles:
        if role.vpn not in visible:
            continue
        found = joined(DESTINATION_ROLE.of(role.id), DESTINATION_VPN.of(visible[role.vpn].id))
        for prefix in role.prefixes:
            to: Match = (("metadata", VRF.of(vpn.id)), ("eth_type", IPV4), ("ipv4_dst", _masked(prefix)))
            priority = _LOW + prefix.prefixlen
            yield FlowRule(Table.VRF, priority, to, (), Table.CONTRACT, found, cookie=cookie(Purpose.PASS))


def _routes(plan: Plan) -> tuple[tuple[FlowRule, ...], ...]:
    """Every route as routers that are not the first of its egress set have it: a rule for all packets, and before it
    one for each class that goes by other paths."""
    apart = [cls for cls in plan.classes if cls.path is not PathChoice.LEAST_DELAY]

    def afar(route: Route, cls: TrafficClass | None) -> FlowRule:
        vpn, homing = plan.vpn[route.vpn], plan.egresses[route.egress].routers
        egress = plan.egress_index[homing, cls.path] if cls else route.egress
        to: Match = (
            ("metadata", DESTINATION_VPN.of(vpn.id)),
            ("vlan_vid", (VLAN_PRESENT, VLAN_PRESENT)),  # a tag can be taken off only where there is one
            ("eth_type", IPV4),
            *((("ip_dscp", cls.dscp),) if cls else ()),
            ("ipv4_dst", _masked(route.prefix)),
        )
        priority, number = _LOW + 2 * route.prefix.prefixlen + (cls is not None), cookie(Purpose.ROUTE, egress)
        actions = (PopVlan(), DecTtl(), *onto_labels(vpn, egress))
        return FlowRule(Table.ROUTE, priority, to, actions, cookie=number)

    return tuple((afar(route, None), *(afar(route, cls) for cls in apart)) for route in plan.routes)


def onto_labels(vpn: Vpn, egress: int) -> tuple[Action, ...]:
    """On the way to an egress set: the VPN's label with the packet's class, then the group's transport label."""
    return (
        Move("ip_dscp", "reg0", 3, source_offset=3),
        PushMpls(),
        SetField("mpls_label", vpn.label),
        Move("reg0", "mpls_tc", 3),
        Group(ingress_group(egress)),
    )


def _meter(number: int, rate_bps: int) -> MeterRule:
    """A policer's meter; rates are rounded up to whole kbit/s."""
    rate_kbps = -(-rate_bps // 1000)
    return MeterRule(number, rate_kbps, max(_BURST_MIN_KBIT, rate_kbps * _BURST_US // 1_000_000))


def _drop(table: Table, priority: int, match: Match, reason: Drop) -> FlowRule:
    """A rule that drops and counts."""
    return FlowRule(table, priority, match, cookie=cookie(Purpose.DROP, reason))


def _told(table: Table, priority: int, match: Match, reason: Drop) -> FlowRule:
    """A rule that counts what goes no further, and has its sender told."""
    return FlowRule(table, priority, match, (Output(CONTROLLER),), cookie=cookie(Purpose.DROP, reason))


def _masked(prefix: IPv4Network) -> Value | tuple[Value, Value]:
    """A prefix as a match value."""
    address = str(prefix.network_address)
    return address if prefix.prefixlen == 32 else (address, str(prefix.netmask))


_MISSES = (
    _drop(Table.ADMIT, _MISS, (), Drop.NOT_LABELLED),
    _told(Table.VRF, _MISS, (), Drop.NO_ROUTE),
    _drop(Table.CONTRACT, _MISS, (), Drop.NO_CONTRACT),
    FlowRule(Table.POLICE, _MISS, (), goto=Table.ROUTE, cookie=cookie(Purpose.PASS)),
    _told(Table.ROUTE, _MISS, (), Drop.NO_PATH),
    _drop(Table.CORE, _MISS, (), Drop.NO_LABEL),
    _drop(Table.VPN, _MISS, (), Drop.NO_VPN),
    _drop(Table.DELIVER, _MISS, (), Drop.NOT_HERE),
)
