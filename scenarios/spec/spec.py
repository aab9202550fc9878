"""Finds and reads scenario files, applies ``--set``, and checks what depends on several entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path

from helsewan.common.document import Document
from helsewan.common.errors import InputError, Problem
from helsewan.policies.language.includes import resolve
from helsewan.policies.language.library import Library, opened
from helsewan.scenarios.spec import parameters
from helsewan.scenarios.spec.draft import GRAMMAR, Draft, read_draft
from helsewan.scenarios.spec.schema import NetworkSpec, ScenarioSpec

LIBRARY = Path(str(files("helsewan.scenarios") / "library"))
SCENARIOS = Library("scenario", LIBRARY)
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
        return None if named is None else self.document.folder(("network", "from")) / named

    @property
    def policy(self) -> str:
        """The policy to run under: a name of the policies' library or a path."""
        return self.spec.policy


def library() -> tuple[Scenario, ...]:
    """The scenarios that come with the package, by name."""
    return tuple(load_scenario(name) for name in SCENARIOS.names)


def scenario_path(name: str) -> Path:
    """The file of a scenario, by its name in the library or by its own path (``….yaml``).
    Raises ``InputError`` with the nearest name when there is none."""
    return SCENARIOS.path_or_file(name)


def load_scenario(
    name: str, overrides: Mapping[str, str] | None = None, *, seed: int | None = None, sites: int | None = None
) -> Scenario:
    """Read a scenario of the library, or a file by its path, with what it includes, and apply ``overrides`` (``--set``
    keys and values), ``--seed`` and ``--sites``. Raises ``InputError`` with every problem that the files show."""
    return _complete(load_draft(name, overrides or {}, seed=seed, sites=sites))


def load_draft(name: str, overrides: Mapping[str, str], *, seed: int | None, sites: int | None) -> Draft:
    """What `load_scenario` reads, however much is wrong in it. Raises ``InputError`` where it cannot be read at all, or
    includes what it cannot."""
    options = {SEED: seed, SITES: sites}
    given = {key: str(value) for key, value in options.items() if value is not None}
    document = resolve(opened(scenario_path(name)), SCENARIOS.open, GRAMMAR)
    draft = read_draft(document, {**overrides, **given})
    return replace(draft, problems=tuple(_named(problem, given) for problem in draft.problems))


def _named(problem: Problem, given: Mapping[str, str]) -> Problem:
    """A problem of ``--seed`` or ``--sites`` at that option, for it was not set by ``--set``."""
    options = {f"--set {SEED}": "--seed", f"--set {SITES}": "--sites"}
    if problem.where.removeprefix("--set ") not in given:
        return problem
    return replace(problem, where=options[problem.where])


def read_scenario(document: Document, overrides: Mapping[str, str] | None = None) -> Scenario:
    """The scenario in ``document``, which includes nothing; see ``load_scenario``."""
    return _complete(read_draft(document, overrides or {}))


def _complete(draft: Draft) -> Scenario:
    """The scenario of a draft. Raises ``InputError`` with the draft's problems, if any."""
    if draft.problems or draft.spec is None:
        raise InputError(*draft.problems)
    return Scenario(draft.spec, draft.parameters, draft.document)
