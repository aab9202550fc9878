"""Reading rules during a run: a process that fails is reported, one that is not needed is ended; nothing is left."""

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
    """Replaces the reading process by a shell command; it reports at ``$ANSWERED`` that all switches have answered."""

    def replace(script: str) -> Started:
        started: Started = []

        def reading(of: str, output: int, errors: int, answered: int) -> subprocess.Popen[bytes]:
            started.append(
                subprocess.Popen(
                    ["bash", "-c", script], stdin=subprocess.PIPE, stdout=output, stderr=errors, pass_fds=[answered],
                    env={**os.environ, "ANSWERED": str(answered)},
                )
            )  # fmt: skip
            return started[-1]

        monkeypatch.setattr(rule_reader, "reading", reading)
        return started

    return replace


def test_answers_are_in_a_file_once_decoded(tmp_path: Path, run_as: Callable[[str], Started]) -> None:
    run_as('read; echo >&"$ANSWERED"; cat; echo rules')
    reader = RuleReader(tmp_path)
    reader.prepare(["now", "never"])
    reader.start("now")
    reader.finish()
    assert reader.done["now"].read_text() == "rules\n" and list(reader.done) == ["now"]
    reader.close()


def test_a_failed_reading_is_reported_and_a_waiting_one_is_ended(
    tmp_path: Path, run_as: Callable[[str], Started]
) -> None:
    started = run_as("echo oslo-1 does not say >&2; exit 3")
    reader = RuleReader(tmp_path)
    reader.prepare(["now"])
    started[0].wait()
    reader.start("now")
    with pytest.raises(RulesNotRead, match="oslo-1 does not say"):
        reader.wait_answered()
    waiting = run_as("cat")
    reader.prepare(["later"])
    reader.close()
    assert waiting[0].poll() is not None
