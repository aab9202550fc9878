"""A trial of the verifier on faulty rules and policies, and its report."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.screen import Screen
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.policies.compile import Policy, compile_policy
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.topology.model import Network
from helsewan.verification.failures import SCOPES, cases
from helsewan.verification.findings import FailureCase, VerificationReport
from helsewan.verification.mutation.campaign import Campaign, FaultVerdict, Trial, changes_delivery, summary
from helsewan.verification.mutation.corpus import Corpus
from helsewan.verification.mutation.effect import Effect
from helsewan.verification.mutation.live import LiveDetection
from helsewan.verification.mutation.policy_faults import policy_mutants
from helsewan.verification.mutation.sampling import mutants
from helsewan.verification.mutation.state_faults import with_ports
from helsewan.verification.mutation.witness import FaultOracle, Witness
from helsewan.verification.static import Static, Verification, verify

_MAX_SHOWN = 8  # survivors listed per reason
_MAX_PROBES = 2_000  # of the live verifier, besides controls


@dataclass(frozen=True)
class TrialRequest:
    """The number of faults in rules and in policies, the seed of the sample, and which failures the verifier examines:
    ``none``, ``single`` or ``srlg``."""

    rules: int
    policies: int
    seed: int
    failures: str

    def __post_init__(self) -> None:
        """Raises InputError for a negative number or an unknown scope of failures."""
        for option, number in (("--number", self.rules), ("--policies", self.policies)):
            if number < 0:
                raise InputError(Problem(option, number, "is negative", "write 0 or more"))
        if self.failures not in SCOPES:
            raise InputError(Problem("--failures", self.failures, "is no scope", f"one of {', '.join(SCOPES)}"))


@dataclass(frozen=True)
class CampaignResult:
    """All trials, their duration, and the number of violations (``alarms``) reported for the correct rules."""

    trials: tuple[Trial, ...]
    took_s: float
    alarms: int

    @property
    def is_passed(self) -> bool:
        """Whether every fault that changes what passes between sites was caught, without any false alarm."""
        bad = {FaultVerdict.MISSED, FaultVerdict.FALSE_ALARM}
        return not self.alarms and not any(trial.verdict in bad for trial in self.trials)


def run_trials(policy: Policy, network: Network, request: TrialRequest) -> CampaignResult:
    """Samples the faults and runs the verifier on each. Raises InputError for a policy that does not compile."""
    plan = compile_policy(policy, network, now=utc_now())
    generation = first_generation(plan)
    rules = with_ports(network, {router.id: generation.rules(router.id) for router in network.routers})
    states = cases(network, request.failures)

    incremental = Verification(plan, Static(network, rules))

    def verifier(faulty: Mapping[str, RuleSet]) -> VerificationReport:
        """The full verification only where the incremental one of the changed router finds nothing: it is slower."""
        changed = [router for router, held in faulty.items() if held is not rules[router]]
        if len(changed) == 1 and (found := incremental.after_change(changed[0], faulty[changed[0]])):
            return VerificationReport(plan.policy, network.name, tuple(found), ())
        intact = verify(plan, faulty, states[:1])
        return intact if intact.violations else verify(plan, faulty, states)

    began = time.monotonic()
    alarms = len(verifier(rules).violations)
    corpus = Corpus(plan, rules, request.seed)
    campaign = Campaign(
        FaultOracle(corpus), verifier, states, LiveDetection(plan, corpus.fabric, request.seed, _MAX_PROBES)
    )
    trials: list[Trial] = []
    for trial in _trials(campaign, policy, request):
        trials.append(trial)
        _progress(len(trials), request.rules + request.policies)
    return CampaignResult(tuple(trials), time.monotonic() - began, alarms)


def _trials(campaign: Campaign, policy: Policy, request: TrialRequest) -> Iterator[Trial]:
    corpus = campaign.oracle.corpus
    network = corpus.plan.network
    yield from campaign.run(mutants(network, corpus.rules, request.rules, request.seed))
    yield from campaign.run_policies(policy_mutants(policy, network, request.policies, request.seed))
    if request.rules:
        yield nothing_left(corpus.plan, corpus.rules)


def nothing_left(plan: Plan, rules: Mapping[str, RuleSet]) -> Trial:
    """The trial of a network of which all routers are said to be down: nothing may be proved of it."""
    everything = FailureCase("all down", Failures(routers=frozenset(rules)))
    report = verify(plan, rules, [everything])
    verdict = FaultVerdict.MISSED if report.proofs else FaultVerdict.CAUGHT
    witness = Witness(Effect.REACHES, failures=everything.failures)
    return Trial("nothing left", "failures", "all routers are said to be down", witness, verdict, ("void",))


def print_result(result: CampaignResult, request: TrialRequest, as_json: bool) -> int:
    """Prints the result; returns the exit code."""
    if as_json:
        print(json.dumps(_as_json(result, request), indent=1))
        return ExitCode.PASS if result.is_passed else ExitCode.FAIL
    screen = Screen()
    screen.print(_table(result.trials))
    for reason, trials in _survivors(result.trials).items():
        screen.print(f"survived, {len(trials)}: {reason}", markup=False, style="bold")
        for trial in trials[:_MAX_SHOWN]:
            screen.print(f"  {trial.kind}, {trial.what}", markup=False)
    for trial in result.trials:
        if trial.verdict in (FaultVerdict.MISSED, FaultVerdict.FALSE_ALARM):
            screen.print(f"{trial.verdict.value}: {trial.kind}, {trial.what}: {trial.witness}", markup=False)
    screen.print(_summary_line(result, request), markup=False)
    return ExitCode.PASS if result.is_passed else ExitCode.FAIL


def _table(trials: Sequence[Trial]) -> Table:
    rendered = Table(title="faults", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("fault", "table"):
        rendered.add_column(name)
    for name in ("faults", "change what passes", "caught", "refused", "survived", "missed"):
        rendered.add_column(name, justify="right")
    for row in summary(trials):
        rendered.add_row(*map(str, row))
    return rendered


def _survivors(trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    """Survivors grouped by reason, with entries, labels and numbers left out of it."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.verdict is FaultVerdict.SURVIVED:
            reason = trial.why.split(" by table ")[0].split(" (met ")[0]
            found.setdefault(re.sub(r"[0-9]+", "…", reason), []).append(trial)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def _summary_line(result: CampaignResult, request: TrialRequest) -> str:
    counted = {verdict: sum(trial.verdict is verdict for trial in result.trials) for verdict in FaultVerdict}
    changing = sum(map(changes_delivery, result.trials))
    caught, live = counted[FaultVerdict.CAUGHT], sum(trial.live for trial in result.trials)
    harmless, alarms = counted[FaultVerdict.SURVIVED], counted[FaultVerdict.FALSE_ALARM] + result.alarms
    return (
        f"{len(result.trials)} faults (seed {request.seed}), {changing} change what passes between sites: {caught} "
        f"caught, {counted[FaultVerdict.MISSED]} missed; {counted[FaultVerdict.REFUSED]} refused by the compiler; "
        f"{harmless} do no harm; false alarms: {alarms}; the live verifier's questions print_result {live}; "
        f"{result.took_s:.0f} s"
    )


def _as_json(result: CampaignResult, request: TrialRequest) -> dict[str, object]:
    return {
        "seed": request.seed,
        "failures": request.failures,
        "passed": result.is_passed,
        "false_alarms_on_right_rules": result.alarms,
        "took_s": round(result.took_s, 1),
        "faults": [trial.as_json() for trial in result.trials],
    }


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} faults", end="" if done < of else "\n", file=sys.stderr, flush=True)
