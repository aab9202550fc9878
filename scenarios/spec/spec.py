"""Finds and reads scenario files, applies ``--set``, and checks what depends on several entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from helsewan.common.document import Document, load
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest, validate
from helsewan.common.units import format_duration
from helsewan.scenarios.spec import parameters
from helsewan.scenarios.spec.metrics import METRICS, Source
from helsewan.scenarios.spec.schema import CheckSpec, IsolationSpec, NetworkSpec, ScenarioSpec, Scope, TransactionSpec
from helsewan.scenarios.spec.timepoints import END, START, EventTime, TimePoint

LIBRARY = Path(str(files("helsewan.scenarios") / "library"))
SEED, SITES = "network.seed", "network.sites"
RUN = "run"  # the phase that every scenario has: the whole run


@dataclass(frozen=True)
class Scenario:
    """A scenario ready to run: its file's contents with the parameters filled in, and the file's positions."""

    spec: ScenarioSpec
    parameters: Mapping[str, parameters.Value]
    document: Document

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.spec.name

    @property
    def network(self) -> NetworkSpec:
        """The network to build."""
        return self.spec.network

    @property
    def source(self) -> Path | None:
        """The file of the network, None for the national one."""
        named = self.spec.network.source
        return None if named is None else Path(self.document.name).parent / named

    @property
    def policy(self) -> str:
        """The policy to run under: a name of the policies' library or a path."""
        return self.spec.policy


def library() -> tuple[tuple[str, str], ...]:
    """The scenarios that come with the package: (name, description), by name."""
    return tuple((path.stem, load_scenario(str(path)).spec.description) for path in sorted(LIBRARY.glob("*.yaml")))


def scenario_path(name: str) -> Path:
    """The file of a scenario, by its name in the library or by its own path (``….yaml``).
    Raises ``InputError`` with the nearest name when there is none."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    known = [path.stem for path in LIBRARY.glob("*.yaml")]
    if name not in known:
        raise InputError(Problem("scenario", name, "is not in the library", nearest(name, known)))
    return LIBRARY / f"{name}.yaml"


def load_scenario(
    name: str, overrides: Mapping[str, str] | None = None, *, seed: int | None = None, sites: int | None = None
) -> Scenario:
    """Read a scenario of the library, or a file by its path, and apply ``overrides`` (``--set`` keys and
    values), ``--seed`` and ``--sites``. Raises ``InputError`` with every problem of the first pass that found any."""
    options = {SEED: seed, SITES: sites}
    given = {key: str(value) for key, value in options.items() if value is not None}
    try:
        return read_scenario(load(scenario_path(name)), {**(overrides or {}), **given})
    except InputError as error:
        raise InputError(*(_named(problem, given) for problem in error.problems)) from None


def _named(problem: Problem, given: Mapping[str, str]) -> Problem:
    """A problem of ``--seed`` or ``--sites`` at that option, for it was not set by ``--set``."""
    options = {f"--set {SEED}": "--seed", f"--set {SITES}": "--sites"}
    if problem.where.removeprefix("--set ") not in given:
        return problem
    return replace(problem, where=options[problem.where])


def read_scenario(document: Document, overrides: Mapping[str, str] | None = None) -> Scenario:
    """The scenario in ``document``; see ``load_scenario``."""
    filled, values = parameters.apply(document, overrides or {})
    try:
        spec = validate(filled, ScenarioSpec)
        problems = [*_time_problems(spec, filled), *_check_problems(spec, filled)]
        if problems:
            raise InputError(*problems)
    except InputError as error:
        raise parameters.blame_options(error, overrides or {}) from None
    return Scenario(spec, values, filled)


def _time_problems(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Problems of times: events outside the run, phases of unknown events, empty phases."""
    for name, event in spec.timeline.items():
        where = document.where(("timeline", name, "at"))
        if event.at >= spec.duration:
            hint = f"the run ends at {format_duration(spec.duration)}"
            yield Problem(where, format_duration(event.at), "is not within the run", hint)
        if name in (START, END, RUN):
            yield Problem(document.where(("timeline", name)), name, "is a reserved name", "choose another name")
    event_times = {name: EventTime(event.at, event.at) for name, event in spec.timeline.items()}
    for name, phase in spec.phases.items():
        if name == RUN:
            yield Problem(document.where(("phases", name)), name, "is the whole run already", "choose another name")
        points = {"from": phase.begin, "to": phase.end}
        unknown = [key for key, point in points.items() if point.anchor not in {START, END, *event_times}]
        for key in unknown:
            hint = nearest(points[key].anchor, [*event_times, END])
            yield Problem(document.where(("phases", name, key)), str(points[key]), "refers to no event", hint)
        if not unknown:
            yield from _window_problems(name, points, event_times, spec, document)

    for name, point in (spec.verify.rules if spec.verify else {}).items():
        where = document.where(("verify", "rules", name))
        if point.anchor not in {START, END, *event_times}:
            yield Problem(where, str(point), "refers to no event", nearest(point.anchor, [*event_times, END]))
        elif not 0 <= point.resolve(event_times, spec.duration) <= spec.duration:
            yield Problem(where, str(point), "is not within the run", f"it ends at {format_duration(spec.duration)}")


def _window_problems(
    name: str,
    points: Mapping[str, TimePoint],
    event_times: Mapping[str, EventTime],
    spec: ScenarioSpec,
    document: Document,
) -> Iterator[Problem]:
    begin_us, end_us = (points[key].resolve(event_times, spec.duration) for key in ("from", "to"))
    if not 0 <= begin_us < end_us <= spec.duration:
        shown = f"{points['from']} to {points['to']}"
        yield Problem(document.where(("phases", name)), shown, "is no window of time within the run", "")


def _check_problems(spec: ScenarioSpec, document: Document) -> Iterator[Problem]:
    """Problems of checks: unknown phases and traffic, traffic that does not have the metric."""
    for name, check in spec.checks.items():
        if check.phase not in (None, RUN, *spec.phases):
            hint = nearest(str(check.phase), [*spec.phases, RUN])
            yield Problem(document.where(("checks", name, "phase")), check.phase, "is no phase", hint)
        if check.traffic is not None and check.traffic not in _traffic_names(spec):
            hint = nearest(check.traffic, _traffic_names(spec))
            yield Problem(document.where(("checks", name, "traffic")), check.traffic, "is no traffic", hint)
        elif check.traffic in spec.traffic and not _fits(spec, check):
            reason = f"has no {check.metric}: that is a metric of other traffic"
            yield Problem(document.where(("checks", name, "metric")), check.traffic, reason, "")
        if check.scope is not Scope.ALL and not any(event.fail for event in spec.timeline.values()):
            where = document.where(("checks", name, "scope"))
            yield Problem(where, check.scope.value, "has no effect: the timeline has no failure", "leave it out")


def _traffic_names(spec: ScenarioSpec) -> list[str]:
    """Names of traffic entries, and of the groups of flows in isolation entries."""
    probed = [name for name, traffic in spec.traffic.items() if isinstance(traffic, IsolationSpec)]
    return [*spec.traffic, *(f"{name}.{part}" for name in probed for part in ("requests", "replies", "controls"))]


def _fits(spec: ScenarioSpec, check: CheckSpec) -> bool:
    is_exchange = isinstance(spec.traffic[str(check.traffic)], TransactionSpec)
    return is_exchange == (METRICS[check.metric].source is Source.EXCHANGE)
