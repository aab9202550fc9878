"""The default scenario in a set-up checkout, run after run: verdicts and grades, duration, the silence of calls during
repair, leaks; and verdicts beside a busy loop for each core."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import Figure, beside
from benchmarks.sandboxed.launch import KINDS

# Runs in a row with each kind of routers, without other load and beside busy loops, and the targets.
QUIET, BUSY = {"shared": 20, "private": 5}, {"shared": 10, "private": 3}
PASS, VALID, BUSY_PASS = ">= 100", ">= 95", ">= 90"  # % of the runs
DEADLINE_S = 300
REASONS = 3  # of a run, printed at most
ENDED = (0, 1, 3)  # exit codes of runs that have a verdict


class Run(NamedTuple):
    """One run: its duration and result."""

    took_s: float
    result: dict[str, Any]

    def check(self, name: str) -> float:
        """The value of a check; nan where the run ended before it had one."""
        values = {check["name"]: check["value"] for check in self.result.get("checks", ())}
        value = values.get(name)
        return float("nan") if value is None else float(value)

    def figure(self, section: str, name: str) -> float:
        """A figure of a section of the result; nan where the run ended before it had one."""
        value = self.result.get(section, {}).get(name)
        return float("nan") if value is None else float(value)


def run() -> list[Figure]:
    """Run ``region-failover`` again and again; raises RuntimeError if a run could not run at all."""
    quiet = beside(*(quiet_figures(kind) for kind in KINDS))
    with busy_loops():
        return quiet + beside(*([busy_figure(kind)] for kind in KINDS))


def quiet_figures(kind: str) -> list[Figure]:
    """The figures of runs without other load."""
    runs = [_run(kind) for _ in range(QUIET[kind])]
    counts = ", ".join(f"{QUIET[kind]} runs with {kind} routers" for kind in KINDS)
    return [
        Figure(f"scenario region-failover ({counts}): pass", _share(runs, "verdict", "pass"), "%", PASS),
        Figure("  graded valid", _share(runs, "grade", "valid"), "%", VALID),
        Figure("  whole run, slowest", max(one.took_s for one in runs), "s", "< 90"),
        Figure("  network up and programmed, slowest", _most(one.figure("timing", "up_s") for one in runs), "s"),
        Figure(
            "  longest silence of a surviving call",
            _most(one.check("voice-gap-surviving") / 1000 for one in runs),
            "ms",
            "< 50",
        ),
        Figure("  isolation probes that got through", _most(one.check("isolation") for one in runs), "", "<= 0"),
        Figure(
            "  calibrated overhead of a core link, most", _most(one.figure("overhead", "core_us") for one in runs), "us"
        ),
        Figure("  processor time stolen, most", 100 * _most(one.figure("pressure", "steal") for one in runs), "%"),
    ]


def busy_figure(kind: str) -> Figure:
    """The share of runs that pass beside other load."""
    runs = [_run(kind) for _ in range(BUSY[kind])]
    counts = ", ".join(f"{BUSY[kind]} runs with {kind}" for kind in KINDS)
    return Figure(
        f"  beside a busy loop for each core ({counts}): pass", _share(runs, "verdict", "pass"), "%", BUSY_PASS
    )


@contextmanager
def busy_loops() -> Iterator[None]:
    """A process for each core that never sleeps, at normal priority."""
    cores = len(os.sched_getaffinity(0))
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _run(kind: str) -> Run:
    with tempfile.TemporaryDirectory() as results:
        options = ["--routers", kind, "--results", results]
        argv = [sys.executable, "-m", "helsewan.cli.main", "scenario", "run", "region-failover", *options]
        began = time.monotonic()
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"a run with {kind} routers has not ended after {DEADLINE_S} s") from None
        took_s = time.monotonic() - began
        if done.returncode not in ENDED:
            raise RuntimeError(done.stderr.strip())
        text = (Path(results) / "region-failover/latest/result.json").read_text(encoding="utf-8")
    one = Run(took_s, json.loads(text))
    _remark(kind, one)
    return one


def _remark(kind: str, one: Run) -> None:
    """Print the verdict and grade of a run, with the reasons of one that is not valid and the checks that failed."""
    validity = one.result["validity"]
    reasons = [f"{each['where'] or 'machine'}: {each['what']}" for each in validity["reasons"][:REASONS]]
    failed = [check["name"] for check in one.result.get("checks", ()) if check.get("passed") is False]
    words = "; ".join([*(f"{name} failed" for name in failed), *reasons])
    print(f"{kind} routers: {one.result['verdict']}, {validity['grade']}{': ' if words else ''}{words}")


def _share(runs: list[Run], key: str, wanted: str) -> float:
    """The share of runs with this verdict or grade, %."""
    found = Counter(one.result["verdict"] if key == "verdict" else one.result["validity"]["grade"] for one in runs)
    return 100 * found[wanted] / len(runs)


def _most(values: Iterator[float]) -> float:
    """The largest of the values that are numbers; nan if none is."""
    numbers = [value for value in values if not np.isnan(value)]
    return max(numbers, default=float("nan"))
