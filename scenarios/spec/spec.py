"""Finds and reads scenario files, applies ``--set``, and checks what depends on several entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from helsewan.common.document import Document, load
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest, validate
from helsewan.scenarios.spec import parameters
from helsewan.scenarios.spec.checks.problems import check_problems
from helsewan.scenarios.spec.schema import NetworkSpec, ScenarioSpec
from helsewan.scenarios.spec.timeline.problems import time_problems

LIBRARY = Path(str(files("helsewan.scenarios") / "library"))
SEED, SITES = "network.seed", "network.sites"


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
        problems = [*time_problems(spec, filled), *check_problems(spec, filled)]
        if problems:
            raise InputError(*problems)
    except InputError as error:
        raise parameters.blame_options(error, overrides or {}) from None
    return Scenario(spec, values, filled)
