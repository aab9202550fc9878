"""The JSON Schema of policy files, for editors and other tools."""

from __future__ import annotations

import copy
from typing import Any

from helsewan.policies.language.schema import NAMED_SECTIONS, PolicySpec

_ENTRY = "{}Part"  # an entry of a file that includes others: any of its keys may be left out


def policy_json_schema() -> dict[str, Any]:
    """The JSON Schema of a policy file. With ``include``, no section and no key of an entry is required."""
    whole = PolicySpec.model_json_schema(by_alias=True)
    definitions = whole.pop("$defs")
    part = copy.deepcopy(whole)
    part["required"] = ["name"]
    for section in NAMED_SECTIONS:
        (entry,) = part["properties"][section]["patternProperties"].values()
        name = entry["$ref"].rpartition("/")[2]
        definitions[_ENTRY.format(name)] = {**definitions[name], "required": []}
        entry["$ref"] = _ENTRY.format(entry["$ref"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": whole["title"],
        "description": whole["description"],
        "if": {"required": ["include"]},
        "then": part,
        "else": whole,
        "$defs": definitions,
    }
