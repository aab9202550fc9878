"""Every single failure of the national network, proved in the interpreter: packets between connected sites are
delivered to their own site, and nothing loops; before the controller has noticed the failure and after.

Three steps make the proof, each exhaustive:

1. At the ingress router. A packet of either IP version that no contract allows ends there without using a group, so no
   failure matters to it. An allowed packet is delivered there, or given to the group of its destination's egress set
   under the label of its destination's VPN for that version.
2. Through the core. The treatment of labelled packets depends on the transport label alone, so one packet represents
   all from a router to an egress set: it is traced from every router to every egress set under every failure.
3. At the egress router. Where the transport label ends, VPN label and address select the destination's own access link,
   in either version; where that is down, the destination's other one.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
from batch_tracer import BatchTracer, Outcome, StepCache
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
def _no_garbage_collection() -> Iterator[None]:
    """Millions of small values without reference cycles: cycle collection would take as long as the proof."""
    gc.disable()
    yield
    gc.enable()


# 1. At the ingress router.


def sent(line: Attachment, destination: Site, header: Header, fabric: Fabric | None = None) -> Visit:
    """The result of the first router for a packet."""
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


def check_ingress(line: Attachment, destination: Site, header: Header) -> None:
    """Step 1 for one packet."""
    source = plan().network.site[line.site]
    visit = sent(line, destination, header)
    shown = line.router, source.id, destination.id, header
    if not (is_allowed(source, destination, header) and is_visible(source, destination)):
        expected = denied(header) if is_visible(source, destination) else Drop.NO_ROUTE
        assert not visit.choices and visit.reason is expected, shown
        return
    if destination.homing[0] == line.router:
        ((port, packet),) = visit.outputs
        assert whole().site_behind(line.router, port, packet) == destination.id, shown
        return
    assert given_to_group_of(visit, destination, destination.homing, header.family), shown


def denied(header: Header) -> Drop:
    """The reason for which a packet that no contract allows is dropped; errors go to the slow path (RFC 792, 4443)."""
    errors = (3, 11, 12) if header.family is IP4 else (1, 2, 3, 4)
    is_error = any((header.family.icmp_type, kind) in header.fields for kind in errors)
    return Drop.ICMP_ERROR if is_error else Drop.NO_CONTRACT


def given_to_group_of(visit: Visit, destination: Site, homing: tuple[str, ...], family: IpVersion) -> bool:
    """Whether a packet was given to the group of an egress set with the right label and destination."""
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
    """One access link for every router and role."""
    return tuple({(line.router, line.role): line for line in plan().attachments}.values())


@cache
def destinations() -> tuple[Site, ...]:
    """One site for every egress set and role."""
    found = {(site.homing, plan().role_of_site[site.id].id): site for site in plan().network.sites}
    return tuple(found.values())


def test_every_service_between_all_roles_conforms_to_the_contracts() -> None:
    lines = {line.role: line for line in plan().attachments}.values()
    sites = {plan().role_of_site[site.id].id: site for site in plan().network.sites}.values()
    verdicts = set()
    for line, site, header in product(lines, sites, headers()):
        if line.site != site.id:
            check_ingress(line, site, header)
            verdicts.add(is_allowed(plan().network.site[line.site], site, header))
    assert verdicts == {True, False}


def test_every_router_leads_all_its_roles_to_every_egress_set() -> None:
    """One header that is allowed and one that is not."""
    for line, site in product(sources(), destinations()):
        if line.site != site.id:
            source = plan().network.site[line.site]
            one_of_each = {(is_allowed(source, site, header), header.family): header for header in headers()}
            for header in one_of_each.values():
                check_ingress(line, site, header)


# 2. Through the core.


@cache
def example(egress: int, vpn: str) -> Site | None:
    """A site of a VPN at an egress set; None if there is none."""
    routers = plan().egresses[egress].routers
    sites = (plan().network.site[site] for site in plan().vpn[vpn].sites)
    return next((site for site in sites if site.homing == routers), None)


@cache
def group_inputs() -> tuple[tuple[str, Egress, Site, Choice], ...]:
    """A packet given to the group of every egress set, at every router that does not deliver to the set itself."""
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


def outcomes(fabric: Fabric, steps: StepCache) -> Iterator[tuple[str, Egress, Site, Outcome]]:
    """The outcome of every packet that a live router gives to a group."""
    tracer = BatchTracer(fabric, steps)
    for router, egress, site, choice in group_inputs():
        if router not in fabric.failures.routers:
            yield router, egress, site, tracer.of(router, choice)


def check_core(failed: Failures, outcomes: Iterable[tuple[str, Egress, Site, Outcome]]) -> None:
    """Step 2 for one state of the network."""
    part_of = components(plan().network, failed)
    reachable = {
        egress.index: {part_of[router] for router in egress.routers if router in part_of} for egress in plan().egresses
    }
    for router, egress, site, outcome in outcomes:
        shown = failed, router, egress, outcome
        assert outcome.end is not End.LOOPED and outcome.hops < CORE_TTL, shown
        if part_of[router] in reachable[egress.index]:
            assert outcome.end is End.DELIVERED and outcome.site == site.id, shown
            assert outcome.router in set(egress.routers) - failed.routers, shown
        else:
            assert outcome.end in (End.DROPPED, End.LOST), shown


def failures() -> tuple[Failures, ...]:
    """Every failure of a link, router, PoP or shared-risk group; without duplicates."""
    return tuple(dict.fromkeys(failed for _, failed in single_failures(plan().network)))


def test_core_matches_nothing_but_the_transport_label() -> None:
    """And a group resubmits only to tables used where the label ends and at a site's access link."""
    assert PIPELINE[Table.CORE].match == {"eth_type", "mpls_label"}
    assert BUCKET.leads_to == {Table.VPN, Table.OTHER_LINE}


def test_every_failure_is_repaired_where_it_happens() -> None:
    """The controller has not reacted: the rules are those of the intact network. Packets that meet no down port are as
    in the intact network."""
    steps = StepCache()
    intact_outcomes = tuple(outcomes(whole(), steps))
    check_core(Failures(), intact_outcomes)
    for failed in failures():
        fabric = replace(whole(), failures=failed)
        affected = failed.routers | {router for router, ports in fabric.ports_down.items() if ports}
        tracer = BatchTracer(fabric, steps)
        check_core(
            failed,
            (
                (router, egress, site, outcome if outcome.met.isdisjoint(affected) else tracer.of(router, choice))
                for (router, egress, site, outcome), (*_, choice) in zip(intact_outcomes, group_inputs(), strict=True)
                if router not in failed.routers
            ),
        )


@pytest.mark.exhaustive
def test_every_failure_is_survived_once_the_controller_knows() -> None:
    """With the rules for the remaining network."""
    steps = StepCache()
    for failed in failures():
        check_core(failed, outcomes(fabric_of(intact().with_paths(failed)), steps))


# 3. At the egress router.


def arriving(router: str, site: Site, vpn: Vpn, family: IpVersion) -> Visit | None:
    """The result of a router for a packet that arrives for a site under a VPN label; None if no path ends there."""
    switch = whole().switches[router]
    ending = (dict(rule.match)["mpls_label"] for rule in switch.tables[Table.CORE].rules if rule.goto is Table.VPN)
    transport = next((label for label in ending if isinstance(label, int)), None)
    if transport is None:
        return None
    labels = Label(transport, 0, CORE_TTL), Label(label_of(vpn, family), 0, CORE_TTL)
    port = min(plan().network.ports[router].values())
    return switch.receive(replace(_labelled(site, family), labels=labels), port)


def test_where_the_transport_label_ends_every_site_gets_its_own_packets() -> None:
    for family, site in product(FAMILIES, plan().network.sites):
        for access in site.accesses:
            visit = arriving(access.router, site, plan().vpn[plan().role_of_site[site.id].vpn], family)
            assert visit is not None, site.id
            ((port, packet),) = visit.outputs
            assert whole().site_behind(access.router, port, packet) == site.id
            assert packet.fields["eth_dst"] == int(site.mac.replace(":", ""), 16) and not packet.labels


def test_a_site_that_is_not_here_is_delivered_nowhere() -> None:
    """Not even if its packet has another VPN's label, or is at another router."""
    misdirected = 0
    for family, router, site, vpn in product(FAMILIES, plan().network.router, destinations(), plan().vpns):
        visit = arriving(router, site, vpn, family)
        if visit is not None and not (router in site.homing and site.id in vpn.sites):
            assert visit.reason in (Drop.NO_VPN, Drop.NOT_HERE), (router, site.id, vpn.name)
            misdirected += 1
    assert misdirected


# 4. Access links of dual-homed sites.


@cache
def dual_homed() -> tuple[Site, ...]:
    """The dual-homed sites."""
    return tuple(site for site in plan().network.sites if len(site.accesses) > 1)


def to_line(site: Site, router: str, family: IpVersion) -> Choice:
    """A packet for a dual-homed site as a router gives it to the group that leads there: of its access link, or of its
    egress set."""
    groups, vpn = whole().switches[router].groups, plan().vpn[plan().role_of_site[site.id].vpn]
    if router != site.homing[0]:
        egress = plan().egress_to(site.id, SHORTEST)
        return Choice(groups[ingress_group(egress)], _labelled(site, family), {"metadata": 0}, None)
    line = next(line for line in plan().attachments if line.number == (site.id, 0))
    arrived, (vpn_id, _) = replace(_labelled(site, family), labels=()), DESTINATION_VPN.of(vpn.id)
    return Choice(groups[access_link_group(line)], arrived, {"metadata": vpn_id}, None)


def test_a_failed_access_link_is_bypassed_at_its_router() -> None:
    """The controller has not reacted: the router of the failed access link diverts what it cannot deliver."""
    steps = StepCache()
    for site, lost, family in product(dual_homed(), (0, 1), FAMILIES):
        tracer = BatchTracer(replace(whole(), failures=Failures(access_links=frozenset({(site.id, lost)}))), steps)
        for router in plan().network.router:
            outcome = tracer.of(router, to_line(site, router, family))
            assert (outcome.end, outcome.site) == (End.DELIVERED, site.id), (site.id, lost, family, router, outcome)
            assert outcome.router == site.homing[lost == 0], (site.id, lost, family, router, outcome)


def test_a_site_without_access_links_causes_no_loop() -> None:
    steps = StepCache()
    for site, family in product(dual_homed(), FAMILIES):
        tracer = BatchTracer(
            replace(whole(), failures=Failures(access_links=frozenset({(site.id, 0), (site.id, 1)}))), steps
        )
        for router in plan().network.router:
            outcome = tracer.of(router, to_line(site, router, family))
            assert (outcome.end, outcome.router) == (End.DROPPED, site.homing[1]), (site.id, router, outcome)


def test_once_the_controller_knows_all_routers_use_the_remaining_line() -> None:
    """Nothing changes for other sites: only the rules for this site's addresses differ."""
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
                assert given_to_group_of(visit, site, backup, opens[0].family), (line.router, site.id)
            checked += 1
    assert checked
