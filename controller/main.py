"""``python -m controller.main --plan FILE --listen ADDRESS:PORT --key FILE --certificate FILE --authority FILE
--events FD_OR_PATH``: the controller's process.

The plan is a pickle that the parent wrote for this run alone; switches connect over mutual TLS; every event is one
JSON line with the time in nanoseconds since the epoch (CLOCK_REALTIME). The process ends with its parent.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import json
import os
import pickle
import signal
import ssl
import sys
import threading
import time
import traceback
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TextIO

from controller.tls import server_context
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


def write_plan(path: Path, plan: Plan) -> None:
    """Puts a plan in the place of the one at ``path``, whole or not at all, also when the power fails.

    Raises OSError where it cannot be written."""
    beside = path.with_name(path.name + ".new")
    with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        pickle.dump(plan, file)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent ends (prctl(2))."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), signal.SIGKILL)


def socket_address(text: str) -> tuple[str, int]:
    """``ADDRESS:PORT``; port 0 is any that is free. Raises InputError for what is none."""
    host, _, port = text.rpartition(":")
    try:
        return str(IPv4Address(host)), int(port)
    except ValueError:
        hint = "write an IPv4 address and a port, such as 127.0.0.1:6653"
        raise InputError(Problem("--listen", text, "is no address", hint)) from None


def run(plan_file: Path, listen: tuple[str, int], context: ssl.SSLContext, log: EventLog) -> None:
    """Serves switches until the process is told to end; a fault in a thread ends it with status 1.

    SIGHUP makes it read the plan again and change to it. The file always holds the plan that a controller which
    starts anew is to go by: a new one that is refused gives way to the old one again."""
    from controller import framework
    from controller.app import HealthNetController

    def fault(error: BaseException) -> None:
        log.emit("error", {"message": "".join(traceback.format_exception(error))})
        os._exit(1)

    def refused(address: str, reason: str) -> None:
        log.emit("switch-turned-away", {"address": address, "reason": reason})

    began = time.monotonic()
    store = functools.partial(write_plan, plan_file)
    app = framework.start(HealthNetController, read_plan(plan_file), log.emit, store, fault)
    host, port = framework.listen(listen, context, refused, fault)
    seconds = round(time.monotonic() - began, 3)
    log.emit("listening", {"address": host, "port": port, "framework": framework.NAME, "seconds": seconds})
    while framework.wait_for_signal(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) == signal.SIGHUP:
        try:
            app.change_plan(read_plan(plan_file))
        except (InputError, OSError, pickle.UnpicklingError) as error:
            log.emit("policy-refused", {"policy": str(plan_file), "reason": str(error)})


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 0 when told to end, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="controller", description="OpenFlow controller of one run")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--listen", required=True, help="ADDRESS:PORT that switches connect to")
    parser.add_argument("--key", required=True, type=Path, help="the controller's key (PEM)")
    parser.add_argument("--certificate", required=True, type=Path, help="the controller's certificate (PEM)")
    parser.add_argument("--authority", required=True, type=Path, help="who must have signed switches' certificates")
    parser.add_argument("--events", required=True, help="file descriptor or path for JSON lines")
    options = parser.parse_args(argv)
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
    try:
        context = server_context(options.key, options.certificate, options.authority)
        run(options.plan, socket_address(options.listen), context, EventLog(options.events))
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
