"""Runs a scenario once, or again and again with seeds of its own, and summarises what the runs came to."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.screen import Screen
from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.lab.processes.run_directory import conclude, make_directory, shown
from helsewan.lab.processes.sandbox_process import handle_interrupts, interrupts
from helsewan.scenarios.repetition.random_faults import DISTRIBUTION, with_random_faults
from helsewan.scenarios.repetition.seeds import derived_seed
from helsewan.scenarios.repetition.summary import SUMMARY, RunOutcome, print_summary, summarise
from helsewan.scenarios.run.kept_inputs import kept
from helsewan.scenarios.run.launcher import Ended, require, run
from helsewan.scenarios.run.preparation import Prepared, prepare, prepare_scenario
from helsewan.scenarios.spec.values import MOST_RUNS

RUNS = "runs"  # the folder of a campaign's runs


@dataclass(frozen=True)
class Request:
    """A scenario, by name or path, and the options of the command line; ``repeat`` None: as often as its file says;
    ``faults``: random ones are added to its timeline."""

    name: str
    settings: Mapping[str, str]
    seed: int | None
    sites: int | None
    repeat: int | None
    faults: bool
    forwarding: Forwarding
    results: Path
    debug: bool


def run_scenario(request: Request) -> int:
    """Run a scenario as often as asked. Returns the exit code: 0 where every run passed, 1 where one failed, else 3
    (void), 70 or 77. Raises InputError for anything wrong with the input of any run, before anything is created."""
    if request.repeat is not None and not 1 <= request.repeat <= MOST_RUNS:
        hint = f"write a number from 1 to {MOST_RUNS}"
        raise InputError(Problem("--repeat", request.repeat, "is no number of runs", hint))
    first = _prepared(request, None, 1)
    require(first, request.forwarding)
    spec = first.scenario.spec
    count = request.repeat or spec.repeat
    if count == 1:
        return run(first, request.forwarding, request.results / spec.name, request.debug).exit_code
    own_seed = spec.network.seed
    for number in range(2, count + 1):
        _prepared(request, own_seed, number)  # all input is looked at before anything starts
    return _campaign(request, first, count)


def replay(results: Path, parent: Path, debug: bool) -> int:
    """Run exactly that again whose ``results`` these are. Returns the exit code. Raises InputError where its inputs are
    no longer what they were. Software of other versions is told."""
    inputs = kept(results)
    prepared = inputs.prepare()
    require(prepared, inputs.forwarding)
    for name, (before, now) in inputs.other_versions.items():
        print(f"warning: the run had {name} {before}, this machine has {now}", file=sys.stderr)
    return run(prepared, inputs.forwarding, parent / prepared.scenario.name, debug).exit_code


def _prepared(request: Request, own_seed: int | None, number: int) -> Prepared:
    """Run ``number`` of a campaign, ready. ``own_seed`` is the scenario's; None: not known yet, for the first run."""
    seed = request.seed if own_seed is None else derived_seed(own_seed, number)
    prepared = prepare(request.name, request.settings, seed=seed, sites=request.sites)
    if not request.faults:
        return prepared
    return prepare_scenario(with_random_faults(prepared.scenario, prepared.plan.network), prepared.policy_at)


def _campaign(request: Request, first: Prepared, count: int) -> int:
    spec = first.scenario.spec
    directory = make_directory(request.results / spec.name)
    faults = asdict(DISTRIBUTION) if request.faults else None
    screen, outcomes = Screen(), list[RunOutcome]()
    with interrupts():
        try:
            for ended in _runs(request, first, count, directory / RUNS):
                outcomes.append(RunOutcome(f"{RUNS}/{ended.directory.name}", ended.result))
                if ended.interrupted or ended.exit_code > ExitCode.VOID:  # another run would end the same way
                    break
        except KeyboardInterrupt:  # between two runs
            pass
        handle_interrupts(signal.SIG_IGN)
        summary = summarise(spec.name, spec.network.seed, faults, outcomes)
        if len(outcomes) < count:
            summary["exit_code"] = summary["exit_code"] or ExitCode.VOID
            print(f"{count - len(outcomes)} of {count} runs were not made", file=sys.stderr)
        path = directory / SUMMARY
        path.write_text(json.dumps(summary, ensure_ascii=False, allow_nan=False, indent=1) + "\n", encoding="utf-8")
        print_summary(summary, screen)
        conclude(directory)
        screen.print(f"summary: {shown(path)}", markup=False, soft_wrap=True)
    return int(summary["exit_code"])


def _runs(request: Request, first: Prepared, count: int, parent: Path) -> Iterator[Ended]:
    own_seed = first.scenario.spec.network.seed
    for number in range(1, count + 1):
        prepared = first if number == 1 else replace(_prepared(request, own_seed, number), policy_at=first.policy_at)
        seed = prepared.scenario.spec.network.seed
        Screen().print(f"run {number} of {count}, seed {seed}", markup=False, highlight=False, soft_wrap=True)
        yield run(prepared, request.forwarding, parent, request.debug)
