"""A user at a real terminal: modes and cursor are as before, whatever ends the command; and without streams."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from short_run import SCENARIO
from terminal import Terminal
from waiting import wait_for

from helsewan.common.exit_codes import ExitCode

DEADLINE_S = 60.0
INTERRUPT = b"\x03"
SHOW, HIDE = b"\x1b[?25h", b"\x1b[?25l"
STANDS = b"until `helsewan down` or Ctrl-C"


class Screen:
    """A pseudoterminal on which one command of ``terminal`` runs."""

    def __init__(self, terminal: Terminal, *words: str) -> None:
        self.master, slave = pty.openpty()
        self._slave = slave
        self.modes = termios.tcgetattr(slave)
        self.shown = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *terminal.argv(*words)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**terminal.env, "TERM": "xterm"},
            cwd=terminal.directory,
        )

    def read_until(self, text: bytes) -> None:
        os.set_blocking(self.master, False)
        wait_for(lambda: self._read() or text in self.shown, f"{text!r} on the terminal", DEADLINE_S)

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def end(self) -> int:
        """The exit code; all that was shown is in ``shown``."""
        os.set_blocking(self.master, False)
        wait_for(self._ended, "the end of the command", DEADLINE_S)
        self._read()
        assert termios.tcgetattr(self._slave) == self.modes
        assert self.shown.rfind(HIDE) <= self.shown.rfind(SHOW), self.shown
        return int(self.process.returncode)

    def command(self) -> int:
        """The process id of the command itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0]) if children.read_text() else self.process.pid

    def _ended(self) -> bool:
        self._read()
        return self.process.poll() is not None

    def _read(self) -> None:
        try:
            while shown := os.read(self.master, 65536):
                self.shown += shown
        except BlockingIOError:
            pass


@contextmanager
def screen(terminal: Terminal, *words: str) -> Iterator[Screen]:
    shown = Screen(terminal, *words)
    try:
        yield shown
    finally:
        shown.process.kill()


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path_factory.mktemp("terminals"))
    with terminal.up() as process:
        yield terminal
        terminal.run("down")
        process.wait()


def shell(terminal: Terminal, script: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell script in which ``$HELSEWAN`` is the command."""
    env = {**terminal.env, "HELSEWAN": " ".join(terminal.argv())}
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, env=env, cwd=terminal.directory, timeout=DEADLINE_S, check=False
    )


def test_streams_that_are_closed(standing: Terminal) -> None:
    done = shell(standing, "$HELSEWAN exec gp-c -- sh -c 'cat; echo out; echo err >&2; exit 7' <&-")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")
    done = shell(standing, "$HELSEWAN exec gp-c -- sh -c 'cat; echo out; echo err >&2; exit 7' <&- >&-")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"", b"err\n")
    done = shell(standing, "$HELSEWAN exec gp-c -- sh -c 'echo out; exit 7' <&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"", b"")
    assert shell(standing, "$HELSEWAN shell gp-c </dev/null >&-").returncode == 0
    assert shell(standing, "$HELSEWAN cli <&- >&-").returncode == 0


def test_a_network_started_without_streams_detaches(standing: Terminal) -> None:
    done = shell(standing, "$HELSEWAN up --from small.yaml --policy open --name quiet --detach <&- >&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert shell(standing, "$HELSEWAN ip hospital-a --name quiet").returncode == 0
    assert shell(standing, "$HELSEWAN down --name quiet <&- >&- 2>&-").returncode == 0


def test_options_after_the_node(standing: Terminal) -> None:
    done = standing.run("exec", "gp-c", "--name", "default", "--", "echo", "--name", "x")
    assert (done.returncode, done.stdout) == (0, b"--name x\n")


@pytest.mark.parametrize("words", [("shell", "gp-c"), ("cli",), ("exec", "-t", "gp-c", "--", "cat")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_restores_the_terminal(standing: Terminal, words: tuple[str, ...], number: signal.Signals) -> None:
    with screen(standing, *words) as shown:
        wait_for(lambda: termios.tcgetattr(shown.master) != shown.modes, "raw mode", DEADLINE_S)
        os.kill(shown.command(), number)
        assert shown.end() in (128 + number, -number)


def test_an_interrupt_typed_at_a_shell_is_the_commands(standing: Terminal) -> None:
    with screen(standing, "shell", "gp-c") as shown:
        shown.type(b"echo go $((1 + 1)); cat\n")
        shown.read_until(b"go 2")
        shown.type(INTERRUPT)
        shown.read_until(b"^C")  # it discards what is typed with it
        shown.shown = shown.shown.partition(b"^C")[2]
        shown.read_until(b"gp-c:")  # the prompt
        shown.type(b"exit 9\n")
        assert shown.end() == 9


@pytest.mark.parametrize(
    ("times", "early"),
    [
        pytest.param(1, True, marks=pytest.mark.exhaustive),
        (2, True),
        (1, False),
        pytest.param(2, False, marks=pytest.mark.exhaustive),
    ],
)
def test_interrupts_of_a_network(tmp_path: Path, times: int, early: bool) -> None:
    with screen(Terminal(tmp_path), "up", "--from", "small.yaml", "--policy", "open") as shown:
        shown.read_until(b"starting the routers" if early else STANDS)
        for _ in range(times):
            shown.type(INTERRUPT)
        code = shown.end()
        assert b"Traceback" not in shown.shown, shown.shown.decode()
        assert code == ExitCode.INTERRUPTED if early else code in (ExitCode.PASS, ExitCode.INTERRUPTED)
        assert (b"interrupted" in shown.shown) == (code == ExitCode.INTERRUPTED)


def test_interrupts_of_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text(SCENARIO)
    with screen(Terminal(tmp_path), "scenario", "run", "short.yaml") as shown:
        shown.read_until(HIDE)
        shown.type(INTERRUPT)
        shown.type(INTERRUPT)
        assert shown.end() in (ExitCode.VOID, ExitCode.INTERRUPTED)
        assert b"Traceback" not in shown.shown, shown.shown.decode()


@pytest.mark.parametrize("words", [[], ["--count", "1"]])
def test_a_refused_capture_leaves_the_file(standing: Terminal, words: list[str]) -> None:
    file = standing.directory / "existing.pcapng"
    file.write_text("precious")
    done = standing.run("capture", "no-such-link", "-w", "existing.pcapng", *words)
    assert done.returncode == ExitCode.BAD_INPUT
    assert file.read_text() == "precious"
    assert standing.run("capture", "no-such-link", "-w", "new.pcapng", *words).returncode == ExitCode.BAD_INPUT
    assert not (standing.directory / "new.pcapng").exists()
    (standing.directory / "first.pcapng").unlink(missing_ok=True)
    with standing.ending("capture", "gp-c", "-w", "first.pcapng") as first:
        wait_for(lambda: any(path.stat().st_size for path in standing.directory.glob("first.pcapng")), "a capture")
        assert standing.run("capture", "gp-c", "-w", "existing.pcapng", *words).returncode  # it is being captured
        assert file.read_text() == "precious"
        first.send_signal(signal.SIGINT)
        first.communicate()
    done = standing.run("capture", "gp-c", "-w", "existing.pcapng", "--duration", "1ms", *words)
    assert done.returncode == 0, done.stderr
    assert file.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a" or words
