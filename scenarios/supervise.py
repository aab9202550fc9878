"""The outer half of a run: checks the input, makes the world, and speaks for it should it die.

Nothing is created before the input is known to be good. The world's first process gets its job as a
pickle in an anonymous file; only this program writes or reads it.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from emulation import world
from policies.compile import compile_policy, library_path, load_policy
from scenarios.flows import plan_traffic
from scenarios.job import Job
from scenarios.report import void_result, write_result
from scenarios.spec import Scenario, load_scenario
from scenarios.targets import resolve_timeline
from topology.errors import InputError, Problem
from topology.national import national_network

VOID = 3
GRACE_S = 15.0  # for the world to write its results after an interrupt


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
    (directory / "logs").mkdir()
    return _run_in_world(Job(scenario, plan, targets, traffic, directory, debug))


def _policy_file(scenario: Scenario) -> Path:
    """The scenario's policy: a name of the library or a path; InputError at the scenario's line for neither."""
    try:
        return library_path(scenario.policy)
    except InputError as error:
        where = scenario.document.where(("policy",))
        raise InputError(*(replace(problem, where=where) for problem in error.problems)) from None


def _run_in_world(job: Job) -> int:
    """Start the world, wait for its end, and leave a result whatever the end was."""
    reading = os.memfd_create("helsewan-job")
    with open(os.dup(reading), "wb") as file:
        pickle.dump(job, file)
    os.lseek(reading, 0, os.SEEK_SET)
    argv = world.command([sys.executable, "-m", "scenarios.inside", str(reading)])
    process = subprocess.Popen(argv, pass_fds=[reading])
    os.close(reading)
    stopped = signal.signal(signal.SIGTERM, lambda *_: process.kill())
    try:
        status = process.wait()
    except KeyboardInterrupt:  # the terminal sent it to the world as well
        status = _wait_gracefully(process)
    finally:
        signal.signal(signal.SIGTERM, stopped)
    if not (job.directory / "result.json").exists():
        ending = f"signal {-status}" if status < 0 else f"exit status {status}"
        write_result(job.directory, void_result(job.directory, job.scenario, ending))
        status = VOID
        print(f"void: the run ended before its verdict; what is known is in {job.directory}", file=sys.stderr)
    _point_latest(job.directory)
    _hand_over(job.directory.parent)
    return status


def _wait_gracefully(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(GRACE_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        return process.wait()


def _make_directory(parent: Path) -> Path:
    """A new directory for one run, named by its start; two runs in one second get different names."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for attempt in range(100):
        directory = parent / (stamp if attempt == 0 else f"{stamp}-{attempt}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(Problem("--results", str(parent), error.strerror or str(error))) from error
        return directory.resolve()
    raise InputError(Problem("--results", str(parent), "a hundred runs began this second"))


def _point_latest(directory: Path) -> None:
    """Point ``latest`` at ``directory`` in one step, so that it never is missing."""
    temporary = directory.parent / f".latest-{directory.name}"
    temporary.symlink_to(directory.name)
    temporary.replace(directory.parent / "latest")


def _hand_over(tree: Path) -> None:
    """Under sudo the results belong to the user who asked for them."""
    if "SUDO_UID" not in os.environ:
        return
    owner, group = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", -1))
    for path in (tree.parent, tree, *tree.rglob("*")):
        os.chown(path, owner, group, follow_symlinks=False)
