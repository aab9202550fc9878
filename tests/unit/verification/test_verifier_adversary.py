"""Entries crafted to deceive the static verifier: none of them is proved harmless."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from small_rules import plan, rules

from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    IPV4,
    MPLS,
    Action,
    Bucket,
    FlowRule,
    Foreign,
    Load,
    MeterRule,
    Move,
    Output,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
)
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.national.generator import national_network
from helsewan.verification.dump.fields import FieldError, parse
from helsewan.verification.failures import cases
from helsewan.verification.findings import FindingKind, VerificationFinding
from helsewan.verification.static import Static, Verification, verify

Change = Callable[[FlowRule], FlowRule]
BODO_GP = ("in_port", 1), ("vlan_vid", 4198)
ELSEWHERE = 0x7FFF << 48, 0x7FFF << 48  # a VPN that does not exist


def to(rule: FlowRule) -> object:
    return dict(rule.match).get("ipv4_dst", (None,))[0]  # type: ignore[index]


def first(rule: FlowRule, *actions: Action) -> FlowRule:
    return replace(rule, actions=(*actions, *rule.actions))


def last(rule: FlowRule, *actions: Action) -> FlowRule:
    return replace(rule, actions=(*rule.actions[:-1], *actions, rule.actions[-1]))


def of(table: Table) -> Callable[[FlowRule], bool]:
    return lambda rule: rule.table is table and bool(rule.actions or rule.goto is not None)


def also(rule: FlowRule, *actions: Action) -> FlowRule:
    return replace(rule, actions=(*rule.actions, *actions))


def narrowed(rule: FlowRule, *match: tuple[str, int]) -> FlowRule:
    return replace(rule, match=(*match, *rule.match))


def diverted(in_port: int) -> FlowRule:
    """An entry that puts packets into the unused VPN."""
    return FlowRule(Table.ADMIT, 900, (("in_port", in_port), ("eth_type", IPV4)), (), Table.CONTRACT, ELSEWHERE)


def marked(dscp: int) -> FlowRule:
    match = ("metadata", ELSEWHERE), ("eth_type", IPV4)
    return FlowRule(Table.CONTRACT, 900, match, (SetField("ip_dscp", dscp),), Table.POLICE, (dscp << 10, 0xFC00))


def route_to_bergen(rule: FlowRule) -> bool:
    return rule.table is Table.ROUTE and to(rule) == "10.1.0.0"


def to_trondheim_gp(rule: FlowRule) -> bool:
    return rule.table is Table.DELIVER and to(rule) == "10.6.0.0"


def records(rule: FlowRule) -> bool:
    return rule.table is Table.CONTRACT and dict(rule.match).get("tcp_dst") == 443


# Changed entries: the router, which of its entries, and the change.
EXCHANGED: dict[str, tuple[str, Callable[[FlowRule], bool], Change]] = {
    "labels of one traffic class only": (
        "trondheim", of(Table.CORE), lambda rule: narrowed(rule, ("mpls_tc", 7)),
    ),
    "labels of one time to live only": (
        "trondheim", of(Table.CORE), lambda rule: narrowed(rule, ("mpls_ttl", 7)),
    ),
    "another port than the allowed one": ("bodo", records, lambda rule: also(rule, SetField("tcp_dst", 22))),
    "another sender": ("bodo", records, lambda rule: first(rule, SetField("ipv4_src", "10.1.0.2"))),
    "a label by way of a register": (
        "bergen", route_to_bergen, lambda rule: last(rule, Load("reg1", 102, 20), Move("reg1", "mpls_label", 20)),
    ),
    "a part of a label": (
        "bergen", route_to_bergen,
        lambda rule: last(rule, SetField("mpls_label", 0x10065), Load("mpls_label", 101, 16)),
    ),
    "a DSCP set from a register": (
        "trondheim", to_trondheim_gp, lambda rule: first(rule, Load("reg3", 0, 6), Move("reg3", "ip_dscp", 6)),
    ),
    "a copy of what is delivered": ("trondheim", to_trondheim_gp, lambda rule: also(rule, rule.actions[-1])),
    "a copy of what goes on": ("bergen", route_to_bergen, lambda rule: also(rule, rule.actions[-1])),
    "the meter of another class": ("trondheim", of(Table.CONTRACT), lambda rule: replace(rule, metadata=(0, 0xFC00))),
    "no meter": ("trondheim", of(Table.CONTRACT), lambda rule: replace(rule, goto=Table.ROUTE)),
    "a meter for IPv4 only": (
        "trondheim", of(Table.POLICE), lambda rule: narrowed(rule, ("eth_type", IPV4)) if rule.meter else rule,
    ),
    "a meter on what is delivered": ("trondheim", of(Table.DELIVER), lambda rule: replace(rule, meter=1696)),
}  # fmt: skip


@pytest.mark.parametrize("fault", EXCHANGED)
def test_a_changed_entry_is_not_proved(fault: str) -> None:
    router, chosen, change = EXCHANGED[fault]
    held = rules()
    flows = tuple(change(rule) if chosen(rule) else rule for rule in held[router].flows)
    assert flows != held[router].flows
    held[router] = replace(held[router], flows=flows)
    assert verify(plan(), held).violations


# Added entries.
ADDED: dict[str, tuple[tuple[str, FlowRule], ...]] = {
    "back out of the trunk, to another access link": (
        ("bodo", FlowRule(Table.ADMIT, 900, BODO_GP, (SetField("vlan_vid", 4199), Output(IN_PORT)))),
    ),
    "a field that is not modelled": (("bodo", FlowRule(Table.ADMIT, 900, (*BODO_GP, ("vlan_pcp", 0)), (Output(99),))),),
    "two registers at once": (
        ("trondheim", FlowRule(Table.DELIVER, 2_000, (("eth_type", IPV4), ("xreg2", (1 << 32, 1 << 32))))),
    ),
    "labels by a mask of the type": (
        ("bodo", FlowRule(Table.ADMIT, 900, (*BODO_GP, ("eth_type", (MPLS, 0xFFFF))), goto=Table.CORE)),
    ),
    "two DSCPs, neither of them wrong": (
        ("bodo", FlowRule(Table.VRF, 900, (("eth_type", IPV4), ("ipv4_dst", ("10.6.0.0", "255.255.255.248"))),
                          goto=Table.CONTRACT, metadata=ELSEWHERE)),
        ("bodo", marked(46)),
        ("bodo", FlowRule(Table.ROUTE, 900, (("metadata", ELSEWHERE),), (PopVlan(), Output(2)))),
        *(("trondheim", diverted(port)) for port in (2, 3, 4)),
        ("trondheim", marked(18)),
        ("trondheim", FlowRule(Table.ROUTE, 900, (("metadata", ELSEWHERE),), goto=Table.DELIVER)),
        ("trondheim", FlowRule(Table.DELIVER, 900, (("metadata", ELSEWHERE), ("eth_type", IPV4)),
                               (SetField("eth_dst", "02:51:00:00:00:06"), PushVlan(), SetField("vlan_vid", 4197),
                                Load("in_port_nxm", 0, 16), Output(1)))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", ADDED)
def test_an_additional_entry_is_not_proved(fault: str) -> None:
    held = rules()
    for router, rule in ADDED[fault]:
        held[router] = replace(held[router], flows=(*held[router].flows, rule))
    report = verify(plan(), held, cases(plan().network, "single"))
    assert report.violations
    unreadable = {"a field that is not modelled", "two registers at once"}
    assert not (report.proofs and fault in unreadable)


def test_a_meter_that_lets_no_long_packet_pass_is_found() -> None:
    held = rules()
    small = (replace(each, burst_kbit=1) if isinstance(each, MeterRule) else each for each in held["trondheim"].meters)
    held["trondheim"] = replace(held["trondheim"], meters=tuple(small))
    assert verify(plan(), held).violations


def test_groups_that_do_more_than_fail_over_are_not_proved() -> None:
    (group,) = Decoder().groups(
        struct.pack("!HBxI", 40, 0, 7)  # of type all, with a bucket that outputs
        + struct.pack("!HHII4x", 32, 0, 0xFFFFFFFF, 0xFFFFFFFF)
        + struct.pack("!HHIH6x", 0, 16, 1, 0)
    )
    assert any(isinstance(action, Foreign) for bucket in group.buckets for action in bucket.actions)
    held = rules()
    groups = tuple(
        replace(each, buckets=(*each.buckets, Bucket(0, (Foreign("group type 0"),)))) for each in held["bergen"].groups
    )
    held["bergen"] = replace(held["bergen"], groups=groups)
    assert verify(plan(), held).violations


@pytest.mark.parametrize(
    ("name", "data", "plain"),
    [
        ("push a label of another type", struct.pack("!HHH2x", 19, 8, 0x8848), PushMpls),
        ("push a provider's tag", struct.pack("!HHH2x", 17, 8, 0x88A8), PushVlan),
        ("as from another port", struct.pack("!HHIHHB3x", 0xFFFF, 16, 0x2320, 14, 7, 4), Resubmit),
        ("in this table", struct.pack("!HHIHHB3x", 0xFFFF, 16, 0x2320, 14, 0xFFF8, 255), Resubmit),
    ],
)
def test_an_action_with_other_arguments_is_not_ours(name: str, data: bytes, plain: type) -> None:
    entry = struct.pack("!HBxIIHHHH4xQQQHH4xHH4x", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 4, 8 + len(data)) + data
    (rule,) = Decoder().flows(struct.pack("!H", len(entry)) + entry[2:])
    assert [type(action) for action in rule.actions] == [Foreign], name
    assert not any(isinstance(action, plain) for action in rule.actions)


def test_fields_without_masks_have_none_in_files() -> None:
    assert parse("eth_type", "0x8847") == MPLS
    with pytest.raises(FieldError, match="cannot have"):
        parse("eth_type", "0x8847/0xffff")


NO_LABELS = FlowRule(Table.ADMIT, 310, (*BODO_GP, ("eth_type", MPLS), ("mpls_label", 5)), (Output(CONTROLLER),))
LABELS = FlowRule(Table.ADMIT, 305, (*BODO_GP, ("eth_type", MPLS)), goto=Table.CORE)
AWAY = FlowRule(Table.ADMIT, 310, (*BODO_GP, ("eth_type", 0x88CC)), goto=Table(50))
# Entries that are harmless at first, and the entry that is added to the same router later.
LATER = {
    "labels accepted beside others that were matched": ((NO_LABELS,), LABELS),
    "an entry in a table that was empty": ((AWAY,), FlowRule(Table(50), 1, (), (Output(99),))),
    "a field that is not modelled": ((), FlowRule(Table.ADMIT, 900, (*BODO_GP, ("vlan_pcp", 0)), (Output(99),))),
    "a port by a mask": ((), FlowRule(Table.ADMIT, 900, (("in_port", (0, 4)), ("eth_type", MPLS)))),
}


@pytest.mark.parametrize("fault", LATER)
def test_an_entry_added_later_is_found_as_by_a_full_verification(fault: str) -> None:
    before, rule = LATER[fault]
    held = rules()
    held["bodo"] = replace(held["bodo"], flows=(*held["bodo"].flows, *before))
    verification = Verification(plan(), Static(plan().network, held))
    assert verification.intact() == []
    now = replace(held["bodo"], flows=(*held["bodo"].flows, rule))
    found, anew = (
        verification.after_change("bodo", now),
        Verification(plan(), Static(plan().network, {**held, "bodo": now})),
    )
    assert _summary(found) == _summary(anew.intact()) and found
    assert verification.intact() == []


@pytest.mark.exhaustive
def test_packets_under_labels_of_their_own_are_followed_through_the_whole_country() -> None:
    """A router accepts labels from its sites as if from a link: such packets may go anywhere."""
    network = national_network(90)
    plan = compile_policy(load_policy(library_path("national")), network)
    generation = first_generation(plan)
    held = {router.id: generation.rules(router.id) for router in network.routers}
    at = next(number for number, rule in enumerate(held["moirana"].flows) if is_from_link(rule))
    flows = list(held["moirana"].flows)
    flows[at] = replace(flows[at], match=tuple(each for each in flows[at].match if each[0] != "in_port"))
    found = Verification(plan, Static(network, held)).after_change(
        "moirana", replace(held["moirana"], flows=tuple(flows))
    )
    assert any(finding.kind is FindingKind.LEAK for finding in found)
    assert not [finding for finding in found if "one after the other" in finding.reason]


def is_from_link(rule: FlowRule) -> bool:
    match = dict(rule.match)
    return rule.table is Table.ADMIT and match.get("eth_type") == MPLS and "in_port" in match and rule.goto is not None


def test_a_path_that_exceeds_the_depth_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    static = Static(plan().network, rules())
    monkeypatch.setattr(static.executor, "node", too_deep)
    report = Verification(plan(), static).run(cases(plan().network, "none"))
    assert {finding.kind for finding in report.violations} == {FindingKind.UNMODELLED} and not report.proofs


def too_deep(*_: object) -> None:
    raise RecursionError


def _summary(findings: list[VerificationFinding]) -> set[tuple[object, ...]]:
    return {(finding.kind, finding.site, finding.towards, finding.alike) for finding in findings}
