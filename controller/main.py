"""``python -m controller.main --plan FILE --listen PATH --events FD_OR_PATH``: the controller's process.

The plan is a pickle that the parent wrote for this run alone; switches connect to the Unix socket; every
event is one JSON line with the time in nanoseconds since the epoch (CLOCK_REALTIME). The process ends
with its parent.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, TextIO

from policies.plan import Plan
from topology.errors import InputError, Problem

_PR_SET_PDEATHSIG = 1


class EventLog:
    """JSON lines, whole ones only, from any thread."""

    def __init__(self, target: str) -> None:
        self._stream: TextIO = os.fdopen(int(target), "w") if target.isdigit() else Path(target).open("a")  # noqa: SIM115
        self._lock = threading.Lock()

    def emit(self, event: str, details: dict[str, Any]) -> None:
        """Writes one event, stamped with the time."""
        line = json.dumps({"t": time.time_ns(), "event": event, **details}, ensure_ascii=False)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


def read_plan(path: Path) -> Plan:
    """The plan from the parent's pickle.

    Raises InputError if others could have written it (a pickle can run code), or if it is no plan."""
    status = path.stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise InputError(Problem("--plan", str(path), "is not this user's alone", "chmod 600"))
    with path.open("rb") as file:
        plan = pickle.load(file)
    if not isinstance(plan, Plan):
        raise InputError(Problem("--plan", str(path), "holds no plan"))
    return plan


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent ends (prctl(2))."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), signal.SIGKILL)


def run(plan: Plan, listen: str, log: EventLog) -> None:
    """Serves switches until the process is killed; a fault in a thread ends it with status 1."""
    from controller import framework
    from controller.app import HealthNetController

    def fault(error: BaseException) -> None:
        log.emit("error", {"message": "".join(traceback.format_exception(error))})
        os._exit(1)

    began = time.monotonic()
    framework.start(HealthNetController, plan, log.emit, fault)
    framework.listen(listen, fault)
    log.emit("listening", {"path": listen, "seconds": round(time.monotonic() - began, 3)})
    framework.wait_for_signal(signal.SIGTERM, signal.SIGINT)


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 0 when told to end, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="controller", description="OpenFlow controller of one run")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--listen", required=True, help="path of the Unix socket that switches connect to")
    parser.add_argument("--events", required=True, help="file descriptor or path for JSON lines")
    options = parser.parse_args(argv)
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        run(read_plan(options.plan), options.listen, EventLog(options.events))
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
