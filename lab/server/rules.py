"""Reads the rules of all switches, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from helsewan.emulation.routers.switches import BRIDGE
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.processes.controller_processes import PLAN_FILE
from helsewan.lab.server.control_socket import Followed
from helsewan.lab.server.exec import followed


def start_reading(name: str, fds: Sequence[int]) -> Followed:
    """Start to read all switches of lab ``name``: the dump is written to the first descriptor, errors to the second;
    the exit status is reported to the client."""
    return followed(reading(f"network {name}", fds[0], fds[1]))


def reading(source: str, output: int, errors: int, done: int | None = None) -> subprocess.Popen[bytes]:
    """Start to read all switches of this sandbox; ``source`` names it in the dump. With ``done``, a descriptor, they
    are read when the process receives a line on its standard input, see `rules_process`."""
    taken = f"read from the switches of {source}"
    sockets = sandbox.RUN_DIR / "{router}" / f"{BRIDGE}.mgmt"
    argv = [sys.executable, "-m", "helsewan.lab.server.rules_process", f"--plan={sandbox.RUN_DIR / PLAN_FILE}"]
    argv += [f"--sockets={sockets}", f"--taken={taken}"]
    if done is None:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
    argv.append(f"--done={done}")
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output, stderr=errors, pass_fds=[done])
