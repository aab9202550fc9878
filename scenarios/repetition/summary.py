"""The summary of a campaign: what its runs came to, check by check and figure by figure. Pure, but for printing.

``summary.json``:

    schema          1
    scenario, seed  the scenario's name, and the seed that the runs' are derived from
    faults          null, or the distribution that each run's faults were drawn from
    exit_code       0 where every run passed; 1 where one failed; else that of the runs that say nothing: 3 or 70, 77
    runs            each: run (its directory), seed, verdict, exit_code, failed (names of its checks), void (reasons)
    verdicts        number of runs by verdict
    passed          of the runs that were judged (void ones are not): passed, judged, share, low, high
    confidence      of all intervals, ``methods``: which (docs/scenarios/repetition.md)
    checks          name -> unit, limit, severity, passed as above, and value: its spread
    classes         class -> phase -> figure -> its spread
    traffic         the same by entry of the traffic

A spread has runs (those with a value), mean, low, high, least, greatest, quantiles (by probability). Figures of void
runs are in none of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.tables import print_table
from helsewan.scenarios.results.checks import RunVerdict
from helsewan.scenarios.results.report import Result
from helsewan.scenarios.results.statistics import CONFIDENCE, QUANTILES, Spread, share_interval, spread
from helsewan.scenarios.spec.checks.metrics import Unit, show

SCHEMA = 1
SUMMARY = "summary.json"
METHODS = {"passed": "Wilson score interval", "mean": "Student's t interval", "quantiles": "linear interpolation"}
_JUDGED = (RunVerdict.PASS.value, RunVerdict.FAIL.value)


@dataclass(frozen=True)
class RunOutcome:
    """A run of a campaign: its directory's name and its result."""

    directory: str
    result: Result

    @property
    def verdict(self) -> str:
        """How it ended."""
        return str(self.result["verdict"])

    @property
    def failed(self) -> list[str]:
        """The checks by which it failed."""
        checks = self.result["checks"]
        return [check["name"] for check in checks if check["passed"] is False and check["severity"] == "must"]


def summarise(name: str, seed: int, faults: Mapping[str, Any] | None, runs: Sequence[RunOutcome]) -> Result:
    """The contents of ``summary.json``."""
    judged = [run.result for run in runs if run.verdict in _JUDGED]
    return {
        "schema": SCHEMA,
        "scenario": name,
        "seed": seed,
        "faults": faults,
        "exit_code": _exit_code(runs),
        "runs": [
            {
                "run": run.directory,
                "seed": run.result["seed"],
                "verdict": run.verdict,
                "exit_code": run.result["exit_code"],
                "failed": run.failed,
                "void": run.result["void"],
            }
            for run in runs
        ],
        "verdicts": dict(Counter(run.verdict for run in runs)),
        "passed": _passed([run.verdict == RunVerdict.PASS.value for run in runs if run.verdict in _JUDGED]),
        "confidence": CONFIDENCE,
        "methods": METHODS,
        "checks": _checks(judged),
        "classes": _figures(judged, "classes"),
        "traffic": _figures(judged, "traffic"),
    }


def _exit_code(runs: Sequence[RunOutcome]) -> int:
    verdicts = {run.verdict for run in runs}
    if RunVerdict.FAIL.value in verdicts:
        return ExitCode.FAIL
    codes = {int(run.result["exit_code"]) for run in runs} - {int(ExitCode.PASS)}
    return max(codes, default=ExitCode.PASS)


def _passed(outcomes: Sequence[bool]) -> Result:
    interval = share_interval(sum(outcomes), len(outcomes))
    share = sum(outcomes) / len(outcomes) if outcomes else None
    return {
        "passed": sum(outcomes),
        "judged": len(outcomes),
        "share": share,
        "low": _number(interval.low),
        "high": _number(interval.high),
    }


def _checks(results: Sequence[Result]) -> Result:
    found: dict[str, list[Result]] = {}
    for result in results:
        for check in result["checks"]:
            found.setdefault(check["name"], []).append(check)
    return {
        name: {
            "unit": own[0]["unit"],
            "limit": own[0]["limit"],
            "severity": own[0]["severity"],
            **_passed([check["passed"] for check in own if check["passed"] is not None]),
            "value": _spread([check["value"] for check in own]),
        }
        for name, own in found.items()
    }


def _figures(results: Sequence[Result], section: str) -> Result:
    """The spread of every figure that is a number, in a section of results: name -> phase -> figure -> value."""
    values: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for result in results:
        for name, phase, figure, value in figures_of(result, section):
            values.setdefault(name, {}).setdefault(phase, {}).setdefault(figure, []).append(value)
    return {
        name: {
            phase: {figure: found for figure, own in figures.items() if (found := _spread(own))}
            for phase, figures in phases.items()
        }
        for name, phases in values.items()
    }


def figures_of(result: Result, section: str) -> Iterator[tuple[str, str, str, float | None]]:
    """Name, phase, figure and value of everything in a section of a result."""
    for name, phases in result[section].items():
        for phase, figures in phases.items():
            for figure, value in figures.items():
                if value is None or isinstance(value, int | float):
                    yield name, phase, figure, value


def _spread(values: Sequence[float | None]) -> Result | None:
    found = spread([float("nan") if value is None else float(value) for value in values])
    return None if found is None else _plain(found)


def _plain(found: Spread) -> Result:
    return {
        "runs": found.runs,
        "mean": _number(found.mean),
        "low": _number(found.interval.low),
        "high": _number(found.interval.high),
        "least": _number(found.least),
        "greatest": _number(found.greatest),
        "quantiles": {f"{share:g}": _number(value) for share, value in zip(QUANTILES, found.quantiles, strict=True)},
    }


def _number(value: float) -> float | None:
    return round(value, 6) if isfinite(value) else None


_COLUMNS = ("check", "passed", "of all runs", "mean", "5 %", "median", "95 %", "limit")


def print_summary(summary: Result, console: Console) -> None:
    """Print every check's share of passes and its value over the runs, the runs that did not pass, and the total."""
    rows = [_row(name, check) for name, check in summary["checks"].items()]
    if console.is_terminal:
        table = Table(title="Campaign", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in _COLUMNS:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        print_table(console, table)
    else:
        for row in rows:
            told = ", ".join(f"{name} {cell}" for name, cell in zip(_COLUMNS[1:], row[1:], strict=True))
            console.print(f"check {row[0]}: {told}", markup=False, highlight=False, soft_wrap=True)
    for run in summary["runs"]:
        if run["verdict"] != RunVerdict.PASS.value:
            why = ", ".join(run["failed"]) or "; ".join(run["void"]) or f"exit code {run['exit_code']}"
            line = f"{run['verdict']}: {run['run']}, seed {run['seed']}: {why}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(_total(summary), markup=False, highlight=False, soft_wrap=True)


def _total(summary: Result) -> str:
    passed, runs = summary["passed"], len(summary["runs"])
    text = f"{summary['scenario']}: {passed['passed']} of {passed['judged']} judged runs passed{_interval(passed)}"
    void = runs - passed["judged"]
    return text + (f"; {void} of {runs} runs say nothing and count as no pass" if void else "")


def _interval(passed: Result) -> str:
    if passed["low"] is None:
        return ""
    return f" ({100 * passed['low']:.0f} to {100 * passed['high']:.0f} %)"


def _row(name: str, check: Result) -> tuple[str, ...]:
    unit, value = Unit(check["unit"]), check["value"]
    share = f"{check['passed']}/{check['judged']}"
    if value is None:
        return (name, share, _interval(check).strip(), "-", "-", "-", "-", check["limit"])
    mean = show(value["mean"], unit)
    if value["low"] is not None:
        mean += f" ({show(value['low'], unit)} to {show(value['high'], unit)})"
    quantiles = (show(value["quantiles"][key], unit) for key in ("0.05", "0.5", "0.95"))
    return (name, share, _interval(check).strip(), mean, *quantiles, check["limit"])
