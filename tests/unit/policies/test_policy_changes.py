"""The difference between two policies in words."""

from __future__ import annotations

import pytest

from helsewan.policies.analysis.changes import MOST, changes


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("a: 1", "a: 1 # the same", []),
        ("a: 1", "a: 2", ["a: 1 became 2"]),
        ("a: 1", "a: true", ["a: 1 became true"]),
        ("a: {b: x}", "a: {b: x, c: [1]}", ["a.c: added [1]"]),
        ("a: {b: x, c: {d: 1}}", "a: {b: x}", ['a.c: removed {"d": 1}']),
        ("a: [x, y]", "a: [y, z, w]", ['a: removed "x"', 'a: added "z"', 'a: added "w"']),
        ("a: [x, y]", "a: [y, x]", ['a: ["x", "y"] became ["y", "x"]']),
        ("a: [{up: 1}, {up: 2}]", "a: [{up: 1}, {up: 3}]", ["a[1].up: 2 became 3"]),
        ("a: [x]", "a: x", ['a: ["x"] became "x"']),
        ("", "a: x", ['a: added "x"']),
    ],
)
def test_every_difference_has_its_place(before: str, after: str, words: list[str]) -> None:
    assert list(changes(before, after)) == words


def test_a_policy_that_is_quite_another_is_not_told_in_full() -> None:
    many = "\n".join(f"k{number}: 1" for number in range(MOST + 7))
    told = changes("k: 1", many)
    assert len(told) == MOST + 1 and told[-1] == "and 8 more"
