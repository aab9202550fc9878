"""A controller process: on standby until it holds the lease, then leading until it loses it.

Imports the OpenFlow framework and NumPy, which start threads: import it once signals are blocked.
"""

from __future__ import annotations

import argparse
import functools
import os
import pickle
import signal
import ssl
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from helsewan.common.errors import InputError
from helsewan.common.files import replace_file
from helsewan.controller import framework
from helsewan.controller.app import HealthNetController
from helsewan.controller.control.audit_log import AuditLog
from helsewan.controller.control.control_api import ControlApi
from helsewan.controller.control.control_server import ControlServer
from helsewan.controller.control.event_log import EventLog
from helsewan.controller.control.event_reporter import EventReporter
from helsewan.controller.control.lease import RENEW_S, Lease
from helsewan.controller.plan_file import read_plan
from helsewan.controller.update import maintenance
from helsewan.controller.update.exception_scheduler import ExceptionScheduler
from helsewan.controller.update.policy_change import Origin
from helsewan.policies.analysis.changes import changes
from helsewan.policies.plan import Plan

LEASE_FILE = "lease"  # beside the plan
_LEASE_POLL_S = 0.1  # how often a standby controller tries to take the lease


class ControllerProcess:
    """The parts of one controller, from its command-line ``options``.

    The plan file always holds the plan that a restarted controller starts with: when a new plan is refused, the
    previous one is written back. Of several controllers on one plan file one leads. The others are on standby; one of
    them takes over when the leader ends, hangs, or is told to hand over (SIGUSR1). A controller that has lost the
    lease restarts itself as a standby, without its former state."""

    def __init__(self, options: argparse.Namespace, log: EventLog) -> None:
        """Raises OSError where the audit log cannot be opened."""
        self._plan_file: Path = options.plan
        self._withdrawn_file = self._plan_file.with_name(maintenance.FILE)
        self._control_socket: Path | None = options.door
        self._log = log
        self._control_api = ControlApi(read_plan)
        self._audit_log = AuditLog(options.changes, framework.Queue(), framework.sleep) if options.changes else None
        self._reporter = EventReporter(log.emit, self._control_api, self._audit_log)
        self._lease = Lease(self._plan_file.with_name(LEASE_FILE))
        self._scheduler = ExceptionScheduler(lambda plan, origin: self._app.change_plan(plan, origin))
        self._app: HealthNetController

    def run(self, listen: tuple[str, int], context: ssl.SSLContext, signals: Sequence[signal.Signals]) -> None:
        """Serves switches at ``listen`` until one of ``signals`` (which are blocked) ends the process: SIGHUP changes
        to the plan in the file, SIGUSR1 hands over, any other ends it. An exception in a thread ends the process with
        status 1. Raises InputError or OSError where the plan or the listening socket cannot be used."""
        began = time.monotonic()
        self._start_app()
        host, port = framework.listen(listen, context, self._reporter.rejected, self._fault)
        seconds = round(time.monotonic() - began, 3)
        details = {"address": host, "port": port, "framework": framework.NAME, "seconds": seconds}
        self._reporter.emit("listening", details)
        while (received := framework.wait_for_signal(*signals)) in (signal.SIGHUP, signal.SIGUSR1):
            if received == signal.SIGUSR1:
                self._lease.resign()
                self._stand_by("told to hand over")
            self._change_to_plan_file()

    def _start_app(self) -> None:
        """Starts the framework and the threads that write the audit log and hold the lease."""
        self._app = framework.start(
            HealthNetController,
            read_plan(self._plan_file),
            self._reporter.emit,
            self._store_plan,
            self._store_withdrawn,
            self._stand_by,
            self._fault,
        )
        self._control_api.app = self._app
        if (audit_log := self._audit_log) is not None:
            framework.spawn(lambda: audit_log.write(self._audit_failed), self._fault)
        framework.spawn(self._lead, self._fault)

    def _audit_failed(self, reason: str) -> None:
        """The network goes on; the records wait."""
        self._reporter.emit("audit-log-failed", {"reason": reason})

    def _lead(self) -> None:
        """Waits for the lease, leads while it can be renewed, and then goes on standby."""
        if not self._lease.take():
            self._reporter.emit("standing-by", {"reason": "another controller leads"})
            while not self._lease.take():
                framework.sleep(_LEASE_POLL_S)
        plan = read_plan(self._plan_file)
        self._app.lead(plan, maintenance.read_withdrawn(self._withdrawn_file), self._lease.generation)
        self._scheduler.set_plan(plan)
        framework.spawn(self._scheduler.run, self._fault)
        if self._control_socket is not None:
            server = ControlServer(self._control_socket, self._control_api, self._fault)
            framework.spawn(server.serve, self._fault)
        while self._lease.renew():
            framework.sleep(RENEW_S)
        self._stand_by()

    def _change_to_plan_file(self) -> None:
        try:
            plan = read_plan(self._plan_file)
            self._app.change_plan(plan, Origin(changes=changes(self._app.stored_plan.source, plan.source)))
        except (InputError, OSError, pickle.UnpicklingError) as error:
            self._reporter.emit("policy-refused", {"policy": str(self._plan_file), "reason": str(error)})

    def _store_plan(self, plan: Plan) -> None:
        self._store(self._plan_file, pickle.dumps(plan))
        self._scheduler.set_plan(plan)

    def _store_withdrawn(self, places: frozenset[str]) -> None:
        self._store(self._withdrawn_file, maintenance.file_contents(places))

    def _store(self, path: Path, contents: bytes) -> None:
        """Replaces a file, if this process still leads."""
        if not self._lease.renew(functools.partial(replace_file, path, contents)):
            self._stand_by()

    def _stand_by(self, reason: str = "another controller leads") -> NoReturn:
        self._reporter.emit("standing-by", {"reason": reason})
        self._log.restart_process()

    def _fault(self, error: BaseException) -> NoReturn:
        self._reporter.error(error)
        os._exit(1)
