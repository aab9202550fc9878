"""The layout of the tests: what several of them need stands in tests/helpers, and no test imports another."""

from __future__ import annotations

import ast
import os
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_no_test_imports_another() -> None:
    files = {path.stem: path for path in TESTS.rglob("test_*.py")}
    assert files
    found = [
        f"{path.relative_to(TESTS)}:{node.lineno}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and any(alias.name in files for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module in files)
    ]
    assert found == [], "move what they share to tests/helpers"


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """They are imported by their names alone."""
    names = [path.stem for path in TESTS.rglob("*.py") if path.stem != "conftest"]
    assert sorted(names) == sorted(set(names))


def test_emulated_tests_stand_where_they_are_looked_for() -> None:
    """``tools/test`` looks for them neither here nor among the fuzzers."""
    guard = Path(__file__).with_name("test_emulated_guard.py")  # has a function that stands for such a test
    mark = "mark." + "emulated"
    found = [path for folder in ("unit", "fuzz") for path in (TESTS / folder).rglob("*.py") if mark in path.read_text()]
    assert found == [guard]


def test_every_worker_has_the_seed_of_the_run(seed: int) -> None:
    assert os.environ["HELSEWAN_SEED"] == str(seed)
