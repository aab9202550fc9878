"""A terminal at which helsewan commands are run, and the networks they leave running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from short_run import processes
from small_network import DESCRIPTION

REPOSITORY = Path(__file__).parents[2]


DEADLINE_S = 60.0


class Terminal:
    """Runs helsewan commands whose networks stand in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "small.yaml").write_text(DESCRIPTION)
        self.env = {
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "HELSEWAN_RUNTIME_DIR": str(directory / "place"),
            "XDG_STATE_HOME": str(directory / "state"),
            "HELSEWAN_TEST": str(directory),
        }

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "helsewan.cli.main", *words]

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end."""
        return subprocess.run(
            self.argv(*words),
            input=stdin,
            capture_output=True,
            env=self.env,
            cwd=self.directory,
            timeout=DEADLINE_S,
            check=False,
        )

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.argv(*words), stdin=pipe, stdout=pipe, stderr=pipe, env=self.env, cwd=self.directory
        )

    @contextmanager
    def ending(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command that is over in the end, also where the test fails before it has ended it."""
        with self.start(*words) as process:
            try:
                yield process
            finally:
                process.kill()

    def up(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a network in the foreground and wait until it stands."""
        process = self.start("up", "--from", "small.yaml", "--policy", "open", *words)
        assert process.stdout is not None
        said = b""
        while b"until `helsewan down` or Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said + process.communicate()[1]
            said += line
        return process


def running(terminal: Terminal, words: str) -> list[int]:
    """Processes of the terminal's networks in whose arguments ``words`` stand."""
    found = []
    for pid in processes(terminal.directory):
        with suppress(OSError):  # it has ended meanwhile
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [pid] if words in arguments else []
    return found


def status(terminal: Terminal) -> dict[str, Any]:
    """What ``helsewan status`` says."""
    facts: dict[str, Any] = json.loads(terminal.run("status", "--json").stdout)
    return facts


def kill(terminal: Terminal, words: str, number: int = signal.SIGKILL) -> int:
    """Send a signal to the one process in whose arguments ``words`` stand; returns its id."""
    (victim,) = running(terminal, words)
    os.kill(victim, number)
    return victim


def events(terminal: Terminal, kind: str) -> list[dict[str, Any]]:
    """The events of one kind in the history of networks started with `up`."""
    history = (terminal.directory / "results/up").glob("2*/history.jsonl")
    found = [json.loads(line) for file in history for line in file.read_text().splitlines()]
    return [event for event in found if event["event"] == kind]


def hears(terminal: Terminal, site: str, address: str = "10.0.2.2") -> bool:
    """Whether a site is answered by the one with that address: by default the practice of the small network."""
    return terminal.run("exec", site, "--", "ping", "-c", "1", "-W", "2", address).returncode == 0
