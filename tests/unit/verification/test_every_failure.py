"""Every single failure of the national network, proved in the interpreter: what is connected is delivered, to its own
site, and nothing goes round in circles; before the controller has noticed and after it has.

Three steps make the proof, each exhaustive:

1. At the edge. A packet of either IP version that no contract allows ends at its first router and asks no group, so no
   failure matters to it. One that is allowed is delivered there, or handed to the group of its destination's egress set
   under the label of its destination's VPN for that version.
2. Through the core. What routers do with labelled packets hangs on the transport label alone, so one packet stands for
   all from a router to an egress set, whatever is beneath: it is followed from every router to every egress set under
   every failure.
3. At the far edge. Where the transport label ends, VPN label and address lead to the destination's own line, in either
   version; where that line is down, to the destination's other line.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from national_headers import (
    Header,
    address,
    fabric_of,
    headers,
    intact,
    is_allowed,
    is_visible,
    label_of,
    plan,
    whole,
)
from walks import Outcome, Steps, Walks

from helsewan.controller.openflow.entries import Table
from helsewan.controller.openflow.pipeline import BUCKET, DESTINATION_VPN, PIPELINE, VLAN_PRESENT, Drop
from helsewan.controller.rules.access_rules import access_link_group, failover_routes, ingress_group
from helsewan.controller.rules.ip_version import FAMILIES, IP4, IpVersion, masked
from helsewan.controller.rules.paths import Failures
from helsewan.policies.plan import SHORTEST, Attachment, Egress, Vpn
from helsewan.topology.model import TRUNK_PORT, Site
from helsewan.verification.concrete.fabric import End, Fabric
from helsewan.verification.concrete.packet import Label, Packet, number
from helsewan.verification.concrete.switch import Choice, Visit
from helsewan.verification.failures import components, single_failures

CORE_TTL = 64


@pytest.fixture(scope="module", autouse=True)
def _no_search_for_garbage() -> Iterator[None]:
    """Millions of small values and no cycle among them: looking for cycles would take as long as the proof."""
    gc.disable()
    yield
    gc.enable()


# 1. At the edge.


def sent(line: Attachment, destination: Site, header: Header, fabric: Fabric | None = None) -> Visit:
    """What the first router makes of a packet."""
    family, source = header.family, plan().network.site[line.site]
    ends = {family.source: address(source, family), family.destination: address(destination, family)}
    own = plan().network.access_link_ports[line.router].get(line.number)
    packet = Packet.of(
        eth_type=family.eth_type,
        **({} if own else {"vlan_vid": line.vlan | VLAN_PRESENT}),
        nw_ttl=CORE_TTL,
        ip_dscp=0,
        ip_frag=0,
        **ends,
        **dict(header.fields),
    )
    return (fabric or whole()).switches[line.router].receive(packet, own or TRUNK_PORT)


def check_edge(line: Attachment, destination: Site, header: Header) -> None:
    """Step 1 for one packet."""
    source = plan().network.site[line.site]
    visit = sent(line, destination, header)
    shown = line.router, source.id, destination.id, header
    if not (is_allowed(source, destination, header) and is_visible(source, destination)):
        expected = Drop.NO_CONTRACT if is_visible(source, destination) else Drop.NO_ROUTE
        assert not visit.choices and visit.reason is expected, shown
        return
    if destination.homing[0] == line.router:
        ((port, packet),) = visit.outputs
        assert whole().site_behind(line.router, port, packet) == destination.id, shown
        return
    assert handed_to(visit, destination, destination.homing, header.family), shown


def handed_to(visit: Visit, destination: Site, homing: tuple[str, ...], family: IpVersion) -> bool:
    """Whether a packet was handed to the group of an egress set, as what it is."""
    (choice,) = visit.choices
    vpn = plan().vpn[plan().role_of_site[destination.id].vpn]
    path = next(cls.path for cls in plan().classes if choice.packet.fields["ip_dscp"] in cls.dscps)
    return (
        choice.group.id == ingress_group(plan().egress_index[homing, False, path])
        and [label.label for label in choice.packet.labels] == [label_of(vpn, family)]
        and choice.packet.fields[family.destination] == number(address(destination, family))
    )


@cache
def sources() -> tuple[Attachment, ...]:
    """An access line for every router and role."""
    return tuple({(line.router, line.role): line for line in plan().attachments}.values())


@cache
def destinations() -> tuple[Site, ...]:
    """A site for every egress set and role."""
    found = {(site.homing, plan().role_of_site[site.id].id): site for site in plan().network.sites}
    return tuple(found.values())


def test_every_service_between_all_roles_keeps_to_the_contracts() -> None:
    lines = {line.role: line for line in plan().attachments}.values()
    sites = {plan().role_of_site[site.id].id: site for site in plan().network.sites}.values()
    verdicts = set()
    for line, site, header in product(lines, sites, headers()):
        if line.site != site.id:
            check_edge(line, site, header)
            verdicts.add(is_allowed(plan().network.site[line.site], site, header))
    assert verdicts == {True, False}


def test_every_router_leads_all_its_roles_to_every_egress_set() -> None:
    """What is allowed and what is not, one header each."""
    for line, site in product(sources(), destinations()):
        if line.site != site.id:
            source = plan().network.site[line.site]
            told_apart = {(is_allowed(source, site, header), header.family): header for header in headers()}
            for header in told_apart.values():
                check_edge(line, site, header)


# 2. Through the core.


@cache
def example(egress: int, vpn: str) -> Site | None:
    """A site of a VPN behind an egress set."""
    routers = plan().egresses[egress].routers
    sites = (plan().network.site[site] for site in plan().vpn[vpn].sites)
    return next((site for site in sites if site.homing == routers), None)


@cache
def handed() -> tuple[tuple[str, Egress, Site, Choice], ...]:
    """A packet handed to the group of every egress set at every router that does not reach the set's sites itself."""
    first = {egress.index: next(filter(None, (example(egress.index, vpn.name) for vpn in plan().vpns)), None)
             for egress in plan().egresses}  # fmt: skip
    found = []
    for router, egress in product(whole().switches, plan().egresses):
        site = first[egress.index]
        if site is not None and egress.routers[0] != router:
            group = whole().switches[router].groups[ingress_group(egress.index)]
            found.append((router, egress, site, Choice(group, _labelled(site), {"metadata": 0}, None)))
    return tuple(found)


def _labelled(site: Site, family: IpVersion = IP4) -> Packet:
    label = Label(label_of(plan().vpn[plan().role_of_site[site.id].vpn], family), 0, CORE_TTL)
    about = {"eth_type": family.eth_type, "eth_src": 1, "eth_dst": 2, "nw_ttl": CORE_TTL}
    return Packet.of(label, **about, **{family.destination: address(site, family)})


def ways(fabric: Fabric, steps: Steps) -> Iterator[tuple[str, Egress, Site, Outcome]]:
    """How the way of every packet that a living router is handed ends."""
    walks = Walks(fabric, steps)
    for router, egress, site, choice in handed():
        if router not in fabric.failures.routers:
            yield router, egress, site, walks.of(router, choice)


def check_core(failed: Failures, ways: Iterable[tuple[str, Egress, Site, Outcome]]) -> None:
    """Step 2 for one state of the network."""
    part_of = components(plan().network, failed)
    reachable = {
        egress.index: {part_of[router] for router in egress.routers if router in part_of} for egress in plan().egresses
    }
    for router, egress, site, outcome in ways:
        shown = failed, router, egress, outcome
        assert outcome.end is not End.LOOPED and outcome.hops < CORE_TTL, shown
        if part_of[router] in reachable[egress.index]:
            assert outcome.end is End.DELIVERED and outcome.site == site.id, shown
            assert outcome.router in set(egress.routers) - failed.routers, shown
        else:
            assert outcome.end in (End.DROPPED, End.LOST), shown


def failures() -> tuple[Failures, ...]:
    """Every link, every router, every PoP, every shared-risk group; of the same only one."""
    return tuple(dict.fromkeys(failed for _, failed in single_failures(plan().network)))


def test_core_looks_at_nothing_but_the_transport_label() -> None:
    """And a group leads to no table that looks at more, but where the label ends and at a site's line."""
    assert PIPELINE[Table.CORE].match == {"eth_type", "mpls_label"}
    assert BUCKET.leads_to == {Table.VPN, Table.OTHER_LINE}


def test_every_failure_is_repaired_where_it_happens() -> None:
    """The controller has not noticed: rules of the whole network, and ports that are down. A way on which nothing is
    down is the same as ever."""
    steps = Steps()
    calm = tuple(ways(whole(), steps))
    check_core(Failures(), calm)
    for failed in failures():
        fabric = replace(whole(), failures=failed)
        troubled = failed.routers | {router for router, ports in fabric.ports_down.items() if ports}
        walks = Walks(fabric, steps)
        check_core(
            failed,
            (
                (router, egress, site, outcome if outcome.met.isdisjoint(troubled) else walks.of(router, choice))
                for (router, egress, site, outcome), (*_, choice) in zip(calm, handed(), strict=True)
                if router not in failed.routers
            ),
        )


@pytest.mark.exhaustive
def test_every_failure_is_survived_once_the_controller_knows() -> None:
    """Rules for the network that is left."""
    steps = Steps()
    for failed in failures():
        check_core(failed, ways(fabric_of(intact().with_paths(failed)), steps))


# 3. At the far edge.


def arriving(router: str, site: Site, vpn: Vpn, family: IpVersion) -> Visit | None:
    """What a router makes of a packet that arrives for a site, under a VPN's label; None where no way ends."""
    switch = whole().switches[router]
    ending = (dict(rule.match)["mpls_label"] for rule in switch.tables[Table.CORE].rules if rule.goto is Table.VPN)
    transport = next((label for label in ending if isinstance(label, int)), None)
    if transport is None:
        return None
    labels = Label(transport, 0, CORE_TTL), Label(label_of(vpn, family), 0, CORE_TTL)
    port = min(plan().network.ports[router].values())
    return switch.receive(replace(_labelled(site, family), labels=labels), port)


def test_where_the_transport_label_ends_every_site_gets_its_own() -> None:
    for family, site in product(FAMILIES, plan().network.sites):
        for access in site.accesses:
            visit = arriving(access.router, site, plan().vpn[plan().role_of_site[site.id].vpn], family)
            assert visit is not None, site.id
            ((port, packet),) = visit.outputs
            assert whole().site_behind(access.router, port, packet) == site.id
            assert packet.fields["eth_dst"] == int(site.mac.replace(":", ""), 16) and not packet.labels


def test_a_site_that_is_not_here_is_delivered_nowhere() -> None:
    """Not even if its packet is misled: another VPN's label, or another router."""
    strays = 0
    for family, router, site, vpn in product(FAMILIES, plan().network.router, destinations(), plan().vpns):
        visit = arriving(router, site, vpn, family)
        if visit is not None and not (router in site.homing and site.id in vpn.sites):
            assert visit.reason in (Drop.NO_VPN, Drop.NOT_HERE), (router, site.id, vpn.name)
            strays += 1
    assert strays


# 4. Access lines of dual-homed sites.


@cache
def dual_homed() -> tuple[Site, ...]:
    """The sites that have two lines."""
    return tuple(site for site in plan().network.sites if len(site.accesses) > 1)


def to_line(site: Site, router: str, family: IpVersion) -> Choice:
    """A packet for a dual-homed site as a router hands it to the group that leads there: of its line, or of its
    egress set."""
    groups, vpn = whole().switches[router].groups, plan().vpn[plan().role_of_site[site.id].vpn]
    if router != site.homing[0]:
        egress = plan().egress_to(site.id, SHORTEST)
        return Choice(groups[ingress_group(egress)], _labelled(site, family), {"metadata": 0}, None)
    line = next(line for line in plan().attachments if line.number == (site.id, 0))
    arrived, (vpn_id, _) = replace(_labelled(site, family), labels=()), DESTINATION_VPN.of(vpn.id)
    return Choice(groups[access_link_group(line)], arrived, {"metadata": vpn_id}, None)


def test_a_line_that_is_down_is_gone_round_where_it_ends() -> None:
    """The controller has not noticed: the line's router passes on what it cannot deliver."""
    steps = Steps()
    for site, lost, family in product(dual_homed(), (0, 1), FAMILIES):
        walks = Walks(replace(whole(), failures=Failures(access_links=frozenset({(site.id, lost)}))), steps)
        for router in plan().network.router:
            outcome = walks.of(router, to_line(site, router, family))
            assert (outcome.end, outcome.site) == (End.DELIVERED, site.id), (site.id, lost, family, router, outcome)
            assert outcome.router == site.homing[lost == 0], (site.id, lost, family, router, outcome)


def test_what_has_no_line_left_is_not_sent_to_and_fro() -> None:
    steps = Steps()
    for site, family in product(dual_homed(), FAMILIES):
        walks = Walks(replace(whole(), failures=Failures(access_links=frozenset({(site.id, 0), (site.id, 1)}))), steps)
        for router in plan().network.router:
            outcome = walks.of(router, to_line(site, router, family))
            assert (outcome.end, outcome.router) == (End.DROPPED, site.homing[1]), (site.id, router, outcome)


def test_once_the_controller_knows_all_routers_turn_to_the_line_that_is_left() -> None:
    """Of what goes to other sites nothing changes: the rules are the same but for those for this site's addresses."""
    checked = 0
    for site in dual_homed():
        turned = failover_routes(plan(), {(site.id, 0)})
        for rule in (rule for rules in turned.values() for rule in rules.flows):
            addresses = [value for name, value in rule.match if name in ("ipv4_dst", "ipv6_dst")]
            assert addresses in [[masked(prefix)] for prefix in site.prefixes], rule
        fabric = replace(whole(), switches={name: whole().switches[name].having(each) for name, each in turned.items()})
        for line in sources():
            source = plan().network.site[line.site]
            opens = [header for header in headers() if is_allowed(source, site, header)]
            if line.site == site.id or not opens or not is_visible(source, site):
                continue
            visit, backup = sent(line, site, opens[0], fabric), site.homing[1:]
            if (line.router,) == backup:
                ((port, packet),) = visit.outputs
                assert fabric.site_behind(line.router, port, packet) == site.id
            else:
                assert handed_to(visit, site, backup, opens[0].family), (line.router, site.id)
            checked += 1
    assert checked
