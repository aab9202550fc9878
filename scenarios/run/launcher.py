"""A run from outside the sandbox: checks the input, starts the sandbox, and reports its end should it die.

Nothing is created before the input is known to be good.
"""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import dataclass
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
from helsewan.scenarios.results.report import INTERRUPTED, RESULT, Result, error_result, void_result, write_result
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.kept_inputs import keep
from helsewan.scenarios.run.preparation import Prepared
from helsewan.scenarios.spec.timeline.prepare import not_in_kernel
from helsewan.verification.cudd import load_cudd


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its directory, and its ``result.json``."""

    directory: Path
    result: Result

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 void, 70 an internal error, 77 a missing privilege."""
        return int(self.result["exit_code"])

    @property
    def interrupted(self) -> bool:
        """Whether the user ended it."""
        return any(reason.endswith(f": {INTERRUPTED}") for reason in self.result["void"])


def require(prepared: Prepared, forwarding: Forwarding) -> None:
    """Raise InputError for what this machine lacks for a run whose frames ``forwarding`` carries."""
    if prepared.scenario.spec.verify is not None:
        load_cudd()
    if forwarding.dataplane is Dataplane.KERNEL and (beyond := [*not_in_kernel(prepared.scenario)]):
        raise InputError(*beyond)
    sandbox.require()
    if forwarding.dataplane is Dataplane.KERNEL:
        probe.require()


def run(prepared: Prepared, forwarding: Forwarding, parent: Path, debug: bool) -> Ended:
    """Run in a sandbox of its own, with results in a new directory below ``parent``; prints where they are."""
    for replay in prepared.traffic.replays:
        for line in replay.told.lines():
            print(f"{replay.entry}: {line}", file=sys.stderr)
    directory = make_directory(parent)
    keep(directory, prepared, forwarding)
    plan = prepared.scenario, prepared.plan, prepared.timeline, prepared.traffic
    job = Job(*plan, directory, debug, forwarding, prepared.other_runs)
    with interrupts():
        status = run_in_sandbox("helsewan.scenarios.run.worker", job)
        handle_interrupts(signal.SIG_IGN)
        return Ended(directory, _conclude(job, status))


def _conclude(job: Job, status: int) -> Result:
    """Write a result where the sandbox left none, print where the result is, return it."""
    result = job.directory / RESULT
    if not result.exists():
        interrupted = status == ExitCode.VOID  # before the run began: later it writes a result
        reason = INTERRUPTED if interrupted else ending(status)
        if status in (ExitCode.INTERNAL_ERROR, ExitCode.MISSING_PRIVILEGE, ExitCode.BAD_INPUT):
            ended = error_result(job.directory, job.scenario, reason, ExitCode(status))
        else:
            ended = void_result(job.directory, job.scenario, reason)
        write_result(job.directory, ended)
        print(f"{ended['verdict']}: the run ended before its verdict: {reason}", file=sys.stderr)
    read: Result = json.loads(result.read_text(encoding="utf-8"))
    conclude(job.directory)
    Screen().print(f"result: {shown(result)}", markup=False, soft_wrap=True)
    return read
