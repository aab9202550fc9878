"""Runs as users start them: side by side, interrupted, killed at any moment. Nothing is ever left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
KILLS = 4  # moments at which a run is killed; each costs a start

# Small and short: what is tested here is the run, not the network.
SCENARIO = """
name: short
description: two calls and a few probes, and a fibre that is cut
network: {sites: 90, seed: 1}
policy: national
duration: 3 s
timeline:
  cut: {at: 1 s, fail: {link: oslo-hamar}}
  mended: {at: 2 s, restore: {link: oslo-hamar}}
phases: {before: {from: start, to: cut}}
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
checks:
  isolation: {metric: leaked, limit: "== 0"}
  heard: {metric: received, class: voice, over: together, limit: "> 0"}
"""


def start(directory: Path) -> subprocess.Popen[str]:
    """Start the short scenario with its results below ``directory``."""
    directory.mkdir(exist_ok=True)
    (directory / "short.yaml").write_text(SCENARIO)
    argv = [sys.executable, "-m", "scenarios.cli", "scenario", "run", "short.yaml"]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_TEST": str(directory)}
    return subprocess.Popen(argv, cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def traces(directory: Path) -> list[str]:
    """Processes that descend from a run in ``directory``, by the mark in their environment."""
    mark = f"HELSEWAN_TEST={directory}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(f"{process.name} {(process / 'cmdline').read_bytes()!r}")
        except OSError:  # it has ended meanwhile
            continue
    return found


def outside() -> tuple[str, str, bool]:
    """What a run could leave on the machine itself: interfaces, mounts, its directory below /run."""
    interfaces = "\n".join(sorted(path.name for path in Path("/sys/class/net").iterdir()))
    return interfaces, Path("/proc/self/mounts").read_text(), Path("/run/helsewan").exists()


def gone(directory: Path, deadline_s: float = 20.0) -> bool:
    """Whether all processes of the run are gone in time; the kernel takes a moment over many namespaces."""
    until = time.monotonic() + deadline_s
    while traces(directory):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def result_of(directory: Path) -> dict[str, object]:
    """The latest result of the run in ``directory``."""
    loaded: dict[str, object] = json.loads((directory / "results/short/latest/result.json").read_text())
    return loaded


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    """Each has its own world: neither sees the other, and both come to a verdict."""
    before = outside()
    runs = {name: start(tmp_path / name) for name in ("a", "b")}
    for name, run in runs.items():
        said, _ = run.communicate(timeout=120)
        assert run.returncode in (0, 3), said  # two at once may be more than the machine can carry
        result = result_of(tmp_path / name)
        checks = {check["name"]: check["passed"] for check in result["checks"]}  # type: ignore[attr-defined]
        assert checks == {"isolation": True, "heard": True}, said
        history = [json.loads(line) for line in (tmp_path / name / "results/short/latest/history.jsonl").open()]
        assert {"network-up", "cut", "mended", "verdict"} <= {event["event"] for event in history}
        assert gone(tmp_path / name)
    assert outside() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_run_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C or kill, once or in anger: the run says so in its result, and nothing is left."""
    run = start(tmp_path)
    assert run.stdout is not None
    while "programmed" not in (line := run.stdout.readline()):
        assert line, "the run ended early"
    for _ in range(1 if number is signal.SIGTERM else 4):
        run.send_signal(number)
        time.sleep(0.05)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 3, said
    assert "Traceback" not in said, said
    assert result_of(tmp_path)["verdict"] == "void"
    assert gone(tmp_path)


def test_an_interrupt_while_the_world_starts_is_heard(tmp_path: Path) -> None:
    """Ctrl-C before the world's first process can answer: it does when it can, without a traceback."""
    run = start(tmp_path)
    while not [trace for trace in traces(tmp_path) if "scenarios.inside" in trace]:
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 3, said
    assert "interrupted" in said and "Traceback" not in said, said
    assert gone(tmp_path)


def test_a_run_goes_on_when_its_reader_leaves(tmp_path: Path) -> None:
    """As under ``| head -1``: the verdict is the run's own, and is kept."""
    run = start(tmp_path)
    assert run.stdout is not None and run.stdout.readline()
    run.stdout.close()
    assert run.wait(120) in (0, 3)
    assert result_of(tmp_path)["exit_code"] == run.returncode
    assert result_of(tmp_path)["checks"], "the run was cut short"


@pytest.mark.parametrize("whom", ["outer", "world"])
def test_killed_at_any_moment_nothing_is_left(whom: str, tmp_path: Path, seed: int) -> None:
    """kill -9 of the command or of the world's first process: no process, interface or mount stays, and
    the next run starts."""
    before, moments = outside(), random.Random(f"{seed} {whom}")
    for attempt in range(KILLS // 2):
        directory = tmp_path / str(attempt)
        run = start(directory)
        time.sleep(moments.uniform(0.5, 8.0))  # the moment itself is what is drawn
        victims = [run.pid]
        if whom == "world":
            victims = [int(t.split()[0]) for t in traces(directory) if "scenarios.inside" in t and "unshare" not in t]
        for pid in victims[-1:]:
            os.kill(pid, signal.SIGKILL)
        said, _ = run.communicate(timeout=60)
        assert gone(directory), traces(directory)
        if whom == "world" and victims and run.returncode not in (0, 1):
            assert run.returncode == 3, said
            assert result_of(directory)["verdict"] == "void"
    assert outside() == before
    last = start(tmp_path / "last")
    said, _ = last.communicate(timeout=120)
    assert last.returncode in (0, 3) and "heard" in said, said


def test_a_router_that_dies_during_the_start_is_named_at_once(tmp_path: Path) -> None:
    """Nobody waits a minute for it to be programmed."""
    run = start(tmp_path)
    assert run.stdout is not None
    while "programming the routers" not in (line := run.stdout.readline()):
        assert line, "the run ended early"
    victims = [trace for trace in traces(tmp_path) if "b'ovs-vswitchd" in trace and "oslo-1" in trace]
    os.kill(int(victims[0].split()[0]), signal.SIGKILL)
    said, _ = run.communicate(timeout=30)  # the wait for the routers is twice as long
    assert run.returncode == 3, said
    assert "ended unexpectedly: oslo-1's ovs-vswitchd" in said, said
