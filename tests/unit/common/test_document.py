"""The door to YAML files: what it reads, what it refuses, and how each refusal reads."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from helsewan.common import document, yaml_tree
from helsewan.common.errors import InputError
from helsewan.common.schema_errors import validate
from helsewan.common.units import parse_rate_bps

GOLDEN = Path(__file__).parents[2] / "golden" / "document"


class Shape(str, Enum):
    MESH = "full-mesh"
    HUB = "hub-and-spoke"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Line(Strict):
    kind: Literal["line"]
    rate_bps: Annotated[int, BeforeValidator(parse_rate_bps), Field(alias="rate")]


class Mesh(Strict):
    kind: Literal["mesh"]
    shape: Shape


class Sample(Strict):
    name: str = Field(description="what the sample is called")
    parts: list[Annotated[Line | Mesh, Field(discriminator="kind")]]
    by_name: dict[str, Mesh] = {}
    weight: int = 1
    urgent: bool = False
    main: Mesh | None = None


def errors(text: str | bytes, name: str = "x.yaml") -> str:
    with pytest.raises(InputError) as caught:
        raw = text.encode() if isinstance(text, str) else text
        validate(document.loads(raw, name), Sample)
    return str(caught.value)


def test_every_schema_error_is_reported_at_its_line_with_a_hint():
    assert errors((GOLDEN / "schema.yaml").read_bytes(), "schema.yaml") + "\n" == (GOLDEN / "schema.txt").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", "x.yaml:4:3: 'c' key is repeated (hint: it is first given on line 3)"),
        (
            "a: &a [*a]",
            "x.yaml:1:8: '*a' alias without a complete anchored value above it (hint: put &a on an earlier value)",
        ),
        (
            "a: &a [1]\nb: &b [*a]",
            "x.yaml:2:8: '*a' an alias is not allowed inside an anchored value (hint: write the value out)",
        ),
        ("a: !!python/name:os.system x", "x.yaml:1:4: 'tag:yaml.org,2002:python/name:os.system' tags are not allowed"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "x.yaml:3:3: '<<' merge keys are not allowed (hint: write the keys out)"),
        ("a: 1\n---\nb: 2", "x.yaml:2:1: a second document starts here (hint: keep one document a file)"),
        ("[a]: 1", "x.yaml:1:1: a list or map cannot be a key (hint: write the key as text)"),
        ("", "x.yaml:1: the file is empty (hint: write at least one key)"),
        ("# only a remark\n", "x.yaml:1: the file is empty (hint: write at least one key)"),
        ("a: [1,\nb: 2", "x.yaml:1:4: is not YAML: the list in brackets here is not continued or closed"),
        ("a: \tb\n\tc: 1", "x.yaml:2:1: is not YAML: "),
        (b"a: 1\nb: \xff", "x.yaml:2:4: b'\\xff' is not UTF-8 (hint: save the file as UTF-8)"),
        (
            b"a: 1\nb: \x00",
            "x.yaml:2: is not YAML: a control character or a broken one is not allowed (hint: remove the character)",
        ),
        ("[" * 5000, "x.yaml:1:65: is nested deeper than 64 levels (hint: flatten the file)"),
        ("- a\n- b", "x.yaml:1: should be a map of keys to values"),
    ],
)
def test_refuses(text, message):
    assert errors(text).startswith(message)


def test_a_bomb_of_aliases_is_refused():
    bomb = "a: &a [" + ",".join("1" * 1000) + "]\nb:\n" + "- *a\n" * 1000
    assert "expands to more than 200000 values" in errors(bomb)


def test_a_file_too_large_is_refused():
    assert errors(b"#" * (document.MAX_BYTES + 1)) == "x.yaml: is larger than 4000000 bytes (hint: split the file)"


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path, reason in ((tmp_path / "none.yaml", "no such file"), (tmp_path, "cannot be read: Is a directory")):
        with pytest.raises(InputError) as caught:
            document.load(path)
        assert str(caught.value).startswith(f"{path}: {reason}")


def test_load_reads_a_file_and_knows_the_lines(tmp_path):
    path = tmp_path / "sample.yaml"
    path.write_text("name: Bodø\nparts:\n- kind: line\n  rate: 2 Mbit/s\n", encoding="utf-8")
    doc = document.load(path)
    assert validate(doc, Sample).parts[0].rate_bps == 2_000_000
    assert doc.where(("parts", 0, "rate")) == f"{path}:4: parts[0].rate"
    assert doc.where(["parts", 0, "missing", "deeper"]) == f"{path}:3: parts[0].missing.deeper"
    assert doc.where() == f"{path}:1"


def test_scalars_follow_yaml_1_2():
    text = "{a: no, b: 12:30, c: 0x1f, d: 0o17, e: 1e3, f: ~, g: true, h: 'true', i: 2006-01-01, j: .5, no: yes, 1: on}"
    assert document.loads(text.encode(), "x").data == {
        "a": "no",
        "b": "12:30",
        "c": 31,
        "d": 15,
        "e": 1000.0,
        "f": None,
        "g": True,
        "h": "true",
        "i": "2006-01-01",
        "j": 0.5,
        "no": "yes",
        "1": "on",
    }


def test_an_alias_repeats_its_value():
    assert document.loads(b"a: &x {b: [1, 2]}\nc: *x\nd: [*x]", "x").data == {
        "a": {"b": [1, 2]},
        "c": {"b": [1, 2]},
        "d": [{"b": [1, 2]}],
    }


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(st.characters(codec="utf-8"), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcæøå -:#", max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_reads_back_what_another_writer_wrote(data):
    text = yaml.safe_dump(data)  # escaped: raw, YAML 1.1 takes U+0085 and U+2028 for line breaks
    assert yaml_tree.parse(text, "x").data == data


@given(st.binary(max_size=60) | st.text("[]{}:,&*!|>-#'\" \n\tab", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(raw):
    try:
        doc = document.loads(raw, "x")
    except InputError as error:
        assert all(problem.where.startswith("x") and problem.reason and problem.hint for problem in error.problems)
    else:
        assert doc.where().startswith("x:1") or doc.lines[()] > 1
