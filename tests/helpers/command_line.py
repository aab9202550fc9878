"""Runs the command line as a user would."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def helsewan(*argv: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own, and wait for its end.

    It is a fork of one process that has loaded what verbs load (`command_server`), which costs more than what tests are
    about; where a variable is the interpreter's, which reads it when it starts, it is a new one.
    """
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    if any(name.startswith("PYTHON") for name in environment):
        return subprocess.run(
            [sys.executable, "-m", "helsewan.cli.main", *argv],
            cwd=cwd,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        code = _server().run(argv, str(cwd), env, [output.fileno(), errors.fileno()])
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(argv, code, output.read().decode(), errors.read().decode())


class _CommandServer:
    """The test's end of ``command_server``, which ends with this process."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("command_server.py")), str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def run(self, argv: tuple[str, ...], cwd: str, env: dict[str, str], streams: list[int]) -> int:
        """The exit code of the command line with these arguments, there, with these standard output and errors."""
        socket.send_fds(self._socket, [repr((argv, cwd, env)).encode()], streams)
        answer = self._socket.recv(100)
        assert answer, f"the server of commands ended with {self._process.wait()}"
        return int(answer)


@cache
def _server() -> _CommandServer:
    return _CommandServer()
