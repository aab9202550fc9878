"""The folders of `scenarios` import one way: spec <- traffic <- results <- events <- run <- authoring <- repetition."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import helsewan.scenarios

# each may import itself and those before it
ORDER = ("spec", "traffic", "results", "events", "run", "authoring", "repetition")
ROOT = Path(helsewan.scenarios.__file__).parent
PREFIX = "helsewan.scenarios."


def imported(module: Path) -> set[str]:
    """Folders of `scenarios` that a module imports, at its head, in functions and for type checking."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix(PREFIX).split(".")[0] for name in names if name.startswith(PREFIX)}


@pytest.mark.parametrize("folder", ORDER)
def test_a_folder_imports_those_before_it_only(folder: str) -> None:
    modules = list((ROOT / folder).glob("*.py"))
    assert len(modules) > 2
    allowed = set(ORDER[: ORDER.index(folder) + 1])
    wrong = {module.name: found - allowed for module in modules if (found := imported(module)) - allowed}
    assert wrong == {}


def test_every_folder_is_in_the_order() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == set(ORDER)
