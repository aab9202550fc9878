"""The JSON Schema of files that may include one another, for editors and other tools."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from helsewan.policies.language.grammar import POLICY, Grammar

_ENTRY = "{}Part"  # an entry of a file that includes others: any of its keys may be left out


def policy_json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file."""
    return json_schema(POLICY)


def json_schema(grammar: Grammar, generator: type[GenerateJsonSchema] = GenerateJsonSchema) -> dict[str, Any]:
    """The JSON Schema of a file. With ``include``, no section and no key of an entry is required."""
    whole = grammar.model.model_json_schema(by_alias=True, schema_generator=generator)
    definitions = whole.pop("$defs")
    part = copy.deepcopy(whole)
    part["required"] = ["name"]
    for section in sorted(grammar.sections):
        value = part["properties"][section]
        entries = value["patternProperties"].values() if section in grammar.named_sections else [value]
        for reference in (each for entry in entries for each in _references(entry)):
            name = reference["$ref"].rpartition("/")[2]
            definitions[_ENTRY.format(name)] = {**definitions[name], "required": []}
            reference["$ref"] = _ENTRY.format(reference["$ref"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": whole["title"],
        "description": whole["description"],
        "if": {"required": ["include"]},
        "then": part,
        "else": whole,
        "$defs": definitions,
    }


def _references(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The references to definitions that are possible for a value. Where several are, one is no longer enough to tell
    them apart once none of their keys is required."""
    if "oneOf" in value:
        value["anyOf"] = value.pop("oneOf")
        value.pop("discriminator", None)
    yield from (each for each in (value, *value.get("anyOf", ())) if "$ref" in each)
