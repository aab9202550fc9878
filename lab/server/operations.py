"""The operations that clients may request of a running lab."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field

from helsewan.common.exit_codes import ExitCode
from helsewan.common.suggestions import similar_names
from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.links.trace import MAX_BYTES, parse_trace
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.lab.client.request import Request
from helsewan.lab.links.link_change import LinkRequest, LinkState, TraceRequest
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.links.link_names import EXACT
from helsewan.lab.processes.history import History
from helsewan.lab.processes.main_thread import MainThread
from helsewan.lab.server.addresses import addresses_of
from helsewan.lab.server.capture import CaptureRequest, start_capture
from helsewan.lab.server.console import CliRequest, start_cli
from helsewan.lab.server.control_socket import Operation, OperationRefused
from helsewan.lab.server.exec import ExecRequest, Executor
from helsewan.lab.server.injection import InjectionRequest, start_injection, start_sessions
from helsewan.lab.server.job import LabJob
from helsewan.lab.server.lifetime import MIN_LEASE_US, Lifetime
from helsewan.lab.server.rules import start_reading
from helsewan.lab.server.status import status_of, validity_of
from helsewan.lab.supervision.router_power import RouterNotStarted, RouterPower, RouterPowerRequest
from helsewan.lab.supervision.supervisor import Supervisor
from helsewan.lab.testbed.running_health import RunningHealth
from helsewan.lab.testbed.testbed import Testbed

# Earlier names of operations, for clients of an earlier version with the same protocol version.
DEPRECATED_NAMES = {"lines": "links", "change-lines": "change-links", "play": "inject", "talk": "sessions"}
BUSY_S = 3.0  # `status` waits so long for other operations, and then tells what it can without


class NoArguments(Request):
    """No arguments."""


class StatusRequest(Request):
    """``since_s``: from when on the validity is meant (s since the epoch; None: since the lab is up)."""

    since_s: float | None = None


class LinkSelection(Request):
    """Links selected by ``line``, see `links_named`."""

    line: str


class RenewRequest(Request):
    """A lease to renew for ``lease_us`` from now (None: for as long as before), or to end (``forever``)."""

    lease_us: Annotated[int, Field(ge=MIN_LEASE_US)] | None = None
    forever: bool = False


class NodeSelection(Request):
    """The site, host or router named ``node``."""

    node: str


class Operations:
    """The operations on the network of ``testbed``; executed in the main thread, by ``main``, once the network is up.
    ``stage``: the current step of starting it. ``ended``: whether a client has ended the lab."""

    def __init__(self, job: LabJob, testbed: Testbed, history: History, lifetime: Lifetime) -> None:
        self._job, self._testbed, self._history, self._lifetime = job, testbed, history, lifetime
        self._began = time.monotonic()
        self.main = MainThread()
        self._links: LinkControl | None = None  # once the network is up
        self._supervisor: Supervisor | None = None  # likewise
        self._health: RunningHealth | None = None  # likewise
        self.stage = "starting"
        self.ended = False

    def open(self, supervisor: Supervisor, health: RunningHealth) -> None:
        """Accept all operations from now on; called once the network is up, with the supervisor of its parts and the
        monitor of its validity."""
        self._supervisor, self._health = supervisor, health
        self._links = LinkControl(self._testbed)

    @property
    def _control(self) -> LinkControl:
        if self._links is None:
            raise OperationRefused(f"network {self._job.name} is not up yet: {self.stage}", ExitCode.VOID)
        return self._links

    def table(self) -> Mapping[str, Operation]:
        """The operations by name."""
        operations = {
            "status": Operation(StatusRequest, self.status),
            "down": Operation(NoArguments, self.down),
            "renew": Operation(RenewRequest, self._once_up(self.renew)),
            "addresses": Operation(NodeSelection, self._once_up(self.addresses)),
            "links": Operation(LinkSelection, self._once_up(self.describe_links)),
            "change-links": Operation(LinkRequest, self._once_up(self.change_links)),
            "power": Operation(RouterPowerRequest, self._once_up(self.power)),
            "trace": Operation(TraceRequest, self._once_up(self.trace), fds=1),
            "capture": Operation(CaptureRequest, self._once_up(self.capture), fds=1),
            "cli": Operation(CliRequest, self._once_up(self.cli), fds=3),
            "rules": Operation(NoArguments, self._once_up(self.rules), fds=2),
            "inject": Operation(InjectionRequest, self._once_up(self.inject), fds=1),
            "sessions": Operation(NoArguments, self._once_up(self.run_sessions), fds=1),
            "exec": Operation(ExecRequest, self._once_up(self.exec), fds=3),
        }
        return operations | {old: operations[name] for old, name in DEPRECATED_NAMES.items()}

    def _once_up(self, act: Callable[[Any, Sequence[int]], object]) -> Callable[[Any, Sequence[int]], object]:
        return partial(self._act_once_up, act)

    def _act_once_up(self, act: Callable[[Any, Sequence[int]], object], request: Request, fds: Sequence[int]) -> object:
        _ = self._control  # raises OperationRefused before
        return self.main.call(lambda: act(request, fds))

    def status(self, request: StatusRequest, fds: Sequence[int]) -> dict[str, Any]:
        """The lab's state."""
        links = self._links
        about = {
            "name": self._job.name,
            "state": "starting" if links is None else "up",
            "stage": self.stage if links is None else None,
            "uptime_s": round(time.monotonic() - self._began, 1),
            "policy": self._job.plan.policy,
            "network": self._job.plan.network.name,
            "seed": self._job.plan.network.seed,
            "directory": str(self._job.directory),
            **self._lifetime.state(),
            **({"not_written": failure} if (failure := self._history.failure) else {}),
            "api": None if (api := self._job.api) is None else {"address": api.address, "token_file": api.token_file},
        }
        if links is None or self._supervisor is None:
            return about
        about |= self._supervisor.report()
        try:
            measured = self.main.call(lambda: status_of(self._testbed) | {"changed": links.changed()}, BUSY_S)
        except TimeoutError:  # another client's operation waits for a part that is stalled
            return about | {"busy": f"another operation has lasted for over {BUSY_S:g} s"}
        if self._health is not None:
            measured["validity"] = validity_of(self._health, request.since_s, measured["dropped_at"])
        return about | measured

    def down(self, request: NoArguments, fds: Sequence[int]) -> None:
        """End the lab."""
        self._history.append("asked-down")
        self.ended = True

    def renew(self, request: RenewRequest, fds: Sequence[int]) -> dict[str, Any]:
        """Renew the lab's lease; returns what limits its life now."""
        lease_us = self._lifetime.lease_us if request.lease_us is None else request.lease_us
        if lease_us is None and not request.forever:
            raise OperationRefused(f"network {self._job.name} has no lease (hint: --lease 60s gives it one)")
        self._lifetime.renew(None if request.forever else lease_us)
        return self._lifetime.state()

    def exec(self, request: ExecRequest, fds: Sequence[int]) -> object:
        """Start a command at a node."""
        self._node(request.node)
        return Executor(self._testbed.net.nameToNode).start(request, fds)

    def addresses(self, request: NodeSelection, fds: Sequence[int]) -> list[str]:
        """The addresses of a node, IPv4 first."""
        return addresses_of(self._node(request.node), self._testbed.network)

    def describe_links(self, request: LinkSelection, fds: Sequence[int]) -> list[dict[str, Any]]:
        """Describe links."""
        return self._control.describe(request.line)

    def change_links(self, request: LinkRequest, fds: Sequence[int]) -> dict[str, list[str]]:
        """Change links; returns their names, and remarks on what the change does not do."""
        names = self._control.change(request)
        self._history.append(
            "lines-changed", lines=names, request=request.model_dump(exclude_unset=True, by_alias=True)
        )
        return {"links": list(names), "remarks": self._control.remarks(names, request)}

    def power(self, request: RouterPowerRequest, fds: Sequence[int]) -> None:
        """Cut or restore a router's power."""
        if self._supervisor is None:
            raise OperationRefused(f"network {self._job.name} is not supervised yet", ExitCode.VOID)
        try:
            RouterPower(self._testbed, self._supervisor).switch(request.router, request.on)
        except RouterNotStarted as error:
            raise OperationRefused(str(error), ExitCode.VOID) from error
        self._history.append("router-power", router=request.router, on=request.on)

    def trace(self, request: TraceRequest, fds: Sequence[int]) -> list[str]:
        """Let links follow a trace; returns their names."""
        trace = None
        self._require_engine()
        if not request.off:
            trace = parse_trace(os.pread(fds[0], MAX_BYTES, 0), request.file, request.repeat_us)
        names = self._control.follow(request, trace)
        self._history.append("lines-follow", lines=names, request=request.model_dump(exclude_unset=True, by_alias=True))
        return list(names)

    def capture(self, request: CaptureRequest, fds: Sequence[int]) -> object:
        """Start to capture a link."""
        self._require_engine()
        return start_capture(self._testbed.engine_backend, request, fds)

    def cli(self, request: CliRequest, fds: Sequence[int]) -> object:
        """Start Mininet's command line."""

        def set_carrier(link: str, up: bool) -> None:
            change = LinkRequest(line=EXACT + link, directions=tuple(Direction), state=LinkState(down=not up))
            self.main.call(lambda: self.change_links(change, ()))

        return start_cli(self._testbed.net, request, fds, set_carrier)

    def rules(self, request: NoArguments, fds: Sequence[int]) -> object:
        """Start to read the rules of all switches."""
        return start_reading(self._job.name, fds)

    def inject(self, request: InjectionRequest, fds: Sequence[int]) -> object:
        """Start to send frames from sites."""
        return start_injection(self._testbed.namespaces(), self._testbed.network, request, fds)

    def run_sessions(self, request: NoArguments, fds: Sequence[int]) -> object:
        """Start sessions between sites."""
        return start_sessions(self._testbed.namespaces(), fds)

    def _require_engine(self) -> None:
        """Raise OperationRefused where the kernel carries the links."""
        if not self._testbed.has_engine:
            raise OperationRefused(
                "links of the kernel dataplane can be neither captured nor traced (hint: --dataplane engine)"
            )

    def _node(self, name: str) -> NamespaceNode:
        """A node by name; raises OperationRefused, with similar names as a hint, where there is none."""
        nodes: Mapping[str, NamespaceNode] = self._testbed.net.nameToNode
        if name not in nodes:
            raise OperationRefused(
                f"{name!r} is no site or router of network {self._job.name}{similar_names(name, nodes)}"
            )
        return nodes[name]
