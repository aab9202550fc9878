"""Shrinks a failing run to a smallest scenario that still fails, by running smaller ones."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.screen import Screen
from helsewan.lab.processes.run_directory import conclude, make_directory, shown
from helsewan.lab.processes.sandbox_process import interrupts
from helsewan.scenarios.repetition import reduction
from helsewan.scenarios.repetition.campaign import RUNS
from helsewan.scenarios.repetition.delta_debugging import least, smallest
from helsewan.scenarios.repetition.summary import SUMMARY, RunOutcome
from helsewan.scenarios.results.checks import RunVerdict
from helsewan.scenarios.results.report import RESULT, Result
from helsewan.scenarios.run.kept_inputs import FOLDER, INDEX, SCENARIO, KeptInputs, filled_in, kept
from helsewan.scenarios.run.launcher import Ended, require, run
from helsewan.scenarios.run.preparation import prepare_scenario
from helsewan.scenarios.spec.spec import read_scenario

ARGUMENT = "RESULTS"
SMALLEST = "smallest"  # the folder of the scenario that is found
TRIES = 3  # of a run that is void, and of the first that has to fail again

Data = dict[str, Any]
Attempt = Callable[[Data], RunOutcome | None]


class RunsSpent(Exception):
    """No more runs may be made."""


@dataclass
class Search:
    """Looks for a smaller scenario that fails by one of the checks ``failing``. ``attempt`` runs a scenario; None: it
    is none. ``found`` is the smallest that failed so far, ``runs`` how many were made, ``most`` how many may be."""

    attempt: Attempt
    failing: frozenset[str]
    most: int
    found: Data | None = None
    outcome: RunOutcome | None = None
    runs: int = 0
    undecided: int = 0  # scenarios all of whose runs were void
    _known: dict[str, bool] = field(default_factory=dict)

    def fails(self, data: Data) -> bool:
        """Whether a scenario fails as the first run did. Void runs are repeated; what stays void counts as no failure.
        Raises RunsSpent."""
        if not self.failing & {*data["checks"], *data.get("assert", {})} and not self._by_proof(data):
            return False
        key = json.dumps(data, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._run(data)
        return self._known[key]

    def fails_again(self, data: Data) -> bool:
        """Whether the failed scenario fails once more, in at most ``TRIES`` runs. Raises RunsSpent."""
        for _ in range(TRIES):
            self._known.clear()
            if self.fails(data):
                return True
        return False

    def _by_proof(self, data: Data) -> bool:
        """Whether the failure is one of the proofs of isolation, which are checks without an entry."""
        return "verify" in data and any(name.startswith(("proof-", "live-")) for name in self.failing)

    def _run(self, data: Data) -> bool:
        for _ in range(TRIES):
            if self.runs >= self.most:
                raise RunsSpent
            outcome = self.attempt(data)
            if outcome is None:
                return False
            self.runs += 1
            if outcome.verdict in (RunVerdict.PASS.value, RunVerdict.FAIL.value):
                failed = bool(self.failing & set(outcome.failed))
                if failed:
                    self.found, self.outcome = data, outcome
                return failed
        self.undecided += 1
        return False

    def shrink(self, data: Data) -> None:
        """Make ``data``, which fails, as small as can be: first its events, then how long they last, then its traffic
        and how much of it. Raises RunsSpent; ``found`` is the smallest until then."""
        whole = data
        groups = smallest(reduction.event_groups(whole), lambda part: self.fails(_with_groups(whole, part)))
        data = with_events = _with_groups(whole, groups)
        for name, lasts_us in reduction.durations(with_events):
            data = self._lowered(data, name, lasts_us, reduction.LEAST_US, reduction.with_duration)
        all_traffic = data

        def fails_with(names: Sequence[str]) -> bool:
            return bool(names) and self.fails(reduction.only_traffic(all_traffic, names))

        data = with_traffic = reduction.only_traffic(data, smallest(list(data["traffic"]), fails_with))
        for name, count in reduction.counts(with_traffic):
            data = self._lowered(data, name, count, 1, reduction.with_count)

    def _lowered(self, data: Data, name: str, value: int, floor: int, change: Callable[[Data, str, int], Data]) -> Data:
        """``data`` with the least value of an entry's setting, from ``floor`` to ``value``, with which it fails."""
        return change(data, name, least(value, floor, lambda each: self.fails(change(data, name, each))))


def _with_groups(data: Data, groups: Sequence[Sequence[str]]) -> Data:
    return reduction.only_events(data, {name for group in groups for name in group})


def shrink(results: Path, parent: Path, most_runs: int, debug: bool) -> int:
    """Find a smallest scenario that fails as the run in ``results`` did (a run, or a campaign, of which the first that
    failed is taken), with at most ``most_runs`` runs; it is written below ``parent``. Returns 0, or 3 where the run
    does not fail again or was interrupted. Raises InputError for results that cannot be run again or did not fail."""
    if most_runs < 1:
        raise InputError(Problem("--max-runs", most_runs, "is no number of runs", "write 1 or more"))
    failed = _failed_run(results)
    before = RunOutcome(failed.name, _result(failed / RESULT))
    if before.verdict != RunVerdict.FAIL.value:
        reason = f"is a run with the verdict {before.verdict}: there is no failure to shrink"
        raise InputError(Problem(ARGUMENT, str(results), reason, "name a run that failed"))
    inputs = kept(failed)
    prepared = inputs.prepare()
    require(prepared, inputs.forwarding)
    directory = make_directory(parent / prepared.scenario.name)
    failing = frozenset(before.failed)
    data = reduction.only_checks(filled_in(prepared.scenario), failing)
    search = Search(_attempt(inputs, directory / RUNS, debug), failing, most_runs)
    ended = ""
    with interrupts():
        try:
            if search.fails_again(data):
                search.shrink(data)
        except RunsSpent:
            ended = f"after {search.runs} runs, which are as many as it may make"
        except KeyboardInterrupt:
            ended = "by an interrupt"
    return _conclude(search, directory, failing, ended)


def _attempt(inputs: KeptInputs, parent: Path, debug: bool) -> Attempt:
    """Runs a scenario that was made of the inputs of a run. KeyboardInterrupt where the user ends it."""

    def attempt(data: Data) -> RunOutcome | None:
        try:
            scenario = read_scenario(replace(inputs.scenario.document, data=data))
            prepared = prepare_scenario(scenario, inputs.policy_at)
        except InputError:
            return None  # what was left out is needed by what is left
        ended: Ended = run(prepared, inputs.forwarding, parent, debug)
        if ended.interrupted:
            raise KeyboardInterrupt
        return RunOutcome(ended.directory.name, ended.result)

    return attempt


def _conclude(search: Search, directory: Path, failing: frozenset[str], ended: str) -> int:
    screen = Screen()

    def say(text: str) -> None:
        screen.print(text, markup=False, highlight=False, soft_wrap=True)

    code = ExitCode.PASS
    if search.undecided:
        say(f"{search.undecided} smaller scenarios were void in each of {TRIES} runs, and left alone")
    if search.outcome is None:
        say(f"{', '.join(sorted(failing))}: did not fail again in {search.runs} runs: there is nothing to shrink")
        code = ExitCode.VOID
    else:
        target = directory / SMALLEST
        ignored = shutil.ignore_patterns(INDEX)
        shutil.copytree(directory / RUNS / search.outcome.directory / FOLDER, target, ignore=ignored)
        say(f"fails still by {', '.join(search.outcome.failed)}; {search.runs} runs were made")
        say(f"smallest: {shown(target / SCENARIO)}")
    if ended:
        print(f"the search ended {ended}; a smaller scenario may fail too", file=sys.stderr)
        code = ExitCode.VOID if "interrupt" in ended else code
    conclude(directory)
    return code


def _failed_run(results: Path) -> Path:
    """The directory of the failed run that ``results`` mean."""
    directory = results.parent if results.is_file() else results
    summary = directory / SUMMARY
    if not summary.exists():
        return directory
    failed = [row["run"] for row in _result(summary)["runs"] if row["verdict"] == RunVerdict.FAIL.value]
    if not failed:
        raise InputError(Problem(ARGUMENT, str(results), "is a campaign in which no run failed", "name another"))
    return directory / str(failed[0])


def _result(path: Path) -> Result:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        read = None
    if not isinstance(read, dict) or "schema" not in read:
        hint = "give the directory of a run or of a campaign"
        raise InputError(Problem(ARGUMENT, str(path), "is no result", hint))
    return read
