"""What the switches of a standing network hold, for its clients."""

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
    """Start to read all switches of network ``name``: the dump goes to the first descriptor, errors to the second; what
    follows reports the end."""
    return followed(reading(f"network {name}", fds[0], fds[1]))


def reading(of: str, output: int, errors: int, told: int | None = None) -> subprocess.Popen[bytes]:
    """Start to read all switches of this world, which is what ``of`` says; with ``told``, a descriptor, only when it is
    sent a line, see `rules_process`."""
    taken = f"read from the switches of {of}"
    sockets = sandbox.RUN_DIR / "{router}" / f"{BRIDGE}.mgmt"
    argv = [sys.executable, "-m", "helsewan.lab.server.rules_process", f"--plan={sandbox.RUN_DIR / PLAN_FILE}"]
    argv += [f"--sockets={sockets}", f"--taken={taken}"]
    if told is None:
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
    argv.append(f"--told={told}")
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=output, stderr=errors, pass_fds=[told])
