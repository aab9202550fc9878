"""Power of the routers of a running lab: cut on request, and restored, also to a router that died by itself."""

from __future__ import annotations

from helsewan.common.errors import InputError, Problem
from helsewan.common.processes import CommandError
from helsewan.common.suggestions import similar_names
from helsewan.lab.client.request import Request
from helsewan.lab.processes.controller_processes import ControllerFailed
from helsewan.lab.supervision.supervisor import Supervisor
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.testbed import Testbed

CUT = "its power was cut on request"


class RouterPowerRequest(Request):
    """Switch the power of the router named ``router`` ``on``, or off."""

    router: str
    on: bool


class RouterNotStarted(RuntimeError):
    """A router's power was restored, but it did not start or was not programmed; it is off."""


class RouterPower:
    """Power of the routers of ``testbed``, which is supervised by ``supervisor``. For one thread at a time."""

    def __init__(self, testbed: Testbed, supervisor: Supervisor) -> None:
        self._testbed, self._supervisor = testbed, supervisor

    def switch(self, router: str, on: bool) -> None:
        """Cut or restore a router's power. It loses all rules, and comes back with none: its links carry again once it
        is programmed.

        Raises InputError for a router that does not exist, or whose power is as asked already, and RouterNotStarted."""
        if router not in self._testbed.network.router:
            hint = similar_names(router, self._testbed.network.router)
            raise InputError(Problem("router", router, f"is no router of this network{hint}"))
        self._supervisor.act()  # one that has died a moment ago is off
        is_on = router not in self._testbed.failed_routers
        if is_on is on:
            hint = f"power it {'off' if is_on else 'on'}"
            raise InputError(Problem("router", router, f"is {'on' if is_on else 'off'} already", hint))
        (self._on if on else self._off)(router)

    def _off(self, router: str) -> None:
        self._testbed.fail(Target(router, routers=(router,)))
        self._supervisor.router_off(router, CUT)

    def _on(self, router: str) -> None:
        try:
            self._testbed.restore(Target(router, routers=(router,)))
        except (ControllerFailed, CommandError, OSError) as error:
            logs = self._testbed.router(router).log.parent
            raise RouterNotStarted(f"router {router} did not start: {error} (see {logs})") from error
        self._supervisor.router_on(router)
