"""No golden file and no message holds another library's words: they change with its version."""

from __future__ import annotations

import json
import re
from datetime import date
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Any
from xml.parsers import expat

import pytest
import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core._pydantic_core import list_all_errors

from helsewan.common import yaml_tree
from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.common.library_words import json_reason, schema_reason, xml_reason
from helsewan.common.schema_errors import validate

GOLDEN = Path(__file__).parents[2] / "golden"
TESTS = Path(__file__).parents[2]

# Parts of sentences of libyaml, PyYAML, pydantic, FastAPI, json, expat, networkx, and of Python itself.
PHRASES = [
    "did not find expected", "could not find expected", "while parsing a", "while scanning a", "mapping values are not",
    "found character", "found unexpected", "found unknown escape", "unacceptable character",
    "special characters are not",
    "control characters are not allowed", "expected the node content", "but found", "<block", "<stream end>",
    "input should", "field required", "value error,", "extra inputs are not permitted", "valid integer", "valid string",
    "should be greater than", "should be less than", "unable to parse", "should have at", "should match pattern",
    "valid boolean", "valid number", "valid list", "valid dictionary", "instance of", "successful response",
    "validation error", "expecting property name", "expecting value", "expecting ',' delimiter", "extra data",
    "unterminated string", "(char ", "not well-formed", "no element found", "unclosed token", "mismatched tag",
    "junk after document", "undefined entity", "unknown encoding", "traceback", "object has no attribute",
    "invalid literal for", "could not convert string", "list index out of range", "codec can't",
]  # fmt: skip


def expat_phrases() -> list[str]:
    return [expat.ErrorString(code) or "" for code in range(1, 40) if expat.ErrorString(code)]


def pydantic_phrases() -> list[str]:
    """Each message template's longest part without a place for a value."""
    parts = [max(re.split(r"\{\w+\}", each["message_template_python"]), key=len) for each in list_all_errors()]
    return [part.strip() for part in parts if len(part.strip()) > 12]


@pytest.mark.parametrize(
    "path", sorted(path for path in GOLDEN.rglob("*") if path.is_file()), ids=lambda path: path.name
)
def test_golden_files_hold_our_own_words(path: Path) -> None:
    text = path.read_text(encoding="utf-8").lower()
    phrases = [*PHRASES, *pydantic_phrases(), *(each for each in expat_phrases() if " " in each)]
    assert not [phrase for phrase in phrases if phrase.lower() in text]


def test_every_golden_file_is_searched() -> None:
    """Files of expected messages stand in one folder."""
    elsewhere = [
        path for path in TESTS.rglob("*golden*") if GOLDEN not in (path, *path.parents) and path.suffix != ".py"
    ]
    assert not [path for path in elsewhere if "__pycache__" not in path.parts]


@pytest.mark.parametrize("detail", list_all_errors(), ids=lambda detail: detail["type"])
def test_every_schema_error_is_told_in_our_own_words(detail: Any) -> None:
    reason = schema_reason(detail["type"], detail.get("example_context") or {})
    assert reason and reason.lower() != detail["example_message_python"].lower()
    assert not reason.startswith("Input")


class Odd(BaseModel):
    day: date
    at: Annotated[str, Field(min_length=3)] = "abc"
    net: IPv4Network = IPv4Network("10.0.0.0/8")


def test_a_kind_of_error_without_a_sentence_is_told_generally() -> None:
    with pytest.raises(InputError) as caught:
        validate(loads(b"day: never\nat: x\nnet: 10.0.0.1/8", "x.yaml"), Odd)
    assert str(caught.value).splitlines() == [
        "x.yaml:1: day: 'never' is no value for this key",
        "x.yaml:2: at: 'x' is too short",
        "x.yaml:3: net: '10.0.0.1/8' is no IPv4 network",
    ]


BROKEN_YAML = [
    "a: [1,\nb: 2", "a: {b: 1\nc: 2", "a: 'x", 'a: "\\z"', "a: b: c", "a: 1\n b: 2", "- a\nb", "a: @x", "a: `x",
    "a: &", "a: *",
    "%", "%YAML 3.0\n---\na", "a: !<", "a: |x\n b", "\ta: 1", "a: 1\n\tb: 2", "?", "a: \x01",
    "a: \ud800".encode("utf-8", "surrogatepass"),
    "--- ---", "]", "}", ",", "a: ]", "a\nb: 1", "!!", "a: >9\n", "[a, b]: c: d",
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN_YAML)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_broken_yaml_is_told_in_our_own_words(text: str | bytes, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By libyaml and by PyYAML's own parser."""
    monkeypatch.setattr(yaml_tree, "_Loader", getattr(yaml, loader, yaml.SafeLoader))
    try:
        loads(text if isinstance(text, bytes) else text.encode(), "x.yaml")
    except InputError as error:
        said = str(error).lower()
        assert not [phrase for phrase in PHRASES if phrase in said]


def test_broken_json_and_xml_are_told_in_our_own_words() -> None:
    for text in ("{", '{"a" 1}', "[1,]", '"', "1 2", "nul", "[" * 10**6):
        with pytest.raises((ValueError, RecursionError)) as caught:
            json.loads(text)
        assert re.fullmatch(r"is not JSON( at line 1, column \d+| that can be read: it is nested too deeply)?",
                            json_reason(caught.value))  # fmt: skip
    for code in range(60):
        said, theirs = xml_reason(code), expat.ErrorString(code)
        assert said.startswith("is not XML") and (not theirs or theirs not in said)


def test_pydantic_has_the_types_that_are_translated() -> None:
    """Types are part of pydantic's interface; a new version that renames one is noticed here."""
    with pytest.raises(ValidationError) as caught:
        Odd.model_validate({})
    assert caught.value.errors()[0]["type"] == "missing"
