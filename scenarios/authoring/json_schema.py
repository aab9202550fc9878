"""The JSON Schema of scenario files, for editors and other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from helsewan.policies.language.json_schema import json_schema
from helsewan.scenarios.spec.checks.assertions import Within
from helsewan.scenarios.spec.checks.metrics import Limit, RelativeLimit
from helsewan.scenarios.spec.draft import GRAMMAR

_LIMIT = {"type": "string", "pattern": r"^\s*([<>=]=|<|>)\s*\S.*$"}
_TEXTS: Mapping[type, dict[str, Any]] = {  # values that are written as text
    Limit: {
        **_LIMIT,
        "examples": ["< 0.1 %", "<= 50 ms", "== 0"],
        "description": "a comparison with a value in the metric's unit",
    },
    RelativeLimit: {
        **_LIMIT,
        "examples": ["<= 110 %", "<= + 5 ms"],
        "description": "a comparison with a part of the other phase's value, or with a value more or less",
    },
    Within: {
        "type": "string",
        "pattern": r"^\s*\d.*\s+of\s+[a-z][a-z0-9-]*\s*$",
        "examples": ["3 s of failure"],
        "description": "a time after an event",
    },
}
_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{[^}]+\}",
    "description": "a text with the value of a parameter in it",
}
_UNFILLED = "ParameterSpec"  # in which no parameter stands for a value


def scenario_json_schema() -> dict[str, Any]:
    """The JSON Schema of a scenario file, in which ``${parameter}`` may stand for any value that is no text."""
    schema = json_schema(GRAMMAR, _Generator)
    definitions = {
        name: each if name.startswith(_UNFILLED) else _with_references(each) for name, each in schema["$defs"].items()
    }
    filled = {key: _with_references(schema[key]) for key in ("then", "else")}
    return {**schema, **filled, "$defs": {**definitions, "Reference": _REFERENCE}}


class _Generator(GenerateJsonSchema):
    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> dict[str, Any]:
        """A dataclass is a value that files write as text."""
        return _TEXTS[schema["cls"]] if schema["cls"] in _TEXTS else super().dataclass_schema(schema)


def _with_references(schema: Any) -> Any:
    """``schema`` with a reference to a parameter as an alternative to every value of a form of its own."""
    if isinstance(schema, list):
        return [_with_references(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("integer", "number", "boolean") or "enum" in schema or "pattern" in schema:
        said = {key: schema[key] for key in ("title", "description", "default") if key in schema}
        return {**said, "anyOf": [{**schema}, {"$ref": "#/$defs/Reference"}]}
    closed = {"additionalProperties": False} if "patternProperties" in schema else {}
    return closed | {key: _with_references(value) for key, value in schema.items()}
