"""A program that made its own sandbox (``sandbox.inhabit``) gets its signals there, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from short_run import outside, processes, wait_until_gone
from small_network import DESCRIPTION

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0

_PROGRAM = """
import signal, sys, time
from helsewan.emulation.sandbox import sandbox
sandbox.inhabit()
{setup}
try:
    print("ready", flush=True)
    sys.stdin.read()
finally:
    print("cleaned up", flush=True)
"""
_TEST = """
import sys
from pathlib import Path
from helsewan.lab import Emulation
from helsewan.topology.importers import network_from

def test_waits():
    with Emulation(network_from(Path("small.yaml")), policy="open") as emulation:
        print("ready", file=sys.__stdout__, flush=True)
        emulation.net["gp-c"].cmd("sleep 1000")
"""
_RUNNER = """
from helsewan.emulation.sandbox import sandbox
sandbox.inhabit()
import pytest, sys
sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", "test_waits.py"]))
"""


@contextmanager
def started(directory: Path, program: str) -> Iterator[subprocess.Popen[str]]:
    """The program, once it has said that it is ready."""
    (directory / "program.py").write_text(program)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_TEST": str(directory)}
    pipe = subprocess.PIPE
    argv = [sys.executable, "program.py"]
    with subprocess.Popen(argv, cwd=directory, env=env, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            yield process
        finally:
            process.kill()


def output_at_end(process: subprocess.Popen[str]) -> str:
    """What the program prints until it ends; its input stays open."""
    process.wait(DEADLINE_S)
    assert process.stdout is not None
    return process.stdout.read()


def temporary() -> set[str]:
    return set(map(str, Path(tempfile.gettempdir()).glob("helsewan-*")))


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        *(pytest.param(each, marks=pytest.mark.exhaustive) for each in (signal.SIGINT, signal.SIGHUP, signal.SIGKILL)),
    ],
)
def test_a_signal_to_a_test_runner_leaves_nothing(tmp_path: Path, number: int) -> None:
    """pytest in a sandbox, whose test holds an emulation."""
    before, files = outside(), temporary()
    (tmp_path / "small.yaml").write_text(DESCRIPTION)
    (tmp_path / "test_waits.py").write_text(_TEST)
    with started(tmp_path, _RUNNER) as runner:
        runner.send_signal(number)
        said = output_at_end(runner)
        assert runner.returncode == (-signal.SIGKILL if number == signal.SIGKILL else pytest.ExitCode.INTERRUPTED)
        assert number == signal.SIGKILL or "KeyboardInterrupt" in said
    wait_until_gone(tmp_path)
    assert outside() == before and temporary() == files


@pytest.mark.parametrize(
    ("number", "setup", "code"),
    [
        (signal.SIGTERM, "", 130),  # Python's status after KeyboardInterrupt, in a pid namespace's first process
        (signal.SIGTERM, "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))", 7),
        (signal.SIGUSR1, "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(8))", 8),
    ],
)
def test_handlers_are_called(tmp_path: Path, number: int, setup: str, code: int) -> None:
    with started(tmp_path, _PROGRAM.format(setup=setup)) as program:
        program.send_signal(number)
        assert (output_at_end(program), program.returncode) == ("cleaned up\n", code)


@pytest.mark.parametrize(
    ("number", "setup"),
    [(signal.SIGUSR2, ""), (signal.SIGQUIT, ""), (signal.SIGTERM, "signal.signal(signal.SIGTERM, signal.SIG_DFL)")],
)
def test_without_a_handler_a_signal_ends_the_program(tmp_path: Path, number: int, setup: str) -> None:
    with started(tmp_path, _PROGRAM.format(setup=setup)) as program:
        program.send_signal(number)
        assert (output_at_end(program), program.returncode) == ("", -number)
    wait_until_gone(tmp_path)


def test_what_is_ignored_stays_ignored_and_the_status_is_the_programs_own(tmp_path: Path) -> None:
    setup = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    with started(tmp_path, _PROGRAM.format(setup=setup) + "sys.exit(9)\n") as program:
        program.send_signal(signal.SIGTERM)
        assert program.communicate("", timeout=DEADLINE_S)[0] == "cleaned up\n" and program.returncode == 9


def test_the_program_ends_with_its_supervisor(tmp_path: Path) -> None:
    with started(tmp_path, _PROGRAM.format(setup="")) as program:
        assert len(processes(tmp_path)) >= 3
        program.kill()
    wait_until_gone(tmp_path)
