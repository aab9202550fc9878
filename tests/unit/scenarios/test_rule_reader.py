"""The readings of a run: one whose process is gone, or that is never wanted, is told of or ended; nothing is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from helsewan.scenarios.run import rule_reader
from helsewan.scenarios.run.rule_reader import RuleReader, RulesNotRead

Started = list[subprocess.Popen[bytes]]


@pytest.fixture
def run_as(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Started]:
    """Has a shell's command take the place of the process that reads; ``$TOLD`` is where it says that all have told."""

    def replace(script: str) -> Started:
        started: Started = []

        def reading(of: str, output: int, errors: int, told: int) -> subprocess.Popen[bytes]:
            started.append(
                subprocess.Popen(
                    ["bash", "-c", script], stdin=subprocess.PIPE, stdout=output, stderr=errors, pass_fds=[told],
                    env={**os.environ, "TOLD": str(told)},
                )
            )  # fmt: skip
            return started[-1]

        monkeypatch.setattr(rule_reader, "reading", reading)
        return started

    return replace


def test_what_switches_told_is_in_a_file_once_it_is_worked_out(
    tmp_path: Path, run_as: Callable[[str], Started]
) -> None:
    run_as('read; echo >&"$TOLD"; cat; echo rules')
    reader = RuleReader(tmp_path)
    reader.prepare(["now", "never"])
    reader.start("now")
    reader.finish()
    assert reader.done["now"].read_text() == "rules\n" and list(reader.done) == ["now"]
    reader.close()


def test_a_reading_that_ended_is_told_of_and_one_that_waits_is_ended(
    tmp_path: Path, run_as: Callable[[str], Started]
) -> None:
    started = run_as("echo oslo-1 does not say >&2; exit 3")
    reader = RuleReader(tmp_path)
    reader.prepare(["now"])
    started[0].wait()
    reader.start("now")
    with pytest.raises(RulesNotRead, match="oslo-1 does not say"):
        reader.told()
    waiting = run_as("cat")
    reader.prepare(["later"])
    reader.close()
    assert waiting[0].poll() is not None
