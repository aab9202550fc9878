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
from helsewan.common.screen import Screen
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.compile import Policy, compile_policy
from helsewan.policies.language.timestamps import utc_now
from helsewan.topology.model import Network
from helsewan.verification.failures import SCOPES, cases
from helsewan.verification.findings import VerificationReport
from helsewan.verification.mutation.campaign import Campaign, FaultVerdict, Trial, changes, table
from helsewan.verification.mutation.corpus import Corpus
from helsewan.verification.mutation.live import Live
from helsewan.verification.mutation.policy_faults import policy_mutants
from helsewan.verification.mutation.sampling import mutants
from helsewan.verification.mutation.witness import FaultOracle
from helsewan.verification.static import Static, Verification, verify

_SHOWN = 8  # survivors of one reason
_QUESTIONS = 2_000  # of the live verifier


@dataclass(frozen=True)
class TrialRequest:
    """How many faults in rules and in policies, drawn with what seed, looked at under which failures (``none``,
    ``single`` or ``srlg``)."""

    rules: int
    policies: int
    seed: int
    failures: str

    def __post_init__(self) -> None:
        """Raises InputError for numbers that make no sense."""
        for option, number in (("--number", self.rules), ("--policies", self.policies)):
            if number < 0:
                raise InputError(Problem(option, number, "is less than none", "write 0 or more"))
        if self.failures not in SCOPES:
            raise InputError(Problem("--failures", self.failures, "is no scope", f"one of {', '.join(SCOPES)}"))


@dataclass(frozen=True)
class Outcome:
    """All trials, how long they took, and what the verifier says of the right rules: nothing, if it is sound."""

    trials: tuple[Trial, ...]
    took_s: float
    alarms: int

    @property
    def is_passed(self) -> bool:
        """Whether every fault that changes what passes between sites was caught, and nothing else raised an alarm."""
        bad = {FaultVerdict.MISSED, FaultVerdict.FALSE_ALARM}
        return not self.alarms and not any(trial.verdict in bad for trial in self.trials)


def try_out(policy: Policy, network: Network, wanted: TrialRequest) -> Outcome:
    """Makes the faults and tries them, one after the other. Raises InputError for a policy that is wrong already."""
    plan = compile_policy(policy, network, now=utc_now())
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in network.routers}
    states = cases(network, wanted.failures)

    right = Verification(plan, Static(network, rules))

    def verifier(faulty: Mapping[str, RuleSet]) -> VerificationReport:
        """Everything is gone through only where nothing is wrong that one changed router shows."""
        changed = [router for router, held in faulty.items() if held is not rules[router]]
        if len(changed) == 1 and (found := right.after_change(changed[0], faulty[changed[0]])):
            return VerificationReport(plan.policy, network.name, tuple(found), ())
        return verify(plan, faulty, states)

    began = time.monotonic()
    alarms = len(verifier(rules).violations)
    corpus = Corpus(plan, rules, wanted.seed)
    campaign = Campaign(FaultOracle(corpus), verifier, states, Live(plan, corpus.fabric, wanted.seed, _QUESTIONS))
    trials: list[Trial] = []
    for trial in _trials(campaign, policy, wanted):
        trials.append(trial)
        _progress(len(trials), wanted.rules + wanted.policies)
    return Outcome(tuple(trials), time.monotonic() - began, alarms)


def _trials(campaign: Campaign, policy: Policy, wanted: TrialRequest) -> Iterator[Trial]:
    corpus = campaign.jury.corpus
    network = corpus.plan.network
    yield from campaign.run(mutants(network, corpus.rules, wanted.rules, wanted.seed))
    yield from campaign.run_policies(policy_mutants(policy, network, wanted.policies, wanted.seed))


def show(outcome: Outcome, wanted: TrialRequest, as_json: bool) -> int:
    """Prints the report; returns the exit code."""
    if as_json:
        print(json.dumps(_plain(outcome, wanted), indent=1))
        return ExitCode.PASS if outcome.is_passed else ExitCode.FAIL
    screen = Screen()
    screen.print(_table(outcome.trials))
    for reason, trials in _survivors(outcome.trials).items():
        screen.print(f"survived, {len(trials)}: {reason}", markup=False, style="bold")
        for trial in trials[:_SHOWN]:
            screen.print(f"  {trial.kind}, {trial.what}", markup=False)
    for trial in outcome.trials:
        if trial.verdict in (FaultVerdict.MISSED, FaultVerdict.FALSE_ALARM):
            screen.print(f"{trial.verdict.value}: {trial.kind}, {trial.what}: {trial.witness}", markup=False)
    screen.print(_sum(outcome, wanted), markup=False)
    return ExitCode.PASS if outcome.is_passed else ExitCode.FAIL


def _table(trials: Sequence[Trial]) -> Table:
    shown = Table(title="faults", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("fault", "table"):
        shown.add_column(name)
    for name in ("made", "change what passes", "caught", "refused", "survived", "missed"):
        shown.add_column(name, justify="right")
    for row in table(trials):
        shown.add_row(*map(str, row))
    return shown


def _survivors(trials: Iterable[Trial]) -> dict[str, list[Trial]]:
    """Survivors by why they survived: entries, labels and numbers of packets aside."""
    found: dict[str, list[Trial]] = {}
    for trial in trials:
        if trial.verdict is FaultVerdict.SURVIVED:
            reason = trial.why.split(" by table ")[0].split(" (met ")[0]
            found.setdefault(re.sub(r"[0-9]+", "…", reason), []).append(trial)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def _sum(outcome: Outcome, wanted: TrialRequest) -> str:
    counted = {verdict: sum(trial.verdict is verdict for trial in outcome.trials) for verdict in FaultVerdict}
    changing = sum(map(changes, outcome.trials))
    caught, live = counted[FaultVerdict.CAUGHT], sum(trial.live for trial in outcome.trials)
    harmless, alarms = counted[FaultVerdict.SURVIVED], counted[FaultVerdict.FALSE_ALARM] + outcome.alarms
    return (
        f"{len(outcome.trials)} faults (seed {wanted.seed}), {changing} change what passes between sites: {caught} "
        f"caught, {counted[FaultVerdict.MISSED]} missed; {counted[FaultVerdict.REFUSED]} refused by the compiler; "
        f"{harmless} do no harm; false alarms: {alarms}; the live verifier's questions show {live}; "
        f"{outcome.took_s:.0f} s"
    )


def _plain(outcome: Outcome, wanted: TrialRequest) -> dict[str, object]:
    return {
        "seed": wanted.seed,
        "failures": wanted.failures,
        "passed": outcome.is_passed,
        "false_alarms_on_right_rules": outcome.alarms,
        "took_s": round(outcome.took_s, 1),
        "faults": [trial.as_json() for trial in outcome.trials],
    }


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} faults", end="" if done < of else "\n", file=sys.stderr, flush=True)
