"""Applies ``--set key=value`` to a scenario: to a parameter that it declares, or to any value by its path."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from helsewan.common.document import Document, dotted
from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.units import UnitError, format_duration, parse_duration_us
from helsewan.scenarios.spec.schema import ParameterType
from helsewan.topology.model import Region

Value = str | int
Path = tuple[str | int, ...]

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_INTEGER = re.compile(r"-?\d{1,30}")


def apply(document: Document, overrides: Mapping[str, str]) -> tuple[Document, dict[str, Value]]:
    """The document with ``overrides`` and every ``${parameter}`` filled in, and the parameters' values.

    Raises ``InputError`` for a key that is neither a parameter nor in the file, for a value that
    does not fit its parameter's type, and for a reference to no parameter. A document that is no map
    is returned unchanged: the schema reports it.
    """
    if not isinstance(document.data, dict):
        return document, {}
    data = copy.deepcopy(document.data)
    problems: list[Problem] = []
    declared = _declared(data)
    paths = {dotted(path): path for path, value in _leaves(data) if path[0] != "parameters"}
    given: dict[str, str] = {}
    for key, text in overrides.items():
        if key in declared:
            given[key] = text
        elif key in paths:
            _put(data, paths[key], _scalar(text))
        else:
            problems.append(Problem(f"--set {key}", None, "unknown key", nearest(key, [*declared, *paths])))
    values = dict(_values(document, declared, given, problems))
    data = {
        key: part if key == "parameters" else _fill(part, (key,), values, document, problems)
        for key, part in data.items()
    }
    if problems:
        raise InputError(*problems)
    return Document(document.name, data, document.lines), values


def blame_options(error: InputError, overrides: Mapping[str, str]) -> InputError:
    """``error`` with problems of overridden values located at their option, not in the file."""

    def relocated(problem: Problem) -> Problem:
        key = problem.where.rpartition(": ")[2]
        where = f"--set {key}" if key in overrides else problem.where
        return Problem(where, problem.value, problem.reason, problem.hint)

    return InputError(*(relocated(problem) for problem in error.problems))


def _declared(data: dict[str, Any]) -> dict[str, Any]:
    """The parameters whose declarations are valid; the schema reports the others."""
    declared = data.get("parameters")
    if not isinstance(declared, dict):
        return {}
    types = {type_.value for type_ in ParameterType}
    return {
        name: spec
        for name, spec in declared.items()
        if isinstance(spec, dict) and spec.get("type") in types and isinstance(spec.get("default"), Value)
    }


def _values(
    document: Document, declared: Mapping[str, Any], given: Mapping[str, str], problems: list[Problem]
) -> Iterator[tuple[str, Value]]:
    for name, spec in declared.items():
        value = given.get(name, spec["default"])
        try:
            yield name, _checked(value, ParameterType(spec["type"]))
        except UnitError as error:
            where = f"--set {name}" if name in given else document.where(("parameters", name, "default"))
            problems.append(Problem(where, value, error.reason, error.hint))
            yield name, spec["default"]  # so that references to it are not reported as well


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


def _fill(data: Any, path: Path, values: Mapping[str, Value], document: Document, problems: list[Problem]) -> Any:
    """``data`` with references replaced; a scalar that is one reference takes the value's own type."""
    if isinstance(data, dict):
        return {key: _fill(value, (*path, key), values, document, problems) for key, value in data.items()}
    if isinstance(data, list):
        return [_fill(value, (*path, i), values, document, problems) for i, value in enumerate(data)]
    if not isinstance(data, str):
        return data
    unknown = [name for name in _REFERENCE.findall(data) if name not in values]
    if unknown:
        problems.append(Problem(document.where(path), data, "refers to no parameter", nearest(unknown[0], values)))
        return data
    whole = _REFERENCE.fullmatch(data)
    return values[whole[1]] if whole else _REFERENCE.sub(lambda match: str(values[match[1]]), data)
