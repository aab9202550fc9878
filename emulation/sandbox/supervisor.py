"""Runs a program in a sandbox as if it were this process: with its signals and its exit status.

Executed as a script by `sandbox.inhabit`, with the command to run as its arguments: ``python -I supervisor.py setpriv …
unshare … python program.py``. It uses no other module of the distribution. unshare(1) passes no signals on, and the
first process of a pid namespace ignores those that it has no handler for: without a supervisor, a program in a sandbox
would go on after SIGTERM.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_SI_KERNEL = 0x80  # sent by the kernel, for a terminal to all its processes: the program has got it, too


def supervise(argv: Sequence[str]) -> int:
    """Run ``argv``, which starts one process and waits for it; returns its status, or minus the signal that ended
    it. Signals that this process gets have the effect on the program that they have on any other."""
    watched = {*PASSED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    process = subprocess.Popen(argv, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before))
    ended_by = 0
    while process.poll() is None:
        received = signal.sigwaitinfo(watched)
        if received.si_signo not in PASSED_ON or ended_by:
            continue
        if not _pass_on(process.pid, received.si_signo, received.si_code == _SI_KERNEL):
            ended_by = received.si_signo
            process.kill()  # and with it, the sandbox
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return -ended_by if ended_by else process.returncode


def _pass_on(launcher: int, number: int, has_it: bool) -> bool:
    """Send the signal to the child of process ``launcher``, unless it ``has_it`` already; returns whether it has a
    handler for the signal or ignores it. Otherwise, or where there is no child yet, the signal ends a program."""
    for pid in children(launcher):
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
            masks = [int(mask, 16) for mask in re.findall(r"^Sig(?:Ign|Cgt):\s*(\w+)", status, re.MULTILINE)]
            if any(mask >> (number - 1) & 1 for mask in masks):
                if not has_it:
                    os.kill(pid, number)
                return True
    return False


def children(parent: int) -> list[int]:
    """The child processes of ``parent`` (proc(5), stat: ppid)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text(encoding="utf-8", errors="replace").rpartition(") ")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def main() -> None:
    """Run the command in the arguments; end as it ended, also by the same signal."""
    status = supervise(sys.argv[1:])
    if status < 0:
        with suppress(OSError):  # SIGKILL has no action to set
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
        status = 128 - status  # not reached, but where that signal is blocked
    sys.exit(status)


if __name__ == "__main__":
    main()
