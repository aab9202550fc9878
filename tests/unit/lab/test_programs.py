"""Programs at sites: they start and end on time, with all that they started, and their output is kept within bounds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_for

from helsewan.lab.programs.engine import MOST_BYTES, STDERR, STDOUT, ProgramEngine
from helsewan.lab.programs.records import Ending, ProgramResult, SiteProgram

PYTHON = sys.executable


class Here:
    """A site that is this machine."""

    def spawn(self, argv: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen(argv, **params)


@pytest.fixture
def engines() -> Iterator[list[ProgramEngine]]:
    made: list[ProgramEngine] = []
    yield made
    for engine in made:
        engine.close()


def started(engines: list[ProgramEngine], folder: Path, *programs: SiteProgram) -> ProgramEngine:
    engine = ProgramEngine(programs, lambda _: Here(), folder)
    engines.append(engine)
    engine.start(time.time_ns())
    return engine


def ended(engine: ProgramEngine, number: int) -> tuple[ProgramResult, ...]:
    """The results, once ``number`` programs have ended."""
    wait_for(lambda: len(engine.results) == number, "programs to end")
    engine.stop()
    return engine.results


def program(name: str, *argv: str, at_us: int = 0, timeout_us: int | None = None) -> SiteProgram:
    return SiteProgram(name, "here", argv, at_us, timeout_us)


def test_both_outputs_and_the_exit_status_are_kept(engines: list[ProgramEngine], tmp_path: Path) -> None:
    script = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    (result,) = ended(started(engines, tmp_path, program("job", PYTHON, "-c", script)), 1)
    assert (result.ending, result.exit_code, result.stdout_bytes, result.stderr_bytes) == (Ending.EXITED, 3, 4, 4)
    assert (tmp_path / "job" / STDOUT).read_text() == "out\n"
    assert (tmp_path / "job" / STDERR).read_text() == "err\n"
    assert 0 <= result.begin_us <= result.end_us


def test_output_and_end_may_be_noticed_at_once(engines: list[ProgramEngine], tmp_path: Path) -> None:
    """While later programs are started, earlier ones write and end."""
    many = [program(f"job-{number}", "sh", "-c", "echo out; echo err >&2") for number in range(30)]
    results = ended(started(engines, tmp_path, *many), len(many))
    assert {(each.ending, each.exit_code, each.stdout_bytes, each.stderr_bytes) for each in results} == {
        (Ending.EXITED, 0, 4, 4)
    }


def test_a_program_begins_when_it_is_due_and_results_have_the_file_s_order(
    engines: list[ProgramEngine], tmp_path: Path
) -> None:
    late, early = program("late", "true", at_us=300_000), program("early", "true")
    results = ended(started(engines, tmp_path, late, early), 2)
    assert [result.program.name for result in results] == ["late", "early"]
    assert results[0].begin_us >= 300_000 and results[1].begin_us < results[0].begin_us


def test_more_output_than_is_kept_is_counted_and_stops_nobody(engines: list[ProgramEngine], tmp_path: Path) -> None:
    script = f"import sys; sys.stdout.write('x' * {3 * MOST_BYTES}); print('end', file=sys.stderr)"
    (result,) = ended(started(engines, tmp_path, program("loud", PYTHON, "-c", script)), 1)
    assert (result.exit_code, result.stdout_bytes) == (0, 3 * MOST_BYTES)
    assert (tmp_path / "loud" / STDOUT).stat().st_size == MOST_BYTES
    assert (tmp_path / "loud" / STDERR).read_text() == "end\n"


def test_what_is_not_there_is_told(engines: list[ProgramEngine], tmp_path: Path) -> None:
    (result,) = ended(started(engines, tmp_path, program("none", "/no/such/program")), 1)
    assert (result.ending, result.exit_code, result.error) == (Ending.NOT_STARTED, None, "No such file or directory")


FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
if os.fork() == 0:
    os.setsid()  # a daemon, which leaves the session
    print(child.pid, os.getpid(), flush=True)
time.sleep(600)
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("with_run", [False, True])
def test_a_program_is_ended_with_its_children_and_daemons(
    engines: list[ProgramEngine], tmp_path: Path, with_run: bool
) -> None:
    out = tmp_path / "family" / STDOUT
    limit_us = None if with_run else 2_000_000
    engine = started(engines, tmp_path, program("family", PYTHON, "-c", FAMILY, timeout_us=limit_us))
    wait_for(lambda: out.exists() and len(out.read_text().split()) == 2, "the family")
    if with_run:
        engine.stop()
    (result,) = ended(engine, 1)
    assert (result.ending, result.exit_code) == (Ending.RUN if with_run else Ending.TIMEOUT, 128 + 15)
    wait_for(lambda: not any(is_alive(int(pid)) for pid in out.read_text().split()), "the end")


def test_a_program_that_takes_no_notice_is_killed(engines: list[ProgramEngine], tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(600)"
    )
    engine = started(engines, tmp_path, program("deaf", PYTHON, "-c", script))
    out = tmp_path / "deaf" / STDOUT
    wait_for(lambda: out.exists() and out.read_text() == "on\n", "the program")
    (result,) = (engine.stop(), engine.results)[1]
    assert (result.ending, result.exit_code) == (Ending.RUN, 128 + 9)


def test_what_is_not_due_by_the_end_is_not_started(engines: list[ProgramEngine], tmp_path: Path) -> None:
    engine = started(engines, tmp_path, program("later", "true", at_us=600_000_000))
    engine.stop()
    (result,) = engine.results
    assert (result.ending, result.error) == (Ending.NOT_STARTED, "the run ended")
    assert os.listdir(tmp_path) == []


def test_without_programs_there_is_no_thread(engines: list[ProgramEngine], tmp_path: Path) -> None:
    engine = started(engines, tmp_path)
    engine.stop()
    assert engine.results == ()


def test_descriptors_may_be_many(engines: list[ProgramEngine], tmp_path: Path) -> None:
    """A run has thousands; select(2) takes no more than 1,024."""
    held = []
    try:
        while len(held) < 1100:
            held.append(os.open(os.devnull, os.O_RDONLY))
        (result,) = ended(started(engines, tmp_path, program("job", "echo", "heard")), 1)
        assert (result.exit_code, (tmp_path / "job" / STDOUT).read_text()) == (0, "heard\n")
    finally:
        for descriptor in held:
            os.close(descriptor)


def test_what_ends_the_engine_is_raised_when_it_stops(engines: list[ProgramEngine], tmp_path: Path) -> None:
    engine = ProgramEngine([program("job", "true")], lambda _: 1 / 0, tmp_path)  # type: ignore[arg-type, return-value]
    engines.append(engine)
    engine.start(time.time_ns())
    with pytest.raises(ZeroDivisionError):
        engine.stop()
