"""What a run proves of isolation becomes checks of its verdict and a part of its result."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from controller_plan import small_plan
from intended_rules import SEED, intended
from live_answers import answer, first
from scenario_text import SMALL, problems, read

from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.lab.health.validity import Grade
from helsewan.lab.proofs.verification import proved
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.scenarios.results.checks import CheckResult, RunVerdict, verdict
from helsewan.scenarios.run.proof import Proofs
from helsewan.topology.national.generator import national_network
from helsewan.verification.dump.dump import Dump
from helsewan.verification.expected.expected import Disposition as Word
from helsewan.verification.findings import FindingKind, IsolationProof, VerificationFinding, VerificationReport
from helsewan.verification.live.live_report import side_by_side
from helsewan.verification.live.outcome import Arrival, Outcome
from helsewan.verification.live.side_by_side import as_rows
from helsewan.verification.live.test_packets import probe_packets

VERIFY = SMALL.replace(
    "\ntraffic:", "\nverify:\n  rules: {dark: failure + 1 s, healed: end}\n  questions: 50\ntraffic:"
)
PROVED = VerificationReport("national", "norway", (), (IsolationProof("nothing leaks", ("dark",), 9, 72, ()),))


def test_a_scenario_says_when_rules_are_read_and_how_much_is_asked() -> None:
    spec = read(VERIFY).spec.verify
    assert spec is not None and spec.questions == 50
    assert [str(point) for point in spec.rules.values()] == ["failure + 1 s", "end"]
    assert read().spec.verify is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("failure + 1 s", "failur + 1 s", "verify.rules.dark: 'failur + 1 s' refers to no event"),
        ("failure + 1 s", "11 s", "verify.rules.dark: '11 s' is not within the run"),
        ("questions: 50", "questions: 0", "verify.questions"),
        ("  rules: {dark: failure + 1 s, healed: end}\n  questions: 50", "  rules: {}", "verifies nothing"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_place(old: str, new: str, said: str) -> None:
    assert old in VERIFY
    (problem,) = problems(VERIFY.replace(old, new))
    assert said in problem


def checks_of(*findings: VerificationFinding) -> CheckResult:
    (check,) = Proofs({"dark": replace(PROVED, findings=findings)}, {}).checks()
    return check


def test_a_proof_is_a_check_and_a_leak_fails_a_void_run() -> None:
    clean = checks_of()
    assert (clean.name, clean.passed, clean.shown) == ("proof-dark", True, "0")
    assert clean.detail == "nothing leaks"
    assert checks_of(VerificationFinding(FindingKind.SHADOWED, "dark", "", "")).passed, "no violation"
    leak, lost = (
        checks_of(VerificationFinding(kind, "dark", "a to b", "p.yaml:3"))
        for kind in (FindingKind.LEAK, FindingKind.BLACKHOLE)
    )
    assert (leak.passed, leak.value, leak.detail) == (False, 1.0, "leak: a to b")
    assert verdict([leak], Grade.VOID) is RunVerdict.FAIL
    assert verdict([lost], Grade.VOID) is RunVerdict.VOID, "a machine that does not keep up may lose it"


def test_a_router_that_is_off_is_not_held_to_what_it_would_do() -> None:
    plan = compile_policy(load_policy(library_path("national")), national_network(90, seed=1))
    off, on = (router.id for router in plan.network.routers[:2])
    failed = Failures(routers=frozenset({off}))
    generation = first_generation(plan).with_paths(failed)
    rules = {router: RuleSet() if router == off else generation.rules(router) for router in plan.network.router}
    report = proved(plan, Dump.of(plan, rules, "read back", failed))
    assert report.violations == () and report.proofs
    emptied = {**rules, on: RuleSet()}
    assert proved(plan, Dump.of(plan, emptied, "read back", failed)).violations, "one that is on is"


def test_what_the_network_answered_is_a_check_and_in_the_result() -> None:
    plan = small_plan()
    fabric = intended(plan)
    asked = probe_packets(plan, fabric, SEED, most=20)
    kept = first(asked, Word.DENIED)
    leaked = Outcome(frozenset({Arrival(plan.network.sites[0].id, kept.packet)}))
    sound = side_by_side([answer(plan, fabric, each) for each in asked], [], SEED, {})
    leaky = side_by_side([answer(plan, fabric, kept, leaked)], [], SEED, {})
    deaf = side_by_side([answer(plan, fabric, asked[0], Outcome())], [], SEED, {})
    rows = list(as_rows(leaky))
    assert [(row["frame"], row["agrees"]) for row in rows] == [(kept.frame.hex(), False)]
    proofs = Proofs({}, {"before": sound, "after": leaky, "late": deaf})
    before, after, late = proofs.checks()
    assert (before.name, before.passed, after.passed, late.passed) == ("live-before", True, False, False)
    assert after.detail.startswith("leak: ") and "nothing is received" in late.detail
    told = json.loads(json.dumps(proofs.as_json()))["live"]
    assert told["before"]["violations"] == [] and told["after"]["violations"][0]["kind"] == "leak"
    assert {row["kind"] for row in told["before"]["answers"]} >= {"controls", "contracts"}
