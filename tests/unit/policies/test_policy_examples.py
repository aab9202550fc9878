"""The examples of docs/policies.md: what they show is in the language, and what is a whole policy compiles."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import policy_golden
import pytest
from jsonschema import Draft202012Validator

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.grammar import POLICY
from helsewan.policies.language.json_schema import policy_json_schema
from helsewan.topology.national.generator import national_network

PAGE = (Path(__file__).parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")
BLOCKS = [match[0] for match in re.finditer(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)]


def parsed(block: str) -> Any:
    try:
        return loads(re.sub("^    ", "", block, flags=re.MULTILINE).encode(), "policies.md").data
    except InputError:  # a command, or what it prints
        return None


EXAMPLES = [
    block
    for block in BLOCKS
    if isinstance(parsed(block), dict) and {*POLICY.sections, "include"} & parsed(block).keys()
]
WHOLE = [block for block in EXAMPLES if "name" in parsed(block)]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 11 and len(WHOLE) >= 2


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_in_the_language(example: str) -> None:
    variant = {"name": "example", "include": "national", **parsed(example)}
    assert [error.message for error in Draft202012Validator(policy_json_schema()).iter_errors(variant)] == []


@pytest.mark.parametrize("example", WHOLE)
def test_whole_policies_compile(example: str) -> None:
    text = re.sub("^    ", "", example, flags=re.MULTILINE)
    assert compile_policy(policy_golden.policy(text), national_network(90)).policy == parsed(example)["name"]


@pytest.mark.parametrize("section", ["exceptions", "internet", "quarantine", "paths", "services"])
def test_sections_compile_over_the_national_policy(section: str) -> None:
    (example,) = (block for block in EXAMPLES if section in parsed(block) and block not in WHOLE)
    text = "name: example\ninclude: national\n" + re.sub("^    ", "", example, flags=re.MULTILINE)
    assert compile_policy(policy_golden.policy(text), national_network(90)).policy == "example"
