"""``helsewan up`` outside the sandbox: checks the input, holds the lab's name, and runs its worker in a sandbox.

Nothing is created before the input was validated.
"""

from __future__ import annotations

import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.screen import Screen
from helsewan.emulation.kernel import probe
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers.forwarding import Forwarding, forwarding
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.client.registry import DEFAULT_NAME, own_registry
from helsewan.lab.processes.run_directory import conclude, discard, make_directory, shown
from helsewan.lab.processes.sandbox_process import ending, handle_interrupts, interrupts, run_in_sandbox
from helsewan.lab.server.detached import log_to, run_detached, tell
from helsewan.lab.server.job import OUTPUT, LabJob
from helsewan.lab.server.lifetime import Limits, parsed_limits
from helsewan.lab.server.northbound_api import northbound_interface
from helsewan.lab.supervision.last_network import forget, note_killed, remember
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_network_plan

_REPORTED = (  # exit codes of a worker that has said why
    ExitCode.PASS,
    ExitCode.VOID,
    ExitCode.BAD_INPUT,
    ExitCode.INTERNAL_ERROR,
    ExitCode.MISSING_PRIVILEGE,
    ExitCode.INTERRUPTED,
)


@dataclass(frozen=True)
class LabRequest:
    """A user's request: the national network with ``sites`` sites, or the network of file ``source``, with a policy.
    ``lan_hosts``: hosts behind every hospital. ``standby``: with a second controller. ``results``: the parent folder of
    the run's directory."""

    name: str = DEFAULT_NAME
    sites: int | None = None
    seed: int = 1
    source: Path | None = None
    swedish_route: bool = False
    policy: str = "national"
    lan_hosts: int = 0
    forwarding: Forwarding = field(default_factory=forwarding)
    standby: bool = False
    results: Path = field(default_factory=lambda: Path("results"))
    debug: bool = False
    api: str | None = None  # address requested for the northbound interface
    with_pid: int | None = None  # the lab ends with this process
    lease: str | None = None  # it ends after this duration unless it is renewed


def run_lab(request: LabRequest, detach: bool) -> int:
    """Run the lab until an interrupt, ``helsewan down`` or one of its limits; with ``detach`` return once it is up.

    Returns the exit code: 0, 3 where the network did not start or failed, 70 for an internal error, 77 for a missing
    privilege, 130 after an interrupt before it was up or two. Raises InputError for invalid input or
    missing prerequisites, before anything is created."""
    limits = parsed_limits(request.with_pid, request.lease)
    plan = planned(request)
    sandbox.require()
    if request.forwarding.dataplane is Dataplane.KERNEL:
        probe.require()
    if detach:
        return run_detached(lambda launcher: _run(request, plan, limits, launcher))
    return _run(request, plan, limits, None)


def planned(request: LabRequest) -> Plan:
    """The plan of the network and the policy requested. Raises InputError."""
    return load_network_plan(request.policy, request.source, request.sites, request.seed, request.swedish_route)


def _run(request: LabRequest, plan: Plan, limits: Limits, launcher: socket.socket | None) -> int:
    """Hold the name and run the sandbox to its end. What another lab uses is refused before anything is created."""
    with (
        own_registry() as registry,
        registry.held(request.name) as listener,
        northbound_interface(registry, request.name, request.api) as api,
        interrupts(),
    ):
        created: list[Path] = []
        directory = make_directory(request.results / "up", created)
        if launcher is not None:
            log_to(directory / OUTPUT)
            tell(launcher, log=str(directory / OUTPUT))
        else:
            Screen().print(f"history and logs: {shown(directory)}", markup=False, soft_wrap=True)
        job = LabJob(
            name=request.name,
            plan=plan,
            directory=directory,
            registry=registry.path,
            listener=listener.fileno(),
            launcher=None if launcher is None else launcher.fileno(),
            lan_hosts=request.lan_hosts,
            forwarding=request.forwarding,
            standby=request.standby,
            debug=request.debug,
            api=api,
            limits=limits,
        )
        fds = [job.listener, job.launcher, None if api is None else api.listener]
        fds += [None if limits.owner is None else limits.owner.pidfd]
        remember(registry, request.name, directory)
        status = run_in_sandbox("helsewan.lab.server.worker", job, [fd for fd in fds if fd is not None])
        handle_interrupts(signal.SIG_IGN)
        if status in (ExitCode.BAD_INPUT, ExitCode.MISSING_PRIVILEGE):  # refused in the sandbox
            discard(created)
            forget(directory)
            return status
        if status not in _REPORTED:
            note_killed(directory, f"its first process: {ending(status)}")
        conclude(directory)
        if status not in _REPORTED:
            print(f"the network ended: its first process: {ending(status)}", file=sys.stderr)
    if status == ExitCode.INTERRUPTED:
        print(f"network {request.name}: interrupted", file=sys.stderr)
    return status if status in _REPORTED else ExitCode.VOID
