"""A run that is starved on purpose says so: which part, and in which second."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]

# Voice everywhere: every large router has something to carry all the time.
SCENARIO = """
name: starved
description: many calls, for a moment
network: {sites: 90, seed: 1}
policy: national
duration: 6 s
traffic:
  calls: {kind: voice, service: voice, count: 12, from: {kind: [hospital]}, to: {kind: [hospital]}}
checks:
  heard: {metric: received, class: voice, over: together, limit: "> 0"}
"""


class Starved:
    """A run of the scenario, with its processes at hand."""

    def __init__(self, directory: Path) -> None:
        (directory / "starved.yaml").write_text(SCENARIO)
        self._directory, self._mark = directory, f"HELSEWAN_TEST={directory}".encode()
        argv = [sys.executable, "-m", "scenarios.cli", "scenario", "run", "starved.yaml"]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_TEST": str(directory)}
        self.process = subprocess.Popen(
            argv, cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def busiest(self, program: str) -> tuple[int, list[str]]:
        """Of the run's processes with ``program`` in their command line the one that ran most since it began."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
                if program in words and self._mark in (process / "environ").read_bytes().split(b"\0"):
                    ran_ns = int((process / "schedstat").read_text().split()[0])
                    found.append((ran_ns, int(process.name), words))
            except OSError:  # it has ended meanwhile
                continue
        _, pid, words = max(found)
        return pid, words

    def wait_for_second(self, second: int) -> None:
        """Until the run is in that second of its traffic, by its own history."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            if any(event.get("second", -1) >= second - 1 for event in self.history()):
                return
            time.sleep(0.02)
        pytest.fail(f"the run never came to second {second}")

    def history(self) -> list[dict[str, Any]]:
        """Events so far."""
        try:
            text = (self._directory / "results/starved/latest/history.jsonl").read_text()
        except FileNotFoundError:
            (path,) = (*self._directory.glob("results/starved/2*/history.jsonl"), None)[:1]
            text = path.read_text() if path else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def reasons(self) -> list[dict[str, Any]]:
        """How the run was found, once it has ended."""
        said, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 3, said
        result = json.loads((self._directory / "results/starved/latest/result.json").read_text())
        assert result["validity"]["grade"] == "void"
        assert "void: " in said, said
        reasons: list[dict[str, Any]] = result["validity"]["reasons"]
        return reasons


def hold(pid: int, seconds: float) -> None:
    """Stop a process and let it go on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)  # how long it is stopped is what is tested
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_router_that_stands_still_is_named_with_its_second(tmp_path: Path) -> None:
    """A vswitchd stopped for 250 ms while calls go through it."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    pid, words = run.busiest("ovs-vswitchd")
    router = next(Path(word.removeprefix("--pidfile=")).parent.name for word in words if "--pidfile=" in word)
    hold(pid, 0.25)
    stalls = [r for r in run.reasons() if r["where"] == router and r["what"].startswith("frames waited while")]
    assert stalls and 40 < stalls[0]["value"] <= 400
    assert set(stalls[0]["seconds"]) & {2, 3}


def test_a_link_engine_that_stands_still_is_named_with_its_second(tmp_path: Path) -> None:
    """The engine stopped for 200 ms: lines deliver late, and the latest of them are named."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    pid, _ = run.busiest("emulation.engine_process")
    hold(pid, 0.2)
    late = [r for r in run.reasons() if r["what"].startswith("latest frame") and r["grade"] == "void"]
    assert late and all(" > " in reason["where"] for reason in late)
    assert any(set(reason["seconds"]) & {2, 3} for reason in late)


def test_a_core_taken_away_is_seen_in_who_waited(tmp_path: Path, spin: Callable[[float], None]) -> None:
    """A loop at a real-time priority above all of ours, on every core, for a quarter of a second."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    spin(0.25)
    waits = [r for r in run.reasons() if "waited for a core within a twentieth" in r["what"] and r["grade"] == "void"]
    assert waits and any(set(reason["seconds"]) & {2, 3} for reason in waits)


@pytest.fixture
def spin() -> Callable[[float], None]:
    """Takes every core for some seconds, as nothing of ours can."""
    code = (
        "import os, sys, time\n"
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))\n"
        "os.sched_setaffinity(0, {int(sys.argv[1])})\n"
        "end = time.monotonic() + float(sys.argv[2])\n"
        "while time.monotonic() < end: pass\n"
    )

    def take(seconds: float) -> None:
        cores = sorted(os.sched_getaffinity(0))
        hogs = [subprocess.Popen([sys.executable, "-c", code, str(core), str(seconds)]) for core in cores]
        assert [hog.wait(30) for hog in hogs] == [0] * len(cores)

    return take
