"""State of switches by which a network works otherwise than its forwarding suggests: TTLs, answers to hosts, packets to
the controller, timeouts, ports, and a network of which nothing is left. None of it is proved harmless."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from small_rules import Rules, plan, rules

from helsewan.controller.openflow.entries import (
    ARP,
    CONTROLLER,
    IN_PORT,
    Action,
    Bucket,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Load,
    Move,
    Output,
    PacketMeterRule,
    Port,
    PushMpls,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.fabric import End
from helsewan.verification.failures import INTACT, cases
from helsewan.verification.findings import FailureCase, FindingKind, VerificationReport
from helsewan.verification.reports.results import as_junit, as_text
from helsewan.verification.reports.verdict import exit_code, verdict, verdict_line
from helsewan.verification.static import verify

Change = Callable[[FlowRule], "FlowRule | None"]
OTHER_MAC = "02:00:00:00:00:99"


def report(held: Rules, *states: FailureCase) -> VerificationReport:
    return verify(plan(), held, states or (INTACT,))


def changed(router: str, chosen: Callable[[FlowRule], bool], change: Change) -> Rules:
    """The intended rules with all entries of a router that are chosen changed, or removed."""
    held = rules()
    assert any(map(chosen, held[router].flows))
    flows = (change(rule) if chosen(rule) else rule for rule in held[router].flows)
    held[router] = replace(held[router], flows=tuple(rule for rule in flows if rule is not None))
    return held


def with_action(table: Table, *wanted: Action) -> Callable[[FlowRule], bool]:
    return lambda rule: rule.table is table and set(wanted) <= set(rule.actions)


def in_table(table: Table) -> Callable[[FlowRule], bool]:
    return lambda rule: rule.table is table and bool(rule.actions or rule.goto is not None)


def first(*actions: Action) -> Change:
    return lambda rule: replace(rule, actions=(*actions, *rule.actions))


def without(action: Action) -> Change:
    return lambda rule: replace(rule, actions=tuple(each for each in rule.actions if each != action))


def twice(action: Action) -> Change:
    return lambda rule: replace(
        rule, actions=tuple(x for each in rule.actions for x in (each, *[each] * (each == action)))
    )


def removed(rule: FlowRule) -> None:
    return None


def no_copy(rule: FlowRule) -> FlowRule:
    """Without the copy of a label's TTL to the header below."""
    return replace(rule, actions=tuple(a for a in rule.actions if not (isinstance(a, Move) and "ttl" in a.destination)))


TTLS: dict[str, tuple[str, Callable[[FlowRule], bool], Change]] = {
    "set before it is decremented": ("bergen", with_action(Table.ROUTE, DecTtl()), first(SetField("nw_ttl", 1))),
    "loaded before it is decremented": ("bergen", with_action(Table.ROUTE, DecTtl()), first(Load("nw_ttl", 9, 8))),
    "not decremented by the first router": ("bergen", with_action(Table.ROUTE, DecTtl()), without(DecTtl())),
    "decremented twice by the first router": ("bergen", with_action(Table.ROUTE, DecTtl()), twice(DecTtl())),
    "not decremented on delivery": ("trondheim", with_action(Table.DELIVER, DecTtl()), without(DecTtl())),
    "set on delivery": ("trondheim", with_action(Table.DELIVER, DecTtl()), first(SetField("nw_ttl", 200))),
    "not decremented in transit": ("trondheim", with_action(Table.CORE, DecMplsTtl()), without(DecMplsTtl())),
    "set in transit": ("trondheim", with_action(Table.CORE, DecMplsTtl()), first(SetField("mpls_ttl", 64))),
    "lost with the transport label": ("trondheim", in_table(Table.CORE), no_copy),
    "lost with the VPN's label": ("trondheim", in_table(Table.VPN), no_copy),
}


@pytest.mark.parametrize("fault", TTLS)
def test_a_ttl_that_does_not_count_routers_is_not_proved(fault: str) -> None:
    found = report(changed(*TTLS[fault]))
    assert FindingKind.TTL in {finding.kind for finding in found.violations} and not found.proofs
    shown = next(finding for finding in found.violations if finding.kind is FindingKind.TTL)
    assert "once" in shown.reason and shown.trace is not None


def arp(rule: FlowRule) -> bool:
    return ("eth_type", ARP) in rule.match and Output(IN_PORT) in rule.actions


def echo(rule: FlowRule) -> bool:
    return rule.table is Table.ADMIT and Output(IN_PORT) in rule.actions and ("eth_type", ARP) not in rule.match


def solicitation(rule: FlowRule) -> bool:
    return rule.goto is Table.NEIGHBOUR


def with_value(name: str, value: str | int) -> Change:
    def change(rule: FlowRule) -> FlowRule:
        fields = (SetField(name, value) if isinstance(a, SetField) and a.field == name else a for a in rule.actions)
        return replace(rule, actions=tuple(fields))

    return change


ANSWERS: dict[str, tuple[str, Callable[[FlowRule], bool], Change]] = {
    "no ARP reply": ("bodo", arp, removed),
    "no neighbour advertisement": ("bodo", solicitation, removed),
    "no link-layer address": ("bodo", in_table(Table.NEIGHBOUR), removed),
    "no echo reply": ("bodo", echo, removed),
    "the MAC address of another": ("bodo", arp, with_value("arp_sha", OTHER_MAC)),
    "the sender's address of another": ("bodo", arp, with_value("eth_src", OTHER_MAC)),
    "another advertised address": ("bodo", in_table(Table.NEIGHBOUR), with_value("ipv6_nd_tll", OTHER_MAC)),
    "a reply that is a request": ("bodo", arp, with_value("arp_op", 1)),
    "replies for every address": (
        "bodo", arp, lambda rule: replace(rule, match=tuple(each for each in rule.match if each[0] != "arp_tpa")),
    ),
    "replies below an entry that drops": (
        "bodo", lambda rule: rule.table is Table.ADMIT and not rule.actions and rule.goto is None,
        lambda rule: replace(rule, priority=600),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ANSWERS)
def test_another_answer_to_hosts_is_not_proved(fault: str) -> None:
    found = report(changed(*ANSWERS[fault]))
    assert FindingKind.ANSWER in {finding.kind for finding in found.violations} and not found.proofs


def test_the_packet_that_is_not_answered_is_shown() -> None:
    found = report(changed("bodo", arp, removed))
    missing = [each for each in found.violations if each.kind is FindingKind.ANSWER]
    assert {each.site for each in missing} == {link.site for link in plan().attachments if link.router == "bodo"}
    assert all(each.packet is not None and each.packet.fields["eth_type"] == ARP for each in missing)
    assert all("does not answer" in each.reason for each in missing)


def test_answers_in_another_order_are_still_proved() -> None:
    assert report(changed("bodo", arp, lambda rule: replace(rule, priority=rule.priority + 7))).proofs


PUNTS: dict[str, tuple[str, Callable[[FlowRule], bool], Change]] = {
    "a copy of what is delivered": ("trondheim", with_action(Table.DELIVER, DecTtl()), first(Output(CONTROLLER))),
    "a copy of what passes": ("bodo", in_table(Table.CONTRACT), first(Output(CONTROLLER))),
    "what no contract allows": (
        "bodo", lambda rule: rule.table is Table.CONTRACT and not rule.match and not rule.priority,
        lambda rule: replace(rule, actions=(Output(CONTROLLER),)),
    ),
    "nothing without a route": ("bodo", with_action(Table.VRF, Output(CONTROLLER)), removed),
    "nothing without a path": ("bodo", with_action(Table.ROUTE, Output(CONTROLLER)), without(Output(CONTROLLER))),
    "packets without a reason": (
        "bodo", with_action(Table.VRF, Output(CONTROLLER)), lambda rule: replace(rule, cookie=0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PUNTS)
def test_other_packets_to_the_controller_are_not_proved(fault: str) -> None:
    found = report(changed(*PUNTS[fault]))
    assert FindingKind.PUNT in {finding.kind for finding in found.violations} and not found.proofs


def test_copies_by_a_group_and_an_unlimited_rate_are_not_proved() -> None:
    held = rules()
    copying = (
        replace(each, buckets=(Bucket(each.buckets[0].watch_port, (Output(CONTROLLER), *each.buckets[0].actions)),))
        for each in held["bergen"].groups
    )
    held["bergen"] = replace(held["bergen"], groups=tuple(copying))
    assert FindingKind.PUNT in {finding.kind for finding in report(held).violations}
    held = rules()
    meters = tuple(each for each in held["bergen"].meters if not isinstance(each, PacketMeterRule))
    held["bergen"] = replace(held["bergen"], meters=meters)
    assert FindingKind.PUNT in {finding.kind for finding in report(held).violations}


@pytest.mark.parametrize("timeout", ["idle_timeout_s", "hard_timeout_s"])
def test_an_entry_with_a_timeout_is_not_proved(timeout: str) -> None:
    held = changed("bodo", in_table(Table.VRF), lambda rule: replace(rule, **{timeout: 30}))  # type: ignore[arg-type]
    found = report(held, *cases(plan().network, "single"))
    assert {finding.kind for finding in found.violations} == {FindingKind.EXPIRES} and not found.proofs
    assert found.violations[0].alike and "30 s" in found.violations[0].where


# Loops.


def test_a_loop_is_told_only_where_its_own_path_loops() -> None:
    """A packet that gets one more label each time it comes round is dropped when it has too many."""
    network = plan().network
    link = next(each for each in network.links if {each.a, each.b} == {"bergen", "trondheim"})
    there, back = network.ports["bergen"][link.id], network.ports["trondheim"][link.id]

    def round_trips(push: tuple[Action, ...]) -> Rules:
        def returned(rule: FlowRule) -> FlowRule:
            label = dict(rule.match)["mpls_label"]
            again = (DecMplsTtl(), *push, SetField("mpls_label", 700_000 + int(label)), Load("in_port_nxm", 0, 16))  # type: ignore[call-overload]
            return replace(rule, actions=(*again, Output(back)), goto=None)

        transit = lambda rule: rule.table is Table.CORE and bool(rule.match)  # noqa: E731
        held = changed("trondheim", transit, returned)
        labels = [dict(rule.match)["mpls_label"] for rule in held["trondheim"].flows if transit(rule)]
        extra = (
            FlowRule(
                Table.CORE, 100, (("eth_type", 0x8847), ("mpls_label", 700_000 + label)),  # type: ignore[operator]
                (DecMplsTtl(), SetField("mpls_label", label), Load("in_port_nxm", 0, 16), Output(there)),
            )
            for label in labels
        )  # fmt: skip
        held["bergen"] = replace(held["bergen"], flows=(*held["bergen"].flows, *extra))
        return held

    loops = [each for each in report(round_trips(())).violations if each.kind is FindingKind.LOOP]
    assert loops and all(each.trace is not None and each.trace.end is End.LOOPED for each in loops)
    found = report(round_trips((PushMpls(),)))
    assert not [each for each in found.violations if each.kind is FindingKind.LOOP]
    told = [each for each in found.violations if each.kind is FindingKind.UNMODELLED]
    assert told and all(each.trace is not None and each.trace.end is End.DROPPED for each in told)
    assert not found.proofs


# Ports.


def as_read() -> Rules:
    """The intended rules as if read from switches: with the ports that each has."""
    network = plan().network
    return {
        router: replace(
            held,
            ports=tuple(
                map(
                    Port,
                    sorted({TRUNK_PORT, *network.ports[router].values(), *network.access_link_ports[router].values()}),
                )
            ),
        )
        for router, held in rules().items()
    }


def with_port(number: int, port: Port | None) -> Rules:
    held = as_read()
    ports = (port if each.number == number else each for each in held["trondheim"].ports)
    held["trondheim"] = replace(held["trondheim"], ports=tuple(each for each in ports if each is not None))
    return held


def test_ports_as_they_should_be_are_proved_and_no_longer_listed_as_unproved() -> None:
    found = report(as_read())
    assert found.proofs and not any("ports (" in each for each in found.unproved)
    assert any("ports (" in each for each in report(rules()).unproved)
    assert "not proved: settings of switches" in verdict_line(found, None)


LINK = 2
PORTS: dict[str, tuple[int, Port | None]] = {
    **{f"{bit} of a link": (LINK, Port(LINK, (bit,))) for bit in ("port_down", "no_receive", "no_forward")},
    "no_packet_in of the trunk": (TRUNK_PORT, Port(TRUNK_PORT, ("no_packet_in",))),
    "an unknown bit": (LINK, Port(LINK, ("0x800",))),
    "blocked": (LINK, Port(LINK, (), ("blocked", "live"))),
    "the trunk down": (TRUNK_PORT, Port(TRUNK_PORT, (), ("link_down",))),
    "no trunk": (TRUNK_PORT, None),
    "no link": (LINK, None),
}


@pytest.mark.parametrize("fault", PORTS)
def test_a_port_that_does_not_pass_every_packet_is_not_proved(fault: str) -> None:
    found = report(with_port(*PORTS[fault]))
    assert {finding.kind for finding in found.violations} == {FindingKind.PORT} and not found.proofs
    assert f"port {PORTS[fault][0]}" in found.violations[0].where


# Nothing left.


def test_a_network_of_which_all_routers_or_links_to_sites_are_down_proves_nothing() -> None:
    network = plan().network
    everything = FailureCase("as it stands", Failures(routers=frozenset(router.id for router in network.routers)))
    found = report({router: RuleSet() for router in rules()}, everything)
    for each in (found, report(rules(), everything)):
        assert not each.proofs and not each.violations and each.is_vacuous
        assert (verdict(each, None), exit_code(each, None)) == ("void", 3)
        assert "nothing is proved" in verdict_line(each, None)
        assert b'errors="1"' in as_junit(each)


def test_a_proof_counts_what_is_left_of_the_network() -> None:
    network = plan().network
    down = {router.id for router in network.routers[1:]}
    (left,) = [router.id for router in network.routers if router.id not in down]
    state = FailureCase("as it stands", Failures(routers=frozenset(down)))
    found = report({router: held if router == left else RuleSet() for router, held in rules().items()}, state)
    sites = {site.id for site in network.sites for access in site.accesses if access.router == left}
    if len(sites) < 2:
        assert found.is_vacuous
        return
    (proof,) = found.proofs
    links = sum(access.router == left for site in network.sites for access in site.accesses)
    assert (proof.access_links, proof.pairs) == (links, len(sites) * (len(sites) - 1))
    assert f"{links} of {proof.of_access_links} access links" in verdict_line(found, None)


def test_a_case_that_leaves_nothing_is_not_among_those_proved() -> None:
    network = plan().network
    all_links = FailureCase("all", Failures(routers=frozenset(router.id for router in network.routers)))
    found = report(rules(), INTACT, all_links)
    assert [proof.cases for proof in found.proofs] == [("intact",)]
    assert found.vacuous == ("all",) and "1 cases prove nothing" in verdict_line(found, None)


def test_a_resubmit_that_is_not_ours_does_not_hide_a_ttl() -> None:
    held = changed(
        "bergen", with_action(Table.ROUTE, DecTtl()), lambda rule: replace(rule, actions=(Resubmit(Table.DELIVER),))
    )
    assert report(held).violations


def test_a_leak_names_the_contract_that_let_it_pass_the_roles_and_numbers_in_one_base() -> None:
    def for_everyone(rule: FlowRule) -> FlowRule:
        return replace(rule, match=tuple(each for each in rule.match if each[0] != "metadata"))

    voice = lambda rule: rule.table is Table.CONTRACT and ("ip_proto", 17) in rule.match  # noqa: E731
    leaks = [each for each in report(changed("bodo", voice, for_everyone)).violations if each.kind is FindingKind.LEAK]
    contracts = {each.name: each.source for each in plan().contracts}
    names = {role.name for role in plan().roles}
    for leak in leaks:
        assert any(f"the entry of contract {name} ({at}) lets it pass" in leak.reason for name, at in contracts.items())
        assert set(leak.roles) <= names
        text = as_text(leak)
        assert f"(role {leak.roles[0]})" in text and "metadata=0x" in text and "34887" not in text
        assert not re.search(r"(metadata|vlan_vid|eth_type)[= ][1-9]", text)
    assert leaks
