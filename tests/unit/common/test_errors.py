"""Errors are bounded, whatever the input: at most twenty lines and a count, each of bounded length."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.common.document import loads
from helsewan.common.errors import MOST_SHOWN, InputError, Problem
from helsewan.policies.compile import read_policy
from helsewan.scenarios.spec.spec import read_scenario
from helsewan.topology.importers import network_from

LONGEST_LINE = 2_200
SAMPLE = Path(__file__).parents[2] / "samples" / "topologies" / "three-towns.yaml"


def lines(error: InputError) -> list[str]:
    found = str(error).split("\n")
    assert len(found) <= MOST_SHOWN + 1 and all(len(line) <= LONGEST_LINE for line in found)
    return found


def test_twenty_problems_are_shown_and_the_rest_counted() -> None:
    for number, last in (
        (1, "x: is wrong"),
        (20, "x: is wrong"),
        (21, "and 1 more problem"),
        (20_020, "and 20,000 more problems"),
    ):
        error = InputError(*[Problem("x", None, "is wrong")] * number)
        assert len(lines(error)) == min(number, 21) and lines(error)[-1] == last
        assert len(error.problems) == number  # programs get all


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x" * 3_600_000, f"'{'x' * 100}'... (3,600,000 characters)"),
        (b"y" * 101, f"b'{'y' * 100}'... (101 bytes)"),
        (10**500, "1" + "0" * 99 + "..."),
        (list(range(10_000)), str(list(range(10_000)))[:100] + "..."),
        ("x" * 100, f"'{'x' * 100}'"),
        (None, ""),
    ],
)
def test_a_long_value_is_shortened(value: object, told: str) -> None:
    assert str(Problem("x", value, "is wrong")) == f"x: {told} is wrong".replace(":  is", ": is")


@given(st.text(), st.text() | st.binary() | st.integers() | st.none(), st.text(), st.text())
def test_any_problem_is_one_bounded_line(where: str, value: object, reason: str, hint: str) -> None:
    said = str(Problem(where * 500, value, reason * 500, hint * 500))
    assert len(said.splitlines()) <= 1 and len(said) < 10 * LONGEST_LINE
    assert said.isprintable()


def test_a_table_of_many_lines_is_refused_in_one(tmp_path: Path) -> None:
    table = "node,neighbour,speed\n" + "".join(f"n{n},n{n + 1},10G\n" for n in range(200_000))
    for name in ("links.csv", "links.txt", "links", "links.xlsx"):
        (tmp_path / name).write_text(table)
        with pytest.raises(InputError) as caught:
            network_from(tmp_path / name)
        (line,) = lines(caught.value)
        assert "is of no format that is read (hint: read are GraphML (.graphml), GML (.gml)" in line
    (tmp_path / "links.yaml").write_text(table)
    with pytest.raises(InputError) as caught:
        network_from(tmp_path / "links.yaml")
    assert len(lines(caught.value)) == 1


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x00" * 100, b"graph { a -- b }", b"hello", b""]
)
def test_other_formats_are_refused_with_those_that_are_read(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.bin"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is of no format that is read \(hint: read are GraphML"):
        network_from(path)


def test_json_of_another_program_is_refused_in_one_line(tmp_path: Path) -> None:
    for text in ('{"type": "FeatureCollection", "features": []}', "[]", "3", '{"format": "other/1"}'):
        (tmp_path / "map.json").write_text(text)
        with pytest.raises(InputError, match="topology export --format json") as caught:
            network_from(tmp_path / "map.json")
        assert len(lines(caught.value)) == 1


MANY = "".join(f"key-{n}: 1\n" for n in range(10_000))


def test_many_problems_of_every_kind_of_document_are_bounded(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text(SAMPLE.read_text() + MANY)
    long_key = "k" * 500_000
    for what in (
        lambda: network_from(tmp_path / "n.yaml"),
        lambda: read_policy(loads(MANY.encode(), "p.yaml")).spec,
        lambda: read_scenario(loads(MANY.encode(), "s.yaml")),
        lambda: read_policy(loads(f"? {long_key}\n: 1\n".encode(), "p.yaml")).spec,
    ):
        try:
            what()
        except InputError as error:
            assert lines(error)


def test_a_key_with_a_line_break_stays_on_one_line() -> None:
    with pytest.raises(InputError) as caught:
        read_scenario(loads(b'"a\\nb": 1\n"c\\x1b[2Jd": 2\nname: x\n', "s.yaml"))
    assert any("s.yaml:1: a\\nb: unknown key" in line for line in lines(caught.value))
    assert "\x1b" not in str(caught.value)
