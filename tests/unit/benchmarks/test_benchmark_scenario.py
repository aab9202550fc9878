"""Runs that ended before they had figures count, and their figures are left out."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest

from benchmarks import bench_scenario
from benchmarks.bench_scenario import Run

WHOLE: dict[str, Any] = {
    "verdict": "pass",
    "validity": {"grade": "valid", "reasons": []},
    "checks": [{"name": "isolation", "value": 0.0, "passed": True}],
    "timing": {"up_s": 3.0},
    "overhead": {"core_us": 70.0},
    "pressure": {"steal": 0.0},
}
CUT_SHORT: dict[str, Any] = {"verdict": "void", "validity": {"grade": "void", "reasons": []}}


def test_shares_are_of_all_runs_and_figures_of_those_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = iter([Run(60.0, WHOLE), Run(5.0, CUT_SHORT)])
    monkeypatch.setattr(bench_scenario, "_run", lambda kind: next(runs))
    monkeypatch.setattr(bench_scenario, "QUIET", {"shared": 2, "private": 1})
    values = [figure.value for figure in bench_scenario.quiet_figures("shared")]
    passed, valid, longest_s, up_s, silence_ms, leaks, overhead_us, stolen = values
    assert (passed, valid, longest_s, up_s, leaks, overhead_us, stolen) == (50.0, 50.0, 60.0, 3.0, 0.0, 70.0, 0.0)
    assert isnan(silence_ms)
