"""Applies ``--set key=value`` to a scenario: to a parameter that it declares, or to any value by its path."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from helsewan.common.document import Document, dotted
from helsewan.common.errors import Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError, format_duration, parse_duration_us
from helsewan.scenarios.spec.schema import ParameterType
from helsewan.topology.model import Region

Value = str | int
Path = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$\{(?!site:)([^}]*)\}")  # but those of sites, which programs have
_INTEGER = re.compile(r"-?\d{1,30}")


@dataclass(frozen=True)
class Filled:
    """A document with its parameters filled in, the parameters' values, and the problems found, of which those in the
    file have the path of the value. ``spoilt``: paths of values that contain a parameter which is itself wrong."""

    document: Document
    values: Mapping[str, Value]
    problems: tuple[tuple[Path, Problem], ...] = ()
    spoilt: frozenset[Path] = frozenset()


def apply(document: Document, overrides: Mapping[str, str]) -> Filled:
    """The document with ``overrides`` and every ``${parameter}`` filled in.

    Problems are a key that is neither a parameter nor in the file, a value that does not fit its parameter's type, and
    a reference to no parameter. A document that is no map is returned unchanged: the schema reports it.
    """
    if not isinstance(document.data, dict):
        return Filled(document, {})
    data = copy.deepcopy(document.data)
    problems: list[tuple[Path, Problem]] = []
    declared = _declared(data)
    paths = {dotted(path): path for path, value in _leaves(data) if path[0] != "parameters"}
    given: dict[str, str] = {}
    for key, text in overrides.items():
        if key in declared:
            given[key] = text
        elif key in paths:
            _put(data, paths[key], _scalar(text))
        else:
            problem = Problem(f"--set {key}", None, "unknown key", nearest(key, [*declared, *paths]))
            problems.append(((), problem))
    values = dict(_values(document, declared, given, problems))
    filling = _Filling(document, values, frozenset(_names(data)) - values.keys())
    data = {key: part if key == "parameters" else filling.fill(part, (key,)) for key, part in data.items()}
    return Filled(replace(document, data=data), values, (*problems, *filling.problems), frozenset(filling.spoilt))


def blame_option(problem: Problem, overrides: Mapping[str, str]) -> Problem:
    """``problem`` located at its option, not in the file, if it is one of an overridden value."""
    key = problem.location.key
    return replace(problem, where=f"--set {key}") if key in overrides else problem


def _names(data: dict[str, Any]) -> Iterator[str]:
    """The names of all parameters, whether their declarations are valid or not."""
    if isinstance(data.get("parameters"), dict):
        yield from data["parameters"]


def _declared(data: dict[str, Any]) -> dict[str, Any]:
    """The parameters whose declarations are valid; the schema reports the others."""
    declared = data.get("parameters")
    if not isinstance(declared, dict):
        return {}
    types = [type_.value for type_ in ParameterType]  # no set: what is looked for may be a list
    return {
        name: spec
        for name, spec in declared.items()
        if isinstance(spec, dict) and spec.get("type") in types and isinstance(spec.get("default"), Value)
    }


def _values(
    document: Document, declared: Mapping[str, Any], given: Mapping[str, str], problems: list[tuple[Path, Problem]]
) -> Iterator[tuple[str, Value]]:
    for name, spec in declared.items():
        value = given.get(name, spec["default"])
        try:
            yield name, _checked(value, ParameterType(spec["type"]))
        except UnitError as error:
            path = ("parameters", name, "default")
            where = f"--set {name}" if name in given else document.where(path)
            problems.append((path, Problem(where, value, error.reason, error.hint)))


def _checked(value: Value, type_: ParameterType) -> Value:
    """``value`` converted to its type; raises ``UnitError`` if it does not fit."""
    if type_ is ParameterType.REGION and value not in {region.value for region in Region}:
        raise UnitError("is no health region", "one of " + ", ".join(region.value for region in Region))
    if type_ is ParameterType.INTEGER:
        if not _INTEGER.fullmatch(str(value)):
            raise UnitError("is no whole number", "write for example 40")
        return int(value)
    if type_ is ParameterType.DURATION:
        return format_duration(parse_duration_us(value))
    return value


def _leaves(data: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar of the data with its path."""
    if isinstance(data, dict | list):
        items = data.items() if isinstance(data, dict) else enumerate(data)
        for key, value in items:
            yield from _leaves(value, (*path, key))
    else:
        yield path, data


def _put(data: Any, path: Path, value: Value | bool) -> None:
    for part in path[:-1]:
        data = data[part]
    data[path[-1]] = value


def _scalar(text: str) -> Value | bool:
    """An option's text as YAML would read it: a whole number, true or false, else text."""
    if text in ("true", "false"):
        return text == "true"
    return int(text) if _INTEGER.fullmatch(text) else text


@dataclass
class _Filling:
    """Replaces references in the data of ``document``; ``wrong`` are the parameters that have no value."""

    document: Document
    values: Mapping[str, Value]
    wrong: frozenset[str]
    problems: list[tuple[Path, Problem]] = field(default_factory=list)
    spoilt: set[Path] = field(default_factory=set)

    def fill(self, data: Any, path: Path) -> Any:
        """``data`` with references replaced; a scalar that is one reference takes the value's own type."""
        if isinstance(data, dict):
            return {key: self.fill(value, (*path, key)) for key, value in data.items()}
        if isinstance(data, list):
            return [self.fill(value, (*path, i)) for i, value in enumerate(data)]
        if not isinstance(data, str):
            return data
        names = _REFERENCE.findall(data)
        if self.wrong.intersection(names):
            self.spoilt.add(path)
            return data
        if unknown := [name for name in names if name not in self.values]:
            hint = nearest(unknown[0], self.values)
            self.problems.append((path, Problem(self.document.where(path), data, "refers to no parameter", hint)))
            return data
        whole = _REFERENCE.fullmatch(data)
        return self.values[whole[1]] if whole else _REFERENCE.sub(lambda match: str(self.values[match[1]]), data)
