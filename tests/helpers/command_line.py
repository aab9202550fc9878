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


def helsewan(*argv: str, cwd: Path, without: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own to its end, with output as text; see `helsewan_bytes`."""
    done = helsewan_bytes(*argv, cwd=cwd, without=without, **environment)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def helsewan_bytes(*argv: str, cwd: Path, without: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command line in a process of its own to its end, in ``cwd``, where the module ``without`` is missing,
    with more variables in its environment.

    The process is a fork of one that has loaded what verbs load (`command_server`): that costs more than what tests
    are about. In another locale it is a new one, for the command starts itself anew there.
    """
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    if any(name.startswith("LC_") for name in environment):
        assert not without
        command = [sys.executable, "-m", "helsewan.cli.main", *argv]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, check=False)
    of_interpreter = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        server = _server(tuple(sorted(of_interpreter.items())), without)
        code = server.run(argv, cwd, env, [output.fileno(), errors.fileno()])
        for file in (output, errors):
            file.seek(0)
        return subprocess.CompletedProcess(argv, code, output.read(), errors.read())


class _CommandServer:
    """The test's end of ``command_server``, which ends with this process."""

    def __init__(self, env: dict[str, str], without: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            program = Path(__file__).with_name("command_server.py")
            self._process = subprocess.Popen(
                [sys.executable, str(program), str(theirs.fileno()), without],
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def run(self, argv: tuple[str, ...], cwd: Path, env: dict[str, str], streams: list[int]) -> int:
        """The exit code of the command line with these arguments, there, with these standard output and errors."""
        variables = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        request = repr((list(map(os.fsencode, argv)), os.fsencode(cwd), variables))
        socket.send_fds(self._socket, [request.encode()], streams)
        answer = self._socket.recv(100)
        assert answer, f"the server of commands ended with {self._process.wait()}"
        return int(answer)


@cache
def _server(env: tuple[tuple[str, str], ...], without: str) -> _CommandServer:
    return _CommandServer(dict(env), without)
