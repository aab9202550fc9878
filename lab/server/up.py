"""``helsewan up`` outside the sandbox: checks the input, holds the lab's name, and runs its worker in a sandbox.

Nothing is created before the input was validated.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.screen import Screen
from helsewan.emulation.kernel import probe
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.client.registry import DEFAULT_NAME, own_registry
from helsewan.lab.processes.run_directory import conclude, make_directory, shown
from helsewan.lab.processes.sandbox_process import ending, handle_interrupts, interrupts, run_in_sandbox
from helsewan.lab.server.job import UP, LabJob
from helsewan.lab.server.northbound_api import northbound_interface
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_network_plan

OUTPUT = "up.log"  # output of a network in the background
_POLL_S = 0.1


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
    dataplane: Dataplane = Dataplane.ENGINE
    standby: bool = False
    results: Path = field(default_factory=lambda: Path("results"))
    debug: bool = False
    api: str | None = None  # address requested for the northbound interface


def run_lab(request: LabRequest, detach: bool) -> int:
    """Run the lab until an interrupt or ``helsewan down``; with ``detach`` return once it is up.

    Returns the exit code: 0, 3 where the network did not start or failed, 130 after an interrupt before it was up or
    two. Raises InputError for invalid input or
    missing prerequisites, before anything is created."""
    plan = planned(request)
    sandbox.require()
    if request.dataplane is Dataplane.KERNEL:
        probe.require()
    directory = make_directory(request.results / "up")
    if detach:
        return _in_background(request, plan, directory)
    return _run(request, plan, directory, ready=None)


def planned(request: LabRequest) -> Plan:
    """The plan of the network and the policy requested. Raises InputError."""
    return load_network_plan(request.policy, request.source, request.sites, request.seed, request.swedish_route)


def _run(request: LabRequest, plan: Plan, directory: Path, ready: int | None) -> int:
    """Hold the name and run the sandbox to its end."""
    with (
        own_registry() as registry,
        registry.held(request.name) as listener,
        northbound_interface(registry, request.name, request.api) as api,
        interrupts(),
    ):
        job = LabJob(
            name=request.name,
            plan=plan,
            directory=directory,
            listener=listener.fileno(),
            ready=ready,
            lan_hosts=request.lan_hosts,
            dataplane=request.dataplane,
            standby=request.standby,
            debug=request.debug,
            api=api,
        )
        fds = [listener.fileno(), *([] if ready is None else [ready]), *([] if api is None else [api.listener])]
        status = run_in_sandbox("helsewan.lab.server.worker", job, fds)
        handle_interrupts(signal.SIG_IGN)
        conclude(directory)
        if status not in (ExitCode.PASS, ExitCode.VOID, ExitCode.INTERRUPTED):
            print(f"the network ended: its first process: {ending(status)}", file=sys.stderr)
    if status == ExitCode.INTERRUPTED:
        print(f"network {request.name}: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return ExitCode.PASS if status == ExitCode.PASS else ExitCode.VOID


def _in_background(request: LabRequest, plan: Plan, directory: Path) -> int:
    """Run the lab in a background process; show its output until it is up or has failed."""
    reading, writing = os.pipe()
    log = directory / OUTPUT
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
    child = os.fork()
    if child == 0:
        os._exit(_background(request, plan, directory, writing, output))
    os.close(writing)
    os.close(output)
    with open(reading, "rb", buffering=0) as ready_pipe, log.open(encoding="utf-8") as shown_log:
        poll = select.poll()
        poll.register(ready_pipe, select.POLLIN)
        while not poll.poll(_POLL_S * 1000):
            Screen().print(shown_log.read(), markup=False, end="", soft_wrap=True)
        up = ready_pipe.read(1) == UP
        Screen().print(shown_log.read(), markup=False, end="", soft_wrap=True)
    if up:
        Screen().print(f"it runs in the background and writes to {shown(log)}", markup=False, soft_wrap=True)
        return ExitCode.PASS
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _background(request: LabRequest, plan: Plan, directory: Path, ready: int, output: int) -> int:
    """In the background process: detach from the terminal, and run the lab with its output on ``output``."""
    try:
        os.setsid()
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        return _run(request, plan, directory, ready)
    except InputError as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    except Exception:
        traceback.print_exc()
        return ExitCode.VOID
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
