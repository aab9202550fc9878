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

from helsewan.emulation.routers.shared_switch import PROGRAM

pytestmark = [pytest.mark.alone, pytest.mark.exhaustive]

TOGETHER_S = 2.0  # for every hog to be ready
REPOSITORY = Path(__file__).parents[2]

# Voice everywhere: every large router has something to carry all the time.
SCENARIO = """
name: starved
description: many calls, for a moment
network: {sites: 90, seed: 1}
policy: national
duration: 10 s
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
        argv = [sys.executable, "-m", "helsewan.cli.main", "scenario", "run", "starved.yaml"]
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

    def seconds(self, span_ns: tuple[int, int]) -> set[int]:
        """The seconds of the traffic that a span (CLOCK_REALTIME) falls in, and the next: waits are told when over."""
        (epoch_ns,) = (event["epoch_ns"] for event in self.history() if event["event"] == "traffic-started")
        first, last = ((moment_ns - epoch_ns) // 1_000_000_000 for moment_ns in span_ns)
        return set(range(first, last + 2))

    def reasons(self) -> list[dict[str, Any]]:
        """How the run was found, once it has ended."""
        said, _ = self.process.communicate(timeout=120)
        assert self.process.returncode == 3, said
        result = json.loads((self._directory / "results/starved/latest/result.json").read_text())
        assert result["validity"]["grade"] == "void"
        assert "void: " in said, said
        reasons: list[dict[str, Any]] = result["validity"]["reasons"]
        return reasons


def hold(pid: int, seconds: float) -> tuple[int, int]:
    """Stop a process and let it go on; when that was (CLOCK_REALTIME, ns)."""
    began_ns = time.time_ns()
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)  # how long it is stopped is what is tested
    finally:
        os.kill(pid, signal.SIGCONT)
    return began_ns, time.time_ns()


def test_a_router_that_stands_still_is_named_with_its_second(tmp_path: Path) -> None:
    """A vswitchd stopped for 250 ms while calls go through it."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    pid, words = run.busiest("ovs-vswitchd")
    router = next(Path(word.removeprefix("--pidfile=")).parent.name for word in words if "--pidfile=" in word)
    span_ns = hold(pid, 0.25)
    stalls = [r for r in run.reasons() if r["where"] == router and r["what"].startswith("frames waited while")]
    assert stalls and stalls[0]["value"] > 40
    assert set(stalls[0]["seconds"]) & run.seconds(span_ns)


def test_shared_routers_that_stand_still_are_named_with_their_second(tmp_path: Path) -> None:
    """The vswitchd of all routers stopped for 250 ms while calls go through it."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    pid, _ = run.busiest(str(PROGRAM))
    span_ns = hold(pid, 0.25)
    stalls = [r for r in run.reasons() if r["where"] == "routers" and r["what"].startswith("frames waited while")]
    assert stalls and stalls[0]["value"] > 40
    assert set(stalls[0]["seconds"]) & run.seconds(span_ns)


def test_a_link_engine_that_stands_still_is_named_with_its_second(tmp_path: Path) -> None:
    """The engine stopped for 100 ms, often enough to catch frames under way: it says so itself each time, lines deliver
    late, and the latest of them are named."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    pid, _ = run.busiest("helsewan.emulation.links.engine_process")
    spans_ns = []
    for pause_s in (0.0, 0.133, 0.137, 0.141, 0.146):  # out of step with packets every 20 ms
        time.sleep(pause_s)
        spans_ns.append(hold(pid, 0.1))
    void = [reason for reason in run.reasons() if reason["grade"] == "void"]
    unread = [reason for reason in void if reason["what"].startswith("link engine did not check")]
    late = [reason for reason in void if reason["what"].startswith("latest frame")]
    assert all(" > " in reason["where"] for reason in late)
    for found in (unread, late):
        assert any(set(reason["seconds"]) & run.seconds(span_ns) for reason in found for span_ns in spans_ns)


def test_cores_taken_away_are_seen_in_who_waited(tmp_path: Path, spin: Callable[[float], tuple[int, int]]) -> None:
    """A loop at a real-time priority above all of ours, on every core, for a quarter of a second."""
    run = Starved(tmp_path)
    run.wait_for_second(2)
    span_ns = spin(0.25)
    waits = [r for r in run.reasons() if "waited for a core within a twentieth" in r["what"] and r["grade"] == "void"]
    assert any(set(reason["seconds"]) & run.seconds(span_ns) for reason in waits)


@pytest.fixture
def spin() -> Callable[[float], tuple[int, int]]:
    """Takes every core for some seconds, as nothing of ours can; when that was (CLOCK_REALTIME, ns)."""
    code = (
        "import os, sys, time\n"
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))\n"
        "os.sched_setaffinity(0, {int(sys.argv[1])})\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.monotonic()))\n"  # all at once: work moves to a core that is left
        "began = time.time_ns()\n"
        "while time.monotonic() < float(sys.argv[2]) + float(sys.argv[3]): pass\n"
        "print(began, time.time_ns())\n"
    )

    def take(seconds: float) -> tuple[int, int]:
        argv, together = [sys.executable, "-c", code], time.monotonic() + TOGETHER_S
        hogs = [
            subprocess.Popen([*argv, str(core), str(together), str(seconds)], stdout=subprocess.PIPE, text=True)
            for core in os.sched_getaffinity(0)
        ]
        spans = [tuple(map(int, hog.communicate(timeout=60)[0].split())) for hog in hogs]
        return min(began for began, _ in spans), max(ended for _, ended in spans)

    return take
