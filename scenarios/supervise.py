"""The outer half of a run: checks the input, makes the world, and speaks for it should it die.

Nothing is created before the input is known to be good. The world's first process gets its job as a
pickle in an anonymous file; only this program writes or reads it.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from emulation import world
from policies.compile import compile_policy, library_path, load_policy
from scenarios.checks import Verdict
from scenarios.flows import plan_traffic
from scenarios.job import Job
from scenarios.report import RESULT, void_result, write_result
from scenarios.screen import Screen
from scenarios.spec import Scenario, load_scenario
from scenarios.targets import resolve_timeline
from topology.errors import InputError, Problem
from topology.national import national_network

PACKAGES = Path(__file__).parents[1]  # where Python finds this project, whatever lies in the user's directory
GRACE_S = 15.0  # for the world to write its results after an interrupt
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


def run_scenario(
    name: str, settings: dict[str, str], seed: int | None, sites: int | None, results: Path, debug: bool
) -> int:
    """Run scenario ``name`` in a world of its own; returns the exit code (0 pass, 1 fail, 3 void).

    Raises InputError for anything wrong with the input or missing on the machine, before anything exists."""
    scenario = load_scenario(name, settings, seed=seed, sites=sites)
    spec = scenario.spec
    network = national_network(spec.network.sites, spec.network.seed, spec.network.swedish_route)
    plan = compile_policy(load_policy(_policy_file(scenario)), network)
    targets = resolve_timeline(spec, network, scenario.document)
    traffic = plan_traffic(spec, plan, scenario.document)
    world.require()
    directory = _make_directory(results / spec.name)
    job = Job(scenario, plan, targets, traffic, directory, debug)
    with _interrupts():
        status = _run_in_world(job)
        _answer_interrupts(signal.SIG_IGN)
        return _conclude(job, status)


def _policy_file(scenario: Scenario) -> Path:
    """The scenario's policy: a name of the library or a path; InputError at the scenario's line for neither."""
    try:
        return library_path(scenario.policy)
    except InputError as error:
        where = scenario.document.where(("policy",))
        raise InputError(*(replace(problem, where=where) for problem in error.problems)) from None


@contextmanager
def _interrupts() -> Iterator[None]:
    """Meanwhile SIGTERM is an interrupt as Ctrl-C is; what the caller made of both holds again afterwards."""
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    _answer_interrupts(signal.default_int_handler)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def _answer_interrupts(action: signal._HANDLER) -> None:
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # whoever started us wants it ignored
            signal.signal(number, action)


def _run_in_world(job: Job) -> int:
    """Run ``job`` in a world of its own, to its end or an interrupt; returns its exit status, or -signal.

    The world holds its first interrupt back until it can answer, hears of the terminal's through us only,
    and knows by its standard input whether we were still there when it began."""
    file = os.memfd_create("helsewan-job")
    with open(os.dup(file), "wb") as writing:
        pickle.dump(job, writing)
    os.lseek(file, 0, os.SEEK_SET)
    argv = world.command([sys.executable, "-m", "scenarios.inside", str(file)])
    early: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    # The mask is for the world to inherit. Here a library's thread may take the signal in spite of it, and Popen must
    # not be left halfway: the world would have nobody to tell it.
    _answer_interrupts(lambda number, _: early.append(number))
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=[file], cwd=PACKAGES, start_new_session=True)
    finally:
        os.close(file)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        _answer_interrupts(signal.default_int_handler)
        return _interrupt(process) if early else process.wait()
    except KeyboardInterrupt:
        return _interrupt(process)


def _interrupt(process: subprocess.Popen[bytes]) -> int:
    """Let the world end in order; end it by force when that takes long or the user asks again."""
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        if process.stdin is not None:
            process.stdin.close()  # a world that has not begun yet misses the signal, but not this
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        return process.wait(GRACE_S)
    _answer_interrupts(signal.SIG_IGN)
    process.kill()
    return process.wait()


def _conclude(job: Job, status: int) -> int:
    """Leave a result whatever the end was, say where it is, and return the verdict's exit code."""
    result = job.directory / RESULT
    if not result.exists():
        ending = f"signal {-status}" if status < 0 else f"exit status {status}"
        reason = "interrupted" if status == Verdict.VOID.exit_code else ending  # so a world ends that we left early
        write_result(job.directory, void_result(job.directory, job.scenario, reason))
        print(f"void: the run ended before its verdict: {reason}", file=sys.stderr)
    code = int(json.loads(result.read_text(encoding="utf-8"))["exit_code"])
    _hand_over(*job.directory.rglob("*"))
    _point_latest(job.directory)
    Screen().print(f"result: {_shown(result)}", markup=False, soft_wrap=True)
    return code


def _make_directory(parent: Path) -> Path:
    """A new directory for one run, named by its start; two runs in one second get different names.

    Raises InputError where there can be none."""
    if world.hides(parent):
        raise InputError(Problem("--results", str(parent), f"is below {world.RUN_DIR.parent}, which a run hides"))
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    try:
        for missing in reversed([directory for directory in (parent, *parent.parents) if not directory.exists()]):
            missing.mkdir(exist_ok=True)
            _hand_over(missing)
        for attempt in range(100):
            directory = parent / (stamp if attempt == 0 else f"{stamp}-{attempt}")
            with suppress(FileExistsError):
                directory.mkdir()
                (directory / "logs").mkdir()
                _hand_over(directory)
                return directory.resolve()
    except OSError as error:
        raise InputError(
            Problem("--results", str(parent), error.strerror or str(error), "name another place")
        ) from error
    raise InputError(Problem("--results", str(parent), "a hundred runs began this second"))


def _point_latest(directory: Path) -> None:
    """Point ``latest`` at ``directory`` in one step, so that it never is missing; say so where that is not to be."""
    temporary = directory.parent / f".latest-{directory.name}"
    try:
        temporary.symlink_to(directory.name)
        _hand_over(temporary)
        temporary.replace(directory.parent / "latest")
    except OSError as error:  # a file system without links, or a directory of that name
        temporary.unlink(missing_ok=True)
        print(f"results: no link to the latest run: {error.strerror}", file=sys.stderr)


def _hand_over(*made: Path) -> None:
    """Under sudo what a run made belongs to the user who asked for it."""
    if os.geteuid() == 0 and "SUDO_UID" in os.environ:
        for path in made:
            owner, group = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", -1))
            os.chown(path, owner, group, follow_symlinks=False)


def _shown(path: Path) -> Path:
    """The path as the user would write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
