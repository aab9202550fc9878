"""The static verifier: correct rules are proved, and each kind of violation is found, with a witness packet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from small_rules import Rules, plan, rules

from helsewan.controller.openflow.entries import Bucket, FlowRule, Output, SetField, Table
from helsewan.controller.openflow.pipeline import SOURCE_ROLE, VLAN_PRESENT, Drop, Purpose, cookie
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.fabric import End
from helsewan.verification.failures import INTACT, cases
from helsewan.verification.findings import FindingKind, VerificationFinding, VerificationReport
from helsewan.verification.mutation.sampling import mutants
from helsewan.verification.static import Static, Verification, verify


def changed(choose: Callable[[FlowRule], bool], change: Callable[[FlowRule], FlowRule | None]) -> Rules:
    """The intended rules with the first entry chosen, on the first router that has one, changed or removed."""
    held = rules()
    for router, each in held.items():
        for place, rule in enumerate(each.flows):
            if choose(rule):
                new = change(rule)
                flows = (*each.flows[:place], *([new] if new else []), *each.flows[place + 1 :])
                held[router] = replace(each, flows=flows)
                return held
    raise AssertionError("no such entry")


def found(held: Rules, scope: str = "none") -> dict[FindingKind, VerificationFinding]:
    """The first violation of each kind."""
    report = verify(plan(), held, cases(plan().network, scope))
    return {finding.kind: finding for finding in reversed(report.violations)}


def of_purpose(table: Table, purpose: Purpose) -> Callable[[FlowRule], bool]:
    return lambda rule: rule.table is table and rule.cookie >> 56 == purpose


def without(rule: FlowRule, *names: str) -> FlowRule:
    return replace(rule, match=tuple(each for each in rule.match if each[0] not in names))


def test_correct_rules_are_proved_under_every_single_failure() -> None:
    everything = cases(plan().network, "single")
    report: VerificationReport = verify(plan(), rules(), everything)
    assert report.violations == ()
    assert [proof.cases for proof in report.proofs] == [tuple(case.name for case in everything)]
    assert everything[0] == INTACT and len(everything) > len(plan().network.links)


def test_a_contract_without_its_roles_is_a_leak_with_a_packet_that_is_delivered() -> None:
    voice = lambda rule: rule.table is Table.CONTRACT and ("ip_proto", 17) in rule.match  # noqa: E731
    held = changed(voice, lambda rule: without(rule, "metadata"))
    leak = found(held)[FindingKind.LEAK]
    assert leak.trace is not None and leak.trace.end is End.DELIVERED and leak.packet is not None
    assert leak.trace.site == leak.towards
    assert "allow" in leak.reason


def test_a_missing_contract_is_a_blackhole_that_names_the_line_of_the_policy() -> None:
    held = changed(of_purpose(Table.CONTRACT, Purpose.CONTRACT), lambda rule: None)
    missing = found(held)
    hole = missing.get(FindingKind.BLACKHOLE) or missing[FindingKind.ONE_WAY]
    assert hole.trace is not None and hole.trace.reason is Drop.NO_CONTRACT
    assert ":" in hole.source and "contract" in hole.reason


def test_a_spoofed_source_that_is_delivered_is_a_leak() -> None:
    admitting = lambda rule: rule.table is Table.ADMIT and rule.goto is Table.VRF  # noqa: E731
    held = changed(admitting, lambda rule: without(rule, "ipv4_src", "ipv6_src"))
    leak = found(held)[FindingKind.LEAK]
    assert leak.packet is not None
    site = plan().network.site[leak.site]
    names = {4: "ipv4_src", 6: "ipv6_src"}
    sources = [(leak.packet.fields.get(names[prefix.version]), prefix) for prefix in site.prefixes]
    assert all(number is None or not _inside(number, prefix) for number, prefix in sources)


def _inside(number: int, prefix: object) -> bool:
    return int(prefix.network_address) <= number <= int(prefix.broadcast_address)  # type: ignore[attr-defined]


def test_a_wrong_mark_is_found() -> None:
    def remarked(rule: FlowRule) -> FlowRule:
        return replace(rule, actions=(SetField("ip_dscp", 63),))

    held = changed(of_purpose(Table.CONTRACT, Purpose.CONTRACT), remarked)
    assert FindingKind.MISMARKED in found(held)


def test_an_access_link_without_its_policer_is_found() -> None:
    held = changed(lambda rule: rule.meter is not None, lambda rule: replace(rule, meter=None))
    unpoliced = found(held)[FindingKind.UNPOLICED]
    assert unpoliced.site and "kbit/s" in unpoliced.reason


def test_a_packet_delivered_to_another_site_is_misdelivered() -> None:
    def elsewhere(rule: FlowRule) -> FlowRule:
        others = [line.vlan for line in plan().attachments if line.router == router_of(rule)]
        own = next(a.value for a in rule.actions if isinstance(a, SetField) and a.field == "vlan_vid")
        other = next(vlan for vlan in others if vlan | VLAN_PRESENT != own)
        retagged = (
            SetField("vlan_vid", other | VLAN_PRESENT) if isinstance(a, SetField) and a.field == "vlan_vid" else a
            for a in rule.actions
        )
        return replace(rule, actions=tuple(retagged))

    def router_of(rule: FlowRule) -> str:
        return next(router for router, held in rules().items() if rule in held.flows)

    to_site = lambda rule: rule.table is Table.DELIVER and Output(TRUNK_PORT) in rule.actions  # noqa: E731
    kinds = found(changed(to_site, elsewhere))
    assert kinds.keys() & {FindingKind.LOST, FindingKind.MISDELIVERED, FindingKind.LEAK}


def test_two_entries_of_one_priority_that_differ_are_found() -> None:
    held = rules()
    router, each = next(iter(held.items()))
    contract = next(rule for rule in each.flows if of_purpose(Table.CONTRACT, Purpose.CONTRACT)(rule))
    rival = replace(without(contract, "ip_proto", "udp_dst", "udp_src", "tcp_dst", "tcp_src", "tcp_flags_nxm",
                            "icmpv4_type", "icmpv6_type"), actions=(), goto=None, metadata=None)  # fmt: skip
    held[router] = replace(each, flows=(*each.flows, rival))
    assert FindingKind.AMBIGUOUS in found(held)


def test_a_wrong_second_bucket_shows_when_the_first_fails_and_not_before() -> None:
    held = rules()
    for router, each in held.items():
        place = next((i for i, group in enumerate(each.groups) if len(group.buckets) == 2), None)
        if place is not None:
            group = each.groups[place]
            broken = replace(group, buckets=(group.buckets[0], Bucket(TRUNK_PORT, ())))
            held[router] = replace(each, groups=(*each.groups[:place], broken, *each.groups[place + 1 :]))
            break
    assert found(held) == {}
    failed = found(held, "single")
    assert failed and all(finding.case != INTACT.name for finding in failed.values())


def test_an_entry_that_no_packet_matches_is_dead_and_no_violation() -> None:
    held = rules()
    router, each = next(iter(held.items()))
    nobody = (("metadata", SOURCE_ROLE.of(0xFFFF)),)
    idle = FlowRule(Table.CONTRACT, 9_000, nobody, cookie=cookie(Purpose.PASS))
    held[router] = replace(each, flows=(*each.flows, idle))
    report = verify(plan(), held)
    assert report.violations == ()
    assert any(finding.kind is FindingKind.UNREACHED and str(idle) in finding.where for finding in report.findings)


@pytest.mark.parametrize("far", [False, True])
def test_delivered_packets_are_known_exactly(far: bool) -> None:
    static = Static(plan().network, rules())
    contract = next(each for each in plan().contracts)
    roles = {role.id: role for role in plan().roles}
    client, server = roles[contract.client].sites[0], roles[contract.server].sites[-1 if far else 0]
    delivered = static.delivered((client, 0), server)
    assert delivered != static.space.none
    source = plan().network.site[client].prefix4
    assert delivered & ~static.space.source_in(source) & static.space.of_type((0x0800,)) == static.space.none


@pytest.mark.exhaustive
def test_incremental_verification_finds_the_same_as_a_full_one() -> None:
    seed = 7
    print(f"seed {seed}")
    verification = Verification(plan(), Static(plan().network, rules()))
    assert verification.intact() == []
    broke = 0
    for mutant in mutants(plan().network, rules(), 40, seed):
        held = mutant.apply(rules()[mutant.router])
        anew = Verification(plan(), Static(plan().network, {**rules(), mutant.router: held})).intact()
        assert _summary(verification.after_change(mutant.router, held)) == _summary(anew), str(mutant)
        broke += bool(anew)
    assert broke > 10


def _summary(findings: list[VerificationFinding]) -> set[tuple[FindingKind, str, str | None, int]]:
    return {(finding.kind, finding.site, finding.towards, finding.alike) for finding in findings}


def test_several_workers_find_the_same_as_one() -> None:
    held = rules()
    router, each = next(
        (router, each) for router, each in held.items() if any(len(g.buckets) == 2 for g in each.groups)
    )
    held[router] = replace(each, groups=tuple(replace(group, buckets=group.buckets[:1]) for group in each.groups))
    states = cases(plan().network, "single")
    alone, shared = (verify(plan(), held, states, workers) for workers in (1, 2))
    assert alone.violations
    assert sorted(alone.findings, key=str) == sorted(shared.findings, key=str)
