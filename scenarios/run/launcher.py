"""A run from outside the sandbox: checks the input, starts the sandbox, and reports its end should it die.

Nothing is created before the input is known to be good.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.screen import Screen
from helsewan.emulation.kernel import probe
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.processes.run_directory import conclude, make_directory, shown
from helsewan.lab.processes.sandbox_process import ending, handle_interrupts, interrupts, run_in_sandbox
from helsewan.policies.compile import policy_path
from helsewan.policies.plan_source import load_network_plan
from helsewan.scenarios.results.report import RESULT, error_result, void_result, write_result
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.spec.spec import Scenario, load_scenario
from helsewan.scenarios.spec.timeline.targets import resolve_timeline
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.verification.cudd import load_cudd


def run_scenario(
    name: str,
    settings: dict[str, str],
    seed: int | None,
    sites: int | None,
    results: Path,
    debug: bool,
    forwarding: Forwarding,
) -> int:
    """Run scenario ``name`` in a sandbox of its own, with frames carried by ``forwarding``; returns the exit code
    (0 pass, 1 fail, 3 void, 70 an internal error, 77 a missing privilege).

    Raises InputError for anything wrong with the input or missing on the machine, before anything is created."""
    scenario = load_scenario(name, settings, seed=seed, sites=sites)
    spec = scenario.spec
    if spec.verify is not None:
        load_cudd()
    requested = spec.network
    policy = _policy_file(scenario)
    plan = load_network_plan(policy, scenario.source, requested.sites, requested.seed, requested.swedish_route)
    targets = resolve_timeline(spec, plan.network, scenario.document)
    traffic = plan_traffic(spec, plan, scenario.document)
    for replay in traffic.replays:
        for line in replay.told.lines():
            print(f"{replay.entry}: {line}", file=sys.stderr)
    sandbox.require()
    if forwarding.dataplane is Dataplane.KERNEL:
        probe.require()
    directory = make_directory(results / spec.name)
    job = Job(scenario, plan, targets, traffic, directory, debug, forwarding)
    with interrupts():
        status = run_in_sandbox("helsewan.scenarios.run.worker", job)
        handle_interrupts(signal.SIG_IGN)
        return _conclude(job, status)


def _policy_file(scenario: Scenario) -> Path:
    """The scenario's policy: a name of the library, or a path relative to the scenario's file. Raises InputError, with
    the scenario's line, for neither."""
    try:
        return Path(scenario.document.name).parent / policy_path(scenario.policy)
    except InputError as error:
        where = scenario.document.where(("policy",))
        raise InputError(*(replace(problem, where=where) for problem in error.problems)) from None


def _conclude(job: Job, status: int) -> int:
    """Write a result where the sandbox left none, print where the result is, return the verdict's exit code."""
    result = job.directory / RESULT
    if not result.exists():
        interrupted = status == ExitCode.VOID  # before the run began: later it writes a result
        reason = "interrupted" if interrupted else ending(status)
        if status in (ExitCode.INTERNAL_ERROR, ExitCode.MISSING_PRIVILEGE, ExitCode.BAD_INPUT):
            ended = error_result(job.directory, job.scenario, reason, ExitCode(status))
        else:
            ended = void_result(job.directory, job.scenario, reason)
        write_result(job.directory, ended)
        print(f"{ended['verdict']}: the run ended before its verdict: {reason}", file=sys.stderr)
    code = int(json.loads(result.read_text(encoding="utf-8"))["exit_code"])
    conclude(job.directory)
    Screen().print(f"result: {shown(result)}", markup=False, soft_wrap=True)
    return code
