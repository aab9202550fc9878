"""Compares two runs, or two campaigns: which checks and figures differ, by how much, and whether by chance. Pure.

Two campaigns are compared by the figures of their runs; two runs by those of the flows that both have. Figures of
classes and traffic entries that only one side has are left out, as are void runs, which are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan

from helsewan.scenarios.repetition.summary import figures_of
from helsewan.scenarios.results.checks import RunVerdict
from helsewan.scenarios.results.other_run import FlowFigures
from helsewan.scenarios.results.report import Result
from helsewan.scenarios.results.statistics import (
    SIGNIFICANT,
    Difference,
    Margin,
    adjusted,
    fewer_pass,
    paired,
    unpaired,
)
from helsewan.scenarios.spec.checks.metrics import METRICS, Metric, Unit

SECTIONS = {"classes": "class", "traffic": "traffic"}
COMPARED = {  # the metrics that say how good a network is; others count what was sent, or follow from these
    metric.field: metric
    for name, metric in METRICS.items()
    if name
    in (
        *("loss", "reordered", "delay_p50", "delay_p99", "jitter", "pdv_p99", "gap", "mos"),
        *("failure", "response_p50", "response_p99"),
    )
}
TOLD = ("scenario", "policy", "seed", "sites", "parameters", "dataplane", "router_kind", "versions", "host")


@dataclass(frozen=True)
class Compared:
    """A run to be compared: its result, and the figures of its flows, needed where it is the only one of its side."""

    result: Result
    flows: FlowFigures


@dataclass(frozen=True, slots=True)
class Allowed:
    """By how much B may be worse: a share, or a value of metrics with ``unit``; for metrics of other units nothing is
    said then."""

    share: float = 0.0
    offset: float = 0.0
    unit: Unit | None = None

    def margin(self, metric: Metric) -> Margin | None:
        """The margin for a metric; None where this says nothing of it."""
        return None if self.unit not in (None, metric.unit) else Margin(self.share, self.offset)


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A figure in A and B. ``p`` is adjusted for the number of figures; ``is_worse``: B is worse by more than is
    allowed, and not by chance, or there were too few values to tell chance from anything (``p`` is NaN)."""

    what: str
    metric: Metric
    difference: Difference
    p: float
    is_worse: bool

    @property
    def differs(self) -> bool:
        """Whether it is worth a line: it is worse, or the interval of the difference does not hold 0."""
        low, high = self.difference.interval.low, self.difference.interval.high
        return self.is_worse or low > 0 or high < 0


@dataclass(frozen=True, slots=True)
class CheckRow:
    """A check: in how many of how many runs it passed in A and in B."""

    name: str
    a: tuple[int, int]
    b: tuple[int, int]
    p: float
    is_worse: bool


@dataclass(frozen=True)
class Comparison:
    """What differs between A and B. ``other``: facts that differ, each with both values; ``void``: runs left out."""

    checks: Sequence[CheckRow]
    figures: Sequence[FigureRow]
    other: Mapping[str, tuple[str, str]]
    void: tuple[int, int]
    by_flow: bool

    @property
    def is_worse(self) -> bool:
        """Whether B is worse than A by more than is allowed."""
        return self.worse > 0

    @property
    def worse(self) -> int:
        """In how many checks and figures it is."""
        return sum(row.is_worse for row in self.checks) + sum(row.is_worse for row in self.figures)


def compare(a: Sequence[Compared], b: Sequence[Compared], allowed: Allowed) -> Comparison:
    """B against A, at least one run each."""
    judged = (RunVerdict.PASS.value, RunVerdict.FAIL.value)
    judged_a, judged_b = ([one for one in each if one.result["verdict"] in judged] for each in (a, b))
    by_flow = len(judged_a) == len(judged_b) == 1
    results_a, results_b = ([one.result for one in each] for each in (judged_a, judged_b))
    if by_flow:
        found = _of_flows(judged_a[0].flows, judged_b[0].flows, allowed)
    else:
        found = _of_runs(results_a, results_b, allowed)
    return Comparison(
        tuple(_checks(results_a, results_b)),
        _decided(list(found)),
        dict(_other(a[0].result, b[0].result)),
        (len(a) - len(judged_a), len(b) - len(judged_b)),
        by_flow,
    )


def _decided(rows: list[tuple[str, Metric, Difference, Margin]]) -> list[FigureRow]:
    """The rows with p-values adjusted for their number."""
    p_values = adjusted([difference.p for _, _, difference, _ in rows])
    return [
        FigureRow(what, metric, difference, p, p < SIGNIFICANT if p == p else _beyond(metric, difference, margin))
        for (what, metric, difference, margin), p in zip(rows, p_values, strict=True)
    ]


def _beyond(metric: Metric, difference: Difference, margin: Margin) -> bool:
    """Whether B's typical value is worse than the margin allows of A's."""
    worst = difference.a + (1 if metric.more_is_worse else -1) * (abs(difference.a) * margin.share + margin.offset)
    return difference.b > worst if metric.more_is_worse else difference.b < worst


_Rows = Iterator[tuple[str, Metric, Difference, Margin]]
_Values = dict[tuple[str, str], list[float]]


def _of_runs(a: Sequence[Result], b: Sequence[Result], allowed: Allowed) -> _Rows:
    before, after = _values(a), _values(b)
    for number, (key, values) in enumerate(before.items()):
        metric = COMPARED[key[1]]
        margin = allowed.margin(metric)
        if margin is not None and key in after:
            difference = unpaired(values, after[key], margin, metric.more_is_worse, number)
            if difference is not None:
                yield key[0], metric, difference, margin


def _values(results: Iterable[Result]) -> _Values:
    found: _Values = {}
    for result in results:
        for section, noun in SECTIONS.items():
            for name, phase, figure, value in figures_of(result, section):
                if figure in COMPARED:
                    of = found.setdefault((f"{noun} {name}, {phase}", figure), [])
                    of.append(nan if value is None else float(value))
    return found


def _of_flows(before: FlowFigures, after: FlowFigures, allowed: Allowed) -> _Rows:
    """Figures of flows and exchanges by class and phase."""
    for number, (key, flows) in enumerate(before.items()):
        both = [name for name in flows if name in after.get(key, {})]
        cls, phase, figure = key
        metric = COMPARED[figure]
        margin = allowed.margin(metric)
        if margin is not None and both:
            values = [flows[name] for name in both], [after[key][name] for name in both]
            difference = paired(*values, margin, metric.more_is_worse, number)
            if difference is not None:
                yield f"flows of class {cls}, {phase}", metric, difference, margin


def _checks(a: Sequence[Result], b: Sequence[Result]) -> Iterator[CheckRow]:
    before, after = _passes(a), _passes(b)
    for name, (passed, runs) in before.items():
        if name in after and (passed, runs) != after[name]:
            p = fewer_pass((passed, runs), after[name])
            alone = runs == after[name][1] == 1  # one run each: the check itself decides
            yield CheckRow(name, (passed, runs), after[name], p, (alone and passed == 1) or p < SIGNIFICANT)


def _passes(results: Iterable[Result]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for result in results:
        for check in result["checks"]:
            if check["passed"] is not None and check["severity"] == "must":
                passed, runs = found.get(check["name"], (0, 0))
                found[check["name"]] = passed + check["passed"], runs + 1
    return found


def _other(a: Result, b: Result) -> Iterator[tuple[str, tuple[str, str]]]:
    """Facts of the runs that differ, which may be why figures do; those of a map one by one."""
    for key in TOLD:
        before, after = a.get(key), b.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            for part in sorted(before.keys() | after.keys()):
                if before.get(part) != after.get(part):
                    yield f"{key}.{part}", (str(before.get(part)), str(after.get(part)))
        elif before != after:
            yield key, (str(before), str(after))
