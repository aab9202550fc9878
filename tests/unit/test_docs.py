"""The documents name files and modules that exist."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("topology/data/*.md")])
SOURCES = sorted(
    path
    for folder in (
        "common",
        "topology",
        "policies",
        "controller",
        "verification",
        "emulation",
        "lab",
        "scenarios",
        "testing",
        "cli",
    )
    for pattern in ("*.py", "*.c", "*.h", "*.yaml")
    for path in (ROOT / folder).rglob(pattern)
)
TOP = [*sorted(path.parent.name for path in ROOT.glob("*/__init__.py")), "tests", "docs", "tools"]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PATH = re.compile(rf"`((?:{'|'.join(TOP)})/[\w./-]+)`")
MODULE = re.compile(r"\bhelsewan(?:\.[a-z_]\w*)+")
CHANGED = "CHANGELOG.md"  # it names what there was


def missing(page: Path, text: str) -> list[str]:
    """The files and modules that ``text`` of ``page`` names and that do not exist."""
    targets = LINK.findall(text) if page.suffix == ".md" else []
    links = [target for target in targets if not (page.parent / target).exists()]
    paths = [path for path in PATH.findall(text) if not (ROOT / path).exists()]
    return links + paths + [name for name in MODULE.findall(text) if not exists(name)]


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or in one."""
    while "." in name:
        try:
            if find_spec(name):
                return True
        except ModuleNotFoundError:
            pass
        name = name.rpartition(".")[0]
        if name.count(".") < 2:
            return False
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_what_exists(page: Path) -> None:
    if page.name != CHANGED:
        assert missing(page, page.read_text(encoding="utf-8")) == []


def test_sources_name_what_exists() -> None:
    assert SOURCES
    found = {str(path.relative_to(ROOT)): missing(path, path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "text", ["see [that](nowhere.md)", "`docs/nowhere.md` says", "`helsewan.topology.nowhere.thing`, too"]
)
def test_what_does_not_exist_is_found(text: str) -> None:
    assert len(missing(ROOT / "docs" / "architecture.md", text)) == 1
