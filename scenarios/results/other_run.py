"""Judges checks against another run: no worse than that by more than their limit, or by chance. Pure but for reading.

The units are the flows, or exchanges, that both runs have: a scenario plans the same ones for the same seed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import isnan
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from helsewan.common.errors import InputError, Problem
from helsewan.scenarios.results.files.figures_file import FIGURES
from helsewan.scenarios.results.statistics import CONFIDENCE, SIGNIFICANT, Difference, Margin, paired
from helsewan.scenarios.spec.checks.metrics import METRICS, Metric, RelativeLimit, show
from helsewan.scenarios.spec.checks.schema import OtherRun
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import Scenario

FlowFigures = Mapping[tuple[str, str, str], Mapping[str, float]]
"""The figures of a run's flows and exchanges: by class, phase and figure, by name."""


def read_flow_figures(run: Path, figures: Collection[str], where: str) -> FlowFigures:
    """Those ``figures`` of all flows and exchanges that policy allows, of a run's directory or its ``figures.parquet``.
    Raises InputError, at ``where``, for what is no run of this version."""
    path = run / FIGURES if run.is_dir() else run
    columns = ["level", "name", "class", "phase", "expect", *figures]
    of_flows = (pc.field("level").isin(["flow", "exchange"])) & (pc.field("expect") == "delivered")
    try:
        table = pq.read_table(path, columns=columns, filters=of_flows)
    except (OSError, pa.ArrowException) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"has no figures to compare: {error}"
        raise InputError(Problem(where, str(run), reason, "give the directory of a run that was judged")) from None
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    heads = list(zip(*(table[column].to_pylist() for column in ("class", "phase", "name")), strict=True))
    for figure in figures:
        for (cls, phase, name), value in zip(heads, table[figure].to_pylist(), strict=True):
            if value is not None:
                found.setdefault((cls, phase, figure), {})[name] = float(value)
    return found


def read_other_runs(spec: ScenarioSpec, scenario: Scenario) -> dict[str, FlowFigures]:
    """The figures of all runs that a scenario's checks compare with, by their paths in the file. Raises InputError with
    a problem for each that cannot be read."""
    figures: dict[str, set[str]] = {}
    places: dict[str, tuple[str | int, ...]] = {}
    for name, check in spec.checks.items():
        if isinstance(check.than, OtherRun):
            figures.setdefault(check.than.run, set()).add(METRICS[check.metric].field)
            places.setdefault(check.than.run, ("checks", name, "than", "run"))
    found: dict[str, FlowFigures] = {}
    problems: list[Problem] = []
    for run, own in figures.items():
        at = places[run]
        try:
            found[run] = read_flow_figures(scenario.beside(at) / run, sorted(own), scenario.document.where(at))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return found


def margin_of(limit: RelativeLimit) -> Margin:
    """By how much a limit relative to the other run lets a figure be worse."""
    return Margin(abs(limit.factor - 1), abs(limit.offset))


def no_worse(
    values: Mapping[str, float], run: FlowFigures, phase: str, metric: Metric, limit: RelativeLimit
) -> tuple[bool, float, str] | None:
    """Whether ``values``, by flow, are no worse than those of another run in a phase by more than ``limit`` allows; the
    median of ``values``, and what to say of it. None where the runs have no flow in common.

    Worse is what the Wilcoxon signed-rank test finds so at the level ``SIGNIFICANT``; with too few flows for it, a
    median that is worse by more than the limit."""
    others: dict[str, float] = {}
    for (_, of, figure), own in run.items():
        if (of, figure) == (phase, metric.field):
            others |= own
    names = [name for name in values if name in others]
    of_both = [values[name] for name in names], [others[name] for name in names]
    found = paired(of_both[1], of_both[0], margin_of(limit), metric.more_is_worse, 0)
    if found is None:
        return None
    if isnan(found.p):
        passed = limit.against(found.a).holds(found.b)
        return passed, found.b, f"{_told(found, metric)}; too few for a test, so the medians decide"
    return found.p >= SIGNIFICANT, found.b, f"{_told(found, metric)}, p {found.p:.3g}"


def _told(found: Difference, metric: Metric) -> str:
    text = f"median {show(found.a, metric.unit)} there, difference {show(found.median, metric.unit)}"
    if not isnan(found.interval.low):
        low, high = show(found.interval.low, metric.unit), show(found.interval.high, metric.unit)
        text += f" ({100 * CONFIDENCE:.0f} %: {low} to {high})"
    return f"{text}, {found.units[0]} flows"
