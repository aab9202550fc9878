"""``helsewan scenario compare``: reads the results of runs or campaigns, compares them, and prints what differs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table
from helsewan.common.units import UnitError, parse_share
from helsewan.scenarios.repetition.comparison import (
    COMPARED,
    Allowed,
    Compared,
    Comparison,
    FigureRow,
    compare,
)
from helsewan.scenarios.repetition.summary import SUMMARY
from helsewan.scenarios.results.checks import RunVerdict
from helsewan.scenarios.results.other_run import FlowFigures, read_flow_figures
from helsewan.scenarios.results.report import RESULT, SCHEMA, Result
from helsewan.scenarios.results.statistics import CONFIDENCE
from helsewan.scenarios.run.kept_inputs import FOLDER, INDEX
from helsewan.scenarios.spec.checks.metrics import Metric, parse_value, show

OPTION = "--no-worse-than"
_COLUMNS = ("figure", "", "A", "B", "median difference", "p")


def compare_results(a: Path, b: Path, no_worse_than: str | None) -> int:
    """Print what differs between two runs or campaigns (directories, or files result.json). Returns 1 where B is worse
    than A by more than ``no_worse_than`` (a share as 5 %, or a value with a unit), else 0. Raises InputError."""
    allowed = parse_allowed(no_worse_than) if no_worse_than is not None else Allowed()
    comparison = compare(runs_in(a, "A"), runs_in(b, "B"), allowed)
    inputs = _other_inputs(_first_run(a), _first_run(b))
    comparison = replace(comparison, other={**comparison.other, **inputs})
    print_comparison(comparison, no_worse_than, Screen())
    return ExitCode.FAIL if no_worse_than is not None and comparison.is_worse else ExitCode.PASS


def parse_allowed(text: str) -> Allowed:
    """``5 %``, or a value of the metrics of one unit as ``5 ms``. Raises InputError."""
    try:
        return Allowed(share=parse_share(text))
    except UnitError:
        pass
    by_unit: dict[str, Metric] = {metric.unit.value: metric for metric in COMPARED.values()}
    for metric in by_unit.values():
        try:
            return Allowed(offset=parse_value(text, metric), unit=metric.unit)
        except UnitError:
            continue
    hint = "write for example 5 % or 2 ms"
    raise InputError(Problem(OPTION, text, "is neither a share nor a value with its unit", hint))


def runs_in(path: Path, argument: str) -> list[Compared]:
    """A run, or all runs of a campaign, of which one at least was judged. Raises InputError."""
    directory = path.parent if path.is_file() else path
    if (directory / SUMMARY).exists() and path.name != RESULT:
        rows = _read(directory / SUMMARY, argument)["runs"]
        found = [Compared(_read(directory / row["run"] / RESULT, argument), {}) for row in rows]
    else:
        result = _read(directory / RESULT if path.is_dir() else path, argument)
        found = [Compared(result, _flow_figures(directory, argument) if _is_judged(result) else {})]
    if not any(_is_judged(one.result) for one in found):
        raise InputError(Problem(argument, str(path), "has no run that was judged", "compare runs that are not void"))
    return found


def _flow_figures(directory: Path, argument: str) -> FlowFigures:
    return dict(sorted(read_flow_figures(directory, list(COMPARED), argument).items()))


def _is_judged(result: Result) -> bool:
    return result["verdict"] in (RunVerdict.PASS.value, RunVerdict.FAIL.value)


def _read(path: Path, argument: str) -> Result:
    hint = "give the directory of a run or of a campaign"
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(Problem(argument, str(path), "no such file", hint)) from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(argument, str(path), f"cannot be read: {error}", hint)) from None
    if not isinstance(read, dict) or "schema" not in read:
        raise InputError(Problem(argument, str(path), "is no result", hint))
    if "verdict" in read and read["schema"] != SCHEMA:
        reason = f"was written by another version of helsewan (schema {read['schema']}, this one reads {SCHEMA})"
        raise InputError(Problem(argument, str(path), reason, "run the scenario again"))
    return read


def _first_run(path: Path) -> Path:
    """The directory of the run, or of the first of a campaign."""
    directory = path.parent if path.is_file() else path
    summary = directory / SUMMARY
    if not summary.exists():
        return directory
    return directory / str(json.loads(summary.read_text(encoding="utf-8"))["runs"][0]["run"])


def _other_inputs(a: Path, b: Path) -> dict[str, tuple[str, str]]:
    """Kept inputs whose contents differ, by their names, with the beginnings of their digests."""
    files: list[Mapping[str, str]] = []
    for directory in (a, b):
        index = directory / FOLDER / INDEX
        files.append(json.loads(index.read_text(encoding="utf-8"))["files"] if index.exists() else {})
    before, after = files
    if not before or not after:
        return {}
    names = sorted(before.keys() | after.keys())
    changed = (name for name in names if before.get(name) != after.get(name))
    return {f"input {name}": (before.get(name, "-")[:12], after.get(name, "-")[:12]) for name in changed}


def print_comparison(comparison: Comparison, allowed: str | None, console: Console) -> None:
    """Print what else differs, checks, figures that differ, and last whether B is worse than is allowed."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    for name, (a, b) in comparison.other.items():
        say(f"differs: {name}: {a} in A, {b} in B")
    for side, count in zip("AB", comparison.void, strict=True):
        if count:
            say(f"left out: {count} void run{'' if count == 1 else 's'} of {side}")
    for check in comparison.checks:
        passes = " and ".join(f"{passed} of {runs} in {side}" for side, (passed, runs) in _sides(check.a, check.b))
        mark = "WORSE " if check.is_worse else ""
        say(f"{mark}check {check.name}: passed in {passes}, p {check.p:.3g}")
    told = [row for row in comparison.figures if row.differs]
    _print_figures(told, console)
    test = "Wilcoxon signed-rank test over flows" if comparison.by_flow else "Mann-Whitney U test over runs"
    rest = len(comparison.figures) - len(told)
    say(f"{len(told)} figures differ, {rest} do not ({100 * CONFIDENCE:.0f} % intervals; {test}, p adjusted)")
    if allowed is not None:
        worse = comparison.worse
        say(f"B is worse than A by more than {allowed} in {worse} cases" if worse else f"B is no worse than {allowed}")


def _sides(a: tuple[int, int], b: tuple[int, int]) -> Sequence[tuple[str, tuple[int, int]]]:
    return ("A", a), ("B", b)


def _print_figures(rows: Sequence[FigureRow], console: Console) -> None:
    cells = [_cells(row) for row in rows]
    if console.is_terminal:
        table = Table(title="Figures", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in _COLUMNS:
            table.add_column(column, overflow="fold")
        for each in cells:
            table.add_row(*(escape(cell) for cell in each))
        if cells:
            print_table(console, table)
        return
    for figure, mark, a, b, difference, p in cells:
        shown = f"{mark + ' ' if mark else ''}{figure}: {a} in A, {b} in B, {difference}, p {p}"
        console.print(shown, markup=False, highlight=False, soft_wrap=True)


def _cells(row: FigureRow) -> tuple[str, ...]:
    unit, found = row.metric.unit, row.difference
    low, high = found.interval.low, found.interval.high
    difference = show(found.median, unit)
    if not isnan(low):
        difference += f" ({show(low, unit)} to {show(high, unit)})"
    mark = "WORSE" if row.is_worse else ""
    p = "too few values" if isnan(row.p) else f"{row.p:.3g}"
    return f"{row.what}: {row.metric.name}", mark, show(found.a, unit), show(found.b, unit), difference, p
