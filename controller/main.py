"""``python -m helsewan.controller.main --plan FILE --listen ADDRESS:PORT --key FILE --certificate FILE --authority FILE
--events FD_OR_PATH``: the controller's process.

The plan is a pickle that the parent wrote for this run alone; switches connect over mutual TLS; every event is one
JSON line with the time in nanoseconds since the epoch (CLOCK_REALTIME). The process ends with its parent.
"""

from __future__ import annotations

import argparse
import functools
import os
import pickle
import signal
import ssl
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, NoReturn

from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode
from helsewan.common.files import replace_file
from helsewan.common.processes import die_with_parent
from helsewan.controller.control.event_log import EventLog
from helsewan.controller.control.lease import RENEW_S, Lease
from helsewan.controller.control.tls import server_context
from helsewan.controller.plan_file import read_plan
from helsewan.controller.update import maintenance
from helsewan.policies.analysis.changes import changes as differences
from helsewan.policies.plan import Plan

LEASE_FILE = "lease"  # beside the plan
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_LOOK_S = 0.1  # at whether the leader is still there


def socket_address(text: str) -> tuple[str, int]:
    """``ADDRESS:PORT``; port 0 is any that is free. Raises InputError for what is none."""
    host, _, port = text.rpartition(":")
    try:
        return str(IPv4Address(host)), int(port)
    except ValueError:
        hint = "write an IPv4 address and a port, such as 127.0.0.1:6653"
        raise InputError(Problem("--listen", text, "is no address", hint)) from None


def run(options: argparse.Namespace, listen: tuple[str, int], context: ssl.SSLContext, log: EventLog) -> None:
    """Serves switches until the process is told to end; a fault in a thread ends it with status 1.

    SIGHUP makes it read the plan again and change to it. The file always holds the plan that a controller which
    starts anew is to go by: a new one that is refused gives way to the old one again.

    Of several on one plan file one leads. The others stand by, and one of them goes on where the leader ends, hangs,
    or is told to hand over (SIGUSR1). Who leads no more stands by from then on, with nothing of what it knew."""
    from helsewan.controller import framework
    from helsewan.controller.app import HealthNetController
    from helsewan.controller.control.audit_log import AuditLog
    from helsewan.controller.control.control_api import ControlApi
    from helsewan.controller.control.control_server import ControlServer
    from helsewan.controller.control.event_reporter import EventReporter
    from helsewan.controller.update.exception_scheduler import ExceptionScheduler

    plan_file: Path = options.plan
    control_api = ControlApi(read_plan)
    changes = AuditLog(options.changes, framework.Queue()) if options.changes else None
    reports = EventReporter(log.emit, control_api, changes)
    lease = Lease(plan_file.with_name(LEASE_FILE))
    withdrawn_file = plan_file.with_name(maintenance.FILE)

    def fault(error: BaseException) -> None:
        reports.error(error)
        os._exit(1)

    def stand_by(reason: str = "another leads") -> NoReturn:
        reports.emit("standing-by", {"reason": reason})
        log.begin_anew()

    def store(path: Path, contents: bytes) -> None:
        if not lease.renew(functools.partial(replace_file, path, contents)):
            stand_by()

    def lead() -> None:
        if not lease.take():
            reports.emit("standing-by", {"reason": "another leads"})
            while not lease.take():
                framework.sleep(_LOOK_S)
        plan = read_plan(plan_file)
        app.lead(plan, maintenance.read_withdrawn(withdrawn_file), lease.generation)
        calendar.keep(plan)
        framework.spawn(calendar.run, fault)
        if options.door:
            framework.spawn(ControlServer(options.door, control_api, fault).serve, fault)
        while lease.renew():
            framework.sleep(RENEW_S)
        stand_by()

    began = time.monotonic()
    calendar = ExceptionScheduler(lambda plan, origin: app.change_plan(plan, origin))

    def keep(plan: Plan) -> None:
        store(plan_file, pickle.dumps(plan))
        calendar.keep(plan)

    keepers = (
        keep,
        lambda places: store(withdrawn_file, maintenance.written(places)),
    )
    app = framework.start(HealthNetController, read_plan(plan_file), reports.emit, *keepers, stand_by, fault)
    control_api.app = app
    if changes is not None:
        framework.spawn(changes.write, fault)
    framework.spawn(lead, fault)
    host, port = framework.listen(listen, context, reports.turned_away, fault)
    seconds = round(time.monotonic() - began, 3)
    reports.emit("listening", {"address": host, "port": port, "framework": framework.NAME, "seconds": seconds})
    while (told := framework.wait_for_signal(*_SIGNALS)) in (signal.SIGHUP, signal.SIGUSR1):
        if told == signal.SIGUSR1:
            lease.resign()
            stand_by("told to hand over")
        _change_plan(app, plan_file, reports.emit)


def _change_plan(app: Any, plan_file: Path, emit: Callable[[str, dict[str, Any]], None]) -> None:
    """Changes to the plan in the file."""
    from helsewan.controller.update.policy_change import (
        Origin,
    )  # with it comes NumPy, whose threads must find the signals blocked

    try:
        wanted = read_plan(plan_file)
        app.change_plan(wanted, Origin(changes=differences(app.kept.source, wanted.source)))
    except (InputError, OSError, pickle.UnpicklingError) as error:
        emit("policy-refused", {"policy": str(plan_file), "reason": str(error)})


def main(argv: list[str] | None = None) -> int:
    """Command line; exit status 0 when told to end, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="controller", description="OpenFlow controller of one run")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--listen", required=True, help="ADDRESS:PORT that switches connect to")
    parser.add_argument("--key", required=True, type=Path, help="the controller's key (PEM)")
    parser.add_argument("--certificate", required=True, type=Path, help="the controller's certificate (PEM)")
    parser.add_argument("--authority", required=True, type=Path, help="who must have signed switches' certificates")
    parser.add_argument("--events", required=True, help="file descriptor or path for JSON lines")
    parser.add_argument("--door", type=Path, help="a unix socket to make, where the northbound server asks")
    parser.add_argument("--changes", type=Path, help="the audit log of changes, which is appended to")
    options = parser.parse_args(argv)
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        context = server_context(options.key, options.certificate, options.authority)
        run(options, socket_address(options.listen), context, EventLog(options.events))
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    return ExitCode.PASS


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
