"""No duration is measured and no moment awaited by the wall clock, which may be set at any time: in any source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import helsewan.cli

REPOSITORY = Path(helsewan.cli.__file__).parents[1]
FOLDERS = ("common", "topology", "policies", "controller", "verification", "emulation", "lab", "scenarios", "cli")
# Comparisons of moments that others stamp with this clock, not durations.
STAMPS = {
    "common/run_clock.py",  # the offset between the clocks itself
    "tests/conformance/real_time.py",  # whether the clock was set: the kernel stamps frames with it
    "tests/unit/cli/test_status_lines.py",  # a fixed moment
    "tests/unit/emulation/test_capture.py",  # stamps of frames
    "tests/unit/emulation/test_engine_process.py",  # the moment at which the engine says that it changed a link
    "tests/unit/lab/test_flow_engine.py",  # a start in the past
    "tests/unit/common/test_wall_clock.py",
}


def _is_wall(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.time", "time.time_ns")


def _from_wall(value: ast.AST) -> bool:
    """Whether a value is the wall clock's reading, or one moved by something."""
    sides = (value.left, value.right) if isinstance(value, ast.BinOp) else (value,)
    return any(_is_wall(side) for side in sides)


def _readings(scope: ast.AST) -> set[str]:
    """The names, in a function, that hold a reading."""
    found = set()
    for node in ast.walk(scope):
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value and _from_wall(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {ast.unparse(target) for target in targets}
    return found


def _durations(tree: ast.AST) -> Iterator[int]:
    """Lines at which a reading of the wall clock is subtracted from, subtracted or compared."""
    for scope in ast.walk(tree):
        if not isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)):
            continue
        names = _readings(scope)
        for node in ast.walk(scope):
            operands: list[ast.expr] = []
            line = getattr(node, "lineno", 0)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
                operands = [node.left, node.right]
            elif isinstance(node, ast.Compare):
                operands = [node.left, *node.comparators]
            if any(_is_wall(each) or ast.unparse(each) in names for each in operands):
                yield line


@pytest.mark.parametrize("folder", [*FOLDERS, "benchmarks", "tests"])
def test_durations_are_monotonic(folder: str) -> None:
    found = {
        f"{name}:{line}"
        for file in sorted((REPOSITORY / folder).rglob("*.py"))
        if (name := str(file.relative_to(REPOSITORY))) not in STAMPS
        for line in _durations(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert not found, "by time.monotonic(), or RunClock where stamps of others are compared"


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("began = time.time()\nwork()\ntook = time.time() - began", True),
        ("while time.time() < until: pass", True),
        ("def f():\n    end = time.time() + 5\n    return now > end", True),
        ("left = (then_ns - time.time_ns()) / 1e9", True),
        ("began = time.monotonic()\ntook = time.monotonic() - began", False),
        ("stamp = time.time_ns()\nprint(stamp)", False),
    ],
)
def test_what_the_search_finds(source: str, wrong: bool) -> None:
    assert bool(list(_durations(ast.parse(source)))) is wrong
