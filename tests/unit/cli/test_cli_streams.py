"""A command without standard streams, or interrupted before it has begun: the right words and exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helsewan.common.exit_codes import ExitCode

HELSEWAN = f"{sys.executable} -m helsewan.cli.main"
INTERRUPTED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"


def shell(script: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize(
    "closed",
    [
        ">&-",
        "<&- >&- 2>&-",
        *(pytest.param(each, marks=pytest.mark.exhaustive) for each in ("<&-", "2>&-", "<&- >&-")),
    ],
)
def test_closed_streams_change_nothing_else(closed: str) -> None:
    listed = shell(f"{HELSEWAN} policy list {closed}")
    assert (listed.returncode, listed.stderr) == (ExitCode.PASS, "")
    assert ("national" in listed.stdout) == (">&-" not in closed.replace("2>&-", ""))
    refused = shell(f"{HELSEWAN} policy show no-such {closed}")
    assert (refused.returncode, refused.stdout) == (ExitCode.BAD_INPUT, "")
    assert ("no-such" in refused.stderr) == ("2>&-" not in closed)


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """A command that opens files and prints: what it prints does not get into the file."""
    file = tmp_path / "network.json"
    done = shell(f"{HELSEWAN} topology export --sites 90 --format json --output {file} <&- >&- 2>&-")
    assert done.returncode == ExitCode.PASS
    whole = tmp_path / "whole.json"
    assert shell(f"{HELSEWAN} topology export --sites 90 --format json --output {whole}").returncode == ExitCode.PASS
    assert file.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("module", "code"), [("typer", -signal.SIGINT), ("networkx", ExitCode.INTERRUPTED)])
def test_an_interrupt_during_imports_leaves_no_traceback(tmp_path: Path, module: str, code: int) -> None:
    """A shell shows 130 for both."""
    (tmp_path / f"{module}.py").write_text(INTERRUPTED)
    argv = [sys.executable, "-m", "helsewan.cli.main", "topology", "show", "--sites", "90"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr in ("", "interrupted\n")


def test_importing_the_command_line_leaves_signals_alone() -> None:
    script = "import helsewan.cli.main, signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["exec", "x", "--name", "y", "--"], "exec: has no command (hint: helsewan exec x -- COMMAND)"),
        (["exec", "x", "--"], "exec: has no command"),
        (["exec", "x", "--name"], "exec: '--name' has no value"),
        (["exec", "x", "--nam", "y", "--", "true"], "exec: '--nam' is no option of exec"),
        (["exec", "-t", "x", "--", "true"], "--tty: needs a terminal, and standard input is none"),
        (["exec", "x", "-t", "--", "true"], "--tty: needs a terminal, and standard input is none"),
        (["exec", "x", "--name", "y", "--", "true"], "helsewan: no network is running"),
        (["exec", "x", "--name=y", "true", "-t"], "helsewan: no network is running"),
    ],
)
def test_options_of_exec(tmp_path: Path, words: list[str], refusal: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "helsewan.cli.main", *words],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"HELSEWAN_RUNTIME_DIR": str(tmp_path)},
    )
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stderr.startswith(refusal) and done.stderr.count("\n") == 1
