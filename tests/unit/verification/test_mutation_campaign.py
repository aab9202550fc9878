"""Mutation campaigns: what counts as caught, missed, harmless and a false alarm; faults in policies; and what the live
verifier's probes detect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import product

import pytest
from mutation_case import SEED, changed, entry, oracle, plan, rules
from policy_network import small_network

from helsewan.controller.openflow.entries import FlowRule, RuleSet, Table
from helsewan.controller.openflow.pipeline import Purpose, purpose_of
from helsewan.policies.compile import library_path, load_policy
from helsewan.verification.failures import cases
from helsewan.verification.findings import FailureCase, FindingKind, VerificationFinding, VerificationReport
from helsewan.verification.mutation.campaign import Campaign, FaultVerdict, Trial, changes_delivery, summary
from helsewan.verification.mutation.corpus import INTACT
from helsewan.verification.mutation.effect import HARMLESS, Effect, Probe
from helsewan.verification.mutation.live import LiveDetection
from helsewan.verification.mutation.mutant import Mutant, Mutation
from helsewan.verification.mutation.policy_faults import FAULTS, PolicyMutant, policy_mutants
from helsewan.verification.mutation.sampling import TABLES, mutants
from helsewan.verification.static import verify

STATE_KINDS = {Mutation.TTL, Mutation.ANSWER, Mutation.PUNT, Mutation.TIMEOUT, Mutation.PORT}
CASES = (FailureCase("intact", INTACT),)


@cache
def live() -> LiveDetection:
    """The live verifier's probes of the same network."""
    return LiveDetection(plan(), oracle().corpus.fabric, SEED, most=600)


def tried(mutant: Mutant, *findings: VerificationFinding) -> Trial:
    """The trial of one fault with a verifier that reports just these findings."""

    def verify(faulty: Mapping[str, RuleSet]) -> VerificationReport:
        return VerificationReport("national", "small", findings, ())

    (trial,) = Campaign(oracle(), verify, CASES, live()).run([mutant])
    return trial


def contract() -> FlowRule:
    """An entry of a contract that packets meet."""
    return next(
        rule
        for rule in rules()["r1"].flows
        if rule.table is Table.CONTRACT
        and purpose_of(rule.cookie)[0] is Purpose.CONTRACT
        and oracle().corpus.hits.get(("r1", rule))
    )


def finding(probe: Probe | None) -> VerificationFinding:
    """A leak, with the packet of a probe as its witness."""
    if probe is None:
        return VerificationFinding(FindingKind.LEAK, "intact", "", "")
    return VerificationFinding(FindingKind.LEAK, "intact", "", "", probe.site, probe.line, packet=probe.packet)


def test_a_fault_that_changes_what_passes_is_caught_or_missed() -> None:
    fault = changed(contract())
    missed, caught = tried(fault), tried(fault, finding(None))
    assert (missed.verdict, caught.verdict, caught.kinds) == (FaultVerdict.MISSED, FaultVerdict.CAUGHT, ("leak",))
    assert missed.witness.effect is Effect.REACHES and changes_delivery(missed)


def test_a_harmless_fault_survives_and_says_why() -> None:
    fault = Mutant(Mutation.ADDED, "foreign", "r1", "", (), (FlowRule(Table(42), 1, ()),))
    survived = tried(fault)
    assert (
        survived.verdict is FaultVerdict.SURVIVED
        and "no entry leads to" in survived.why
        and not changes_delivery(survived)
    )


def test_an_alarm_is_false_where_its_witness_is_treated_as_under_the_correct_rules() -> None:
    harmless = Mutant(Mutation.ADDED, "foreign", "r1", "", (), (FlowRule(Table(42), 1, ()),))
    any_probe = oracle().corpus.probes[0]
    assert tried(harmless, finding(any_probe)).verdict is FaultVerdict.FALSE_ALARM
    rule = contract()
    (affected, *_) = oracle().corpus.hits["r1", rule][INTACT]
    assert tried(changed(rule), finding(affected)).verdict is FaultVerdict.CAUGHT


def test_the_report_counts_every_trial_once() -> None:
    trials = [tried(changed(contract())), tried(changed(contract()), finding(None)), tried(changed(entry(Table.CORE)))]
    rows = summary(trials)
    assert sum(row[2] for row in rows) == 3
    assert all(total == sum(rest) for _, _, total, _, *rest in rows)


def test_live_probes_detect_a_line_that_is_not_admitted() -> None:
    dropped = [rule for rule in rules()["r1"].flows if rule.table is Table.ADMIT and rule.goto is Table.VRF]
    assert any(tried(changed(rule)).live for rule in dropped[:4])
    assert not tried(Mutant(Mutation.ADDED, "foreign", "r1", "", (), (FlowRule(Table(42), 1, ()),))).live


# Policies.


@cache
def faulty_policies() -> tuple[PolicyMutant, ...]:
    """Faults in the national policy."""
    return policy_mutants(load_policy(library_path("national")), small_network(), 45, SEED)


def test_faults_in_policies_are_the_same_for_a_seed_and_of_every_kind() -> None:
    again = policy_mutants(load_policy(library_path("national")), small_network(), 45, SEED)
    assert [each.what for each in again] == [each.what for each in faulty_policies()]
    assert len({each.what for each in again}) == 45
    kinds = Counter(each.kind for each in again)
    assert set(kinds) == set(FAULTS) and max(kinds.values()) <= 4


def test_what_the_compiler_refuses_says_why_and_the_rest_is_judged_by_packets() -> None:
    def nothing(faulty: Mapping[str, RuleSet]) -> VerificationReport:
        return VerificationReport("national", "small", (), ())

    trials = list(Campaign(oracle(), nothing, CASES, live()).run_policies(faulty_policies()))
    assert len(trials) == 45
    by_verdict = Counter(trial.verdict for trial in trials)
    assert by_verdict[FaultVerdict.REFUSED] and by_verdict[FaultVerdict.SURVIVED]
    assert by_verdict[FaultVerdict.MISSED] >= 20  # by a verifier that reports nothing
    assert all(trial.why for trial in trials if trial.verdict in (FaultVerdict.REFUSED, FaultVerdict.SURVIVED))
    assert all(trial.witness.effect not in HARMLESS for trial in trials if trial.verdict is FaultVerdict.MISSED)


# The verifier itself; `make mutants` runs it on many more faults.


@pytest.mark.exhaustive
def test_the_verifier_catches_every_fault_that_changes_what_passes() -> None:
    states = cases(plan().network, "single")

    def static(faulty: Mapping[str, RuleSet]) -> VerificationReport:
        intact = verify(plan(), faulty, states[:1])
        return intact if intact.violations else verify(plan(), faulty, states)

    campaign = Campaign(oracle(), static, states, live())
    trials = [*campaign.run(mutants(plan().network, rules(), 16, SEED)), *campaign.run_policies(faulty_policies()[:8])]
    bad = [trial for trial in trials if trial.verdict in (FaultVerdict.MISSED, FaultVerdict.FALSE_ALARM)]
    assert bad == [], f"seed {SEED}"
    assert sum(trial.verdict is FaultVerdict.CAUGHT for trial in trials) >= 8


def test_faults_that_were_missed_once_are_caught() -> None:
    """Faults that earlier versions of the verifier missed: a second tag, one set where there is none, one of another
    access link; meters that conflicting entries or several links use; all packets of a table subject to conflicting
    entries; a stale TTL; another traffic class on the path to a site's other access link."""
    kinds = {
        "r2, admit: without PushVlan()",
        "r2, admit: SetField(field='vlan_vid', value=4196)",
        "r1, police: below table police, priority 0",
        "r3, vpn: beside table vpn, priority 100: eth_type=0x8847, mpls_label=8007",
        "r2, vpn: without Move(source='mpls_ttl', destination='reg1', bits=8, source_offset=0, destination_offset=0): "
        "table vpn, priority 100: eth_type=0x8847, mpls_label=1004",
        "r1, route: without PopVlan(): table route, priority 220: metadata=0x4000000000000",
        "r3, other_line: without Move(source='ip_dscp'",
        "r1, other_line: without Move(source='reg0'",
    }
    kinds_then = [kind for kind in Mutation if kind not in STATE_KINDS]
    cells = list(product(kinds_then, (table for table in TABLES if table != "port")))
    sampled = [each for seed in (*range(1, 9), 36) for each in mutants(plan().network, rules(), 240, seed, cells)]
    states = cases(plan().network, "single")
    for what in sorted(kinds):
        mutant = next(each for each in sampled if str(each).startswith(what))
        assert verify(plan(), mutant.apply_to_all(rules()), states).violations, what
