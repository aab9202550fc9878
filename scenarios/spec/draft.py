"""Reads a scenario as far as that can be done: what the file alone shows to be wrong, and what is left without it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from helsewan.common.document import Document
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import SchemaError, validate
from helsewan.policies.language.grammar import Grammar
from helsewan.policies.language.partial_parse import Lost, entry_at
from helsewan.scenarios.spec import parameters
from helsewan.scenarios.spec.checks.problems import check_problems
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.problems import time_problems

GRAMMAR = Grammar("scenario", ScenarioSpec)

# In place of what a file lacks or has wrong, so that the rest of it can be checked; nothing that depends on these is.
_STAND_INS: Mapping[str, Any] = {
    "name": "unnamed",
    "description": "",
    "network": {"sites": 1, "seed": 0},
    "policy": "none",
    "duration": "24 h",
    "traffic": {"none": {"kind": "isolation", "count": 1, "every": "1 s"}},
    "checks": {"none": {"metric": "lost", "limit": "== 0"}},
}
_NAMES = re.compile(r"[a-z0-9][a-z0-9.-]*")


@dataclass(frozen=True)
class Draft:
    """A scenario's file with its parameters filled in. ``spec`` is without the entries in ``lost``, which have some of
    the ``problems``; it is None where nothing can be said of the rest."""

    document: Document
    parameters: Mapping[str, parameters.Value]
    spec: ScenarioSpec | None
    lost: Lost
    problems: tuple[Problem, ...]

    def lacks(self, section: str) -> bool:
        """Whether the section, which has no named entries, is lost."""
        return (section,) in self.lost

    def follows(self, problem: Problem) -> bool:
        """Whether ``problem`` only follows from a lost entry, which another entry names or needs."""
        key = problem.location.key.rpartition(".")[2]
        sections = {entry[0] for entry in self.lost}
        if (key == "scope" and "timeline" in sections) or (key in ("metric", "class") and "traffic" in sections):
            return True  # what is lost may be the failure, or the flows, that a check needs
        named = _NAMES.findall(str(problem.value))
        names = {entry[1] for entry in self.lost if len(entry) > 1}
        return any(name in names or name.partition(".")[0] in names for name in named)


def read_draft(document: Document, overrides: Mapping[str, str]) -> Draft:
    """The scenario in ``document`` with ``overrides`` (``--set`` keys and values), and all its problems, which are
    sorted by ``in_order``."""
    filled = parameters.apply(document, overrides)
    faults = list(filled.problems)
    known = {problem.where for _, problem in faults} | {filled.document.where(path) for path in filled.spoilt}
    spec, usable = None, True
    try:
        spec = validate(filled.document, ScenarioSpec)
    except SchemaError as error:
        found = zip(error.paths, error.problems, strict=True)
        faults += [(path, problem) for path, problem in found if problem.where not in known]
        usable = all(error.paths)
    lost = frozenset(entry_at(path, GRAMMAR) for path in (*dict(faults), *filled.spoilt) if path)
    if lost:
        spec = _without(filled.document.data, lost) if usable else None
    problems = [problem for _, problem in faults]
    draft = Draft(filled.document, filled.values, spec, lost, ())
    if spec is not None and not any(draft.lacks(section) for section in GRAMMAR.named_sections):
        across = [*time_problems(spec, filled.document), *check_problems(spec, filled.document)]
        problems += [problem for problem in across if not draft.follows(problem)]
    blamed = [parameters.blame_option(problem, overrides) for problem in problems]
    return Draft(filled.document, filled.values, spec, lost, in_order(blamed))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each problem once, those of options first, then by line, file after file."""
    files: dict[str, int] = {}

    def key(problem: Problem) -> tuple[int, int]:
        file, line, _ = problem.location
        return (files.setdefault(file, len(files) + 1), line) if line else (0, 0)

    return tuple(sorted(dict.fromkeys(problems), key=key))


def _without(data: Any, lost: Lost) -> ScenarioSpec | None:
    """The scenario without its ``lost`` entries; None if the rest is not valid either."""
    if not isinstance(data, dict):
        return None
    kept = {key: value for key, value in data.items() if (key,) not in lost}
    emptied = []
    for section in GRAMMAR.named_sections & kept.keys():
        kept[section] = {name: entry for name, entry in kept[section].items() if (section, name) not in lost}
    for section, stand_in in _STAND_INS.items():
        if not kept.get(section):
            kept[section] = stand_in
            emptied += [section] if section in GRAMMAR.named_sections else []
    try:
        return ScenarioSpec.model_validate(kept).model_copy(update={section: {} for section in emptied})
    except ValidationError:
        return None
