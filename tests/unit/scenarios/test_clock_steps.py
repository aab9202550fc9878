"""A step of the wall clock during a run neither stalls nor hurries it, and moves no duration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parents[2] / "helpers"
HOUR_NS = 3_600_000_000_000
DEADLINE_S = 180.0


@pytest.fixture(scope="module")
def preload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("clock") / "stepped_clock.so"
    source = HELPERS / "stepped_clock.c"
    subprocess.run(["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.parametrize("step_ns", [-5 * HOUR_NS, 5 * HOUR_NS], ids=["back", "ahead"])
@pytest.mark.parametrize(
    ("part", "right"),
    [("datagrams", [40, True]), ("exchanges", [40, True]), ("timeline", [True, True, 0, 0])],
)
def test_a_step_of_the_clock(preload: Path, part: str, right: list[object], step_ns: int) -> None:
    done = subprocess.run(
        [sys.executable, HELPERS / "stepped_clock.py", part, str(step_ns)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LD_PRELOAD": str(preload)},
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == right
