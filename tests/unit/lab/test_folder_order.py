"""The order of the lab's folders, as its ``__init__`` states it: each imports only those below it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LAB = Path(__file__).parents[3] / "lab"
LEVELS = {
    "programs": 0,
    **dict.fromkeys(("processes", "flows", "client"), 1),
    **dict.fromkeys(("applications", "calibration", "health"), 2),
    "testbed": 3,
    **dict.fromkeys(("links", "probing", "supervision"), 4),
    **dict.fromkeys(("server", "proofs", "doctor"), 5),
}


def test_every_folder_has_a_level() -> None:
    assert {init.parent.name for init in LAB.glob("*/__init__.py")} == LEVELS.keys()


@pytest.mark.parametrize("folder", LEVELS)
def test_a_folder_imports_only_those_below(folder: str) -> None:
    wrong = [
        (file.name, other)
        for file in (LAB / folder).rglob("*.py")
        for other in re.findall(r"from helsewan\.lab\.(\w+)", file.read_text(encoding="utf-8"))
        if other != folder and LEVELS.get(other, 9) >= LEVELS[folder]
    ]
    assert wrong == []
