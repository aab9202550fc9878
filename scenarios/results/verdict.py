"""Prints the verdict from the contents of ``result.json``: tables on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from helsewan.common.terminal.tables import print_table
from helsewan.lab.health.validity import Reason
from helsewan.scenarios.spec.checks.metrics import METRICS, Unit, show

_MARKS = {True: ("pass", "green"), False: ("FAIL", "bold red"), None: ("-", "dim")}
_WARNING = ("WARN", "bold yellow")
_VERDICTS = {"pass": "bold green", "fail": "bold red", "void": "bold yellow", "error": "bold red"}
REASONS_OF_A_KIND = 3
_COLUMNS = ("sent", "loss", "delay_p50", "delay_p99", "pdv_p99", "gap", "rate", "mos")


def print_verdict(result: dict[str, Any], console: Console) -> None:
    """Print checks, figures of each class and phase, reasons against the run's validity, and the verdict last."""
    if console.is_terminal:
        print_table(console, _checks_table(result))
        print_table(console, _classes_table(result))
    else:
        for line in _lines(result):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    for grade, reason in _reasons(result):
        console.print(f"{grade}: {escape(reason)}", highlight=False, soft_wrap=True)
    style = _VERDICTS[result["verdict"]]
    suspect = "[bold yellow] (suspect)[/]" if result["validity"]["grade"] == "suspect" else ""
    summary = escape(_summary(result))
    console.print(f"[{style}]{result['verdict']}[/]{suspect}  {summary}", highlight=False, soft_wrap=True)


def _reasons(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Grade and text of the reasons against a run, the first few of a kind: many links can be late together."""
    counts: Counter[tuple[str, str]] = Counter()
    for row in result["validity"]["reasons"]:
        kind = row["grade"], row["what"]
        counts[kind] += 1
        if counts[kind] <= REASONS_OF_A_KIND:
            yield row["grade"], str(Reason(**row))
    for row in result["validity"]["not_listed"]:
        counts[row["grade"], row["what"]] += row["count"]
    for (grade, what), count in counts.items():
        if count > REASONS_OF_A_KIND:
            yield grade, f"{what}: in {count - REASONS_OF_A_KIND} more cases, see result.json"


def _summary(result: dict[str, Any]) -> str:
    if error := result.get("error"):
        return f"{result['scenario']}, seed {result['seed']}: {error}"
    outcomes = [check["passed"] for check in result["checks"]]
    kept, broken, left = (outcomes.count(outcome) for outcome in (True, False, None))
    warnings = sum(_mark(check) is _WARNING for check in result["checks"])
    text = f"{result['scenario']}, seed {result['seed']}: {kept} checks passed, {broken - warnings} failed"
    text += f", {warnings} should have held" if warnings else ""
    return text + (f", {left} selected nothing" if left else "")


def _mark(check: dict[str, Any]) -> tuple[str, str]:
    """How a check's outcome is shown, and its style."""
    return _WARNING if check["passed"] is False and check["severity"] == "should" else _MARKS[check["passed"]]


def _checks_table(result: dict[str, Any]) -> Table:
    table = Table(title="Checks", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("check", "", "value", "limit", "detail"):
        table.add_column(name, justify="right" if name == "value" else "left", overflow="fold")
    for check in result["checks"]:
        mark, style = _mark(check)
        cells = (escape(cell) for cell in (check["name"], *_check_cells(check)))
        table.add_row(next(cells), f"[{style}]{mark}[/]", *cells)
    return table


def _check_cells(check: dict[str, Any]) -> tuple[str, str, str]:
    return _shown(check["value"], Unit(check["unit"])), check["limit"], check["detail"]


def _classes_table(result: dict[str, Any]) -> Table:
    table = Table(title="Classes", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class")
    table.add_column("phase")
    for name in _COLUMNS:
        table.add_column(name.replace("_", " "), justify="right")
    for name, phase, cells in _class_rows(result):
        table.add_row(name, phase, *cells)
    return table


def _class_rows(result: dict[str, Any]) -> Iterator[tuple[str, str, Sequence[str]]]:
    for name, phases in result["classes"].items():
        for phase, figures in phases.items():
            metrics = (METRICS[column] for column in _COLUMNS)
            yield name, phase, [_shown(figures.get(metric.field), metric.unit) for metric in metrics]


def _lines(result: dict[str, Any]) -> Iterator[str]:
    for check in result["checks"]:
        value, limit, detail = _check_cells(check)
        yield f"{_mark(check)[0]}  {check['name']}: {value} ({check['metric']} {limit}; {detail})"
    for name, phase, cells in _class_rows(result):
        figures = ", ".join(f"{column} {cell}" for column, cell in zip(_COLUMNS, cells, strict=True))
        yield f"class {name}, {phase}: {figures}"


def _shown(value: float | None, unit: Unit) -> str:
    return "-" if value is None else show(value, unit)
