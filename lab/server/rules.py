"""Reading the rules of all switches, by a process of its own."""

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
    """Start to read all switches of lab ``name``: the dump goes to the first descriptor, errors to the second; the
    end is reported to the client."""
    return followed(reading(f"network {name}", fds[0], fds[1]))


def reading(of: str, output: int, errors: int, told: int | None = None) -> subprocess.Popen[bytes]:
    """Start to read all switches of this sandbox; ``of`` names it for people. With ``told``, a descriptor, they are
    read only when the process gets a line of input, see `rules_process`."""
    taken = f"read from the switches of {of}"
    sockets = sandbox.RUN_DIR / "{router}" / f"{BRIDGE}.mgmt"
    argv = [sys.executable, "-m", "helsewan.lab.server.rules_process", f"--plan={sandbox.RUN_DIR / PLAN_FILE}"]
    argv += [f"--sockets={sockets}", f"--taken={taken}"]
    if told is None:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
    argv.append(f"--told={told}")
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output, stderr=errors, pass_fds=[told])
