"""The worker of ``helsewan up``, first process of the sandbox: brings the network up and serves clients."""

from __future__ import annotations

import socket
import sys
import time
import traceback
from pathlib import Path
from typing import cast

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.common.terminal.progress import Progress
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tolerant_output import tolerate_full_disk
from helsewan.controller.northbound.tokens import write_tokens
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.site_mounts import hide_from_sites
from helsewan.lab.client.registry import DEFAULT_NAME
from helsewan.lab.client.usage import size, usage
from helsewan.lab.health.health_log import Turn, described
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.processes.history import History
from helsewan.lab.processes.sandbox_process import interruptible, orphaned, read_job
from helsewan.lab.processes.zombie_reaper import ZombieReaper
from helsewan.lab.server.control_socket import Server
from helsewan.lab.server.detached import tell
from helsewan.lab.server.job import OUTPUT, LabJob
from helsewan.lab.server.lifetime import Lifetime
from helsewan.lab.server.northbound_api import Interface, refuse
from helsewan.lab.server.operations import Operations
from helsewan.lab.supervision.last_network import HISTORY, Ending
from helsewan.lab.supervision.supervisor import PartLost, Supervisor
from helsewan.lab.testbed.lan_hosts import add_lan_hosts
from helsewan.lab.testbed.parts import Part, PartKind
from helsewan.lab.testbed.running_health import RunningHealth
from helsewan.lab.testbed.testbed import Testbed

TICK_S = 0.25


def main(descriptor: int) -> int:
    """Run the lab of the job in file ``descriptor``; returns the exit code: 0 ended on request, else that of
    what ended it."""
    if orphaned():
        return ExitCode.VOID
    tolerate_full_disk()
    job = cast(LabJob, read_job(descriptor))
    try:
        network = RunningLab(job)
    except OSError as error:  # the history cannot be created
        if job.launcher is not None:
            tell(socket.socket(fileno=job.launcher), failed=str(error), status=ExitCode.VOID)
        print(error, file=sys.stderr)
        return ExitCode.VOID
    try:
        with interruptible():
            sandbox.enter()
            network.run()
    except KeyboardInterrupt:
        why = network.lifetime.over
        if network.is_up:
            network.say(f"ended: {why}" if why else "ended")
            return ExitCode.PASS
        if why:  # its launcher or the process that it is for has ended
            network.say(why)
        return ExitCode.VOID if why else ExitCode.INTERRUPTED
    except InputError as error:  # refused by the machine, as before the sandbox
        code = exit_code_of(error)
        network.fail(str(error), code)
        return code
    except Exception as error:
        if job.debug:
            traceback.print_exc()
        ending, code = network.ending_of(error), exit_code_of(error)
        what = "failed" if network.is_up else "did not come up"
        network.fail(f"network {job.name} {what}: {ending.reason} (see {ending.log})", code)
        return code
    network.say("ended")
    return ExitCode.PASS


class RunningLab:
    """The lab of ``job``, from start to end."""

    def __init__(self, job: LabJob) -> None:
        self._job = job
        self._screen = Screen()
        self._history = History(job.directory / HISTORY)
        logs = job.directory / "logs"
        hide_from_sites(job.registry)
        self.testbed = Testbed(job.plan, sandbox.RUN_DIR, logs, self._on_controller_event, job.forwarding, job.standby)
        self._launcher = None if job.launcher is None else socket.socket(fileno=job.launcher)
        self.lifetime = Lifetime(job.limits, self._launcher)
        self.operations = Operations(job, self.testbed, self._history, self.lifetime)
        self._supervisor: Supervisor | None = None  # once the network is up
        self.is_up = False

    def run(self) -> None:
        """Start the network and run it until a client ends it. Raises PartLost, or the error of a component that did
        not start."""
        self._history.append(
            "up", name=self._job.name, policy=self._job.plan.policy, network=self._job.plan.network.name
        )
        self.lifetime.start()
        listener = socket.socket(fileno=self._job.listener)
        Server(listener, self.operations.table(), self._job.debug).start()
        ending = Ending("asked", "a client asked for it")
        try:
            self._bring_up()
            self._monitor()
        except BaseException as error:
            ending = self.ending_of(error)
            raise
        finally:
            try:
                if self._supervisor is not None:
                    self._supervisor.stop()
                self.testbed.close()
            finally:
                self._history.append(ending.event, **ending.facts())

    def ending_of(self, error: BaseException) -> Ending:
        """How the network ends with ``error``."""
        if isinstance(error, KeyboardInterrupt):
            return Ending("interrupted", self.lifetime.over or ("by a signal" if self.is_up else "before it was up"))
        if isinstance(error, PartLost):
            return Ending("failed", str(error), error.log)
        return Ending("failed", sandbox.explained(error), str(self._job.directory / "logs"))

    def say(self, what: str) -> None:
        """Print a message about the network."""
        self._screen.print(f"network {self._job.name}: {what}", markup=False, soft_wrap=True)

    def fail(self, why: str, status: int) -> None:
        """Report why the network failed: to the launcher that waits for it, if any, and on standard error."""
        if self._launcher is not None and not self.is_up:
            tell(self._launcher, failed=why, status=status)
        print(why, file=sys.stderr)

    def _bring_up(self) -> None:
        began = time.monotonic()
        with Progress(self._screen) as progress:

            def stage(text: str) -> None:
                self.operations.stage = text
                progress.say(text)

            self.testbed.start(stage)
            add_lan_hosts(self.testbed, self._job.lan_hosts)
            if self._job.api is not None:
                self._serve(self._job.api)
            progress.say(f"the network is up and programmed after {time.monotonic() - began:.1f} s")
        self._history.append("network-up", seconds=round(time.monotonic() - began, 3))
        self.is_up = True
        self._supervisor = Supervisor(self.testbed, self._history.append, self.say, self._output(), self._give_up)
        self._supervisor.start()
        self.operations.open(self._supervisor, RunningHealth(self.testbed, self._on_turn))
        self._print_usage()
        self.lifetime.begin_lease()
        if self._launcher is not None:
            tell(self._launcher, up=True)

    def _serve(self, api: Interface) -> None:
        tokens = sandbox.RUN_DIR / "tokens"
        write_tokens(tokens, [api.token])
        self.testbed.start_northbound(self._job.directory / HISTORY, tokens, api.listener)

    def _output(self) -> Path:
        """Where this process, and the link engine, write: the log of a network in the background, or its folder."""
        log = self._job.directory / OUTPUT
        return log if log.exists() else self._job.directory

    def _give_up(self, part: Part) -> None:
        """A part is restarted no more. Clients of the northbound server are refused: nobody will accept them."""
        if part.kind is PartKind.NORTHBOUND and self._job.api is not None:
            refuse(self._job.api.listener)

    def _monitor(self) -> None:
        """Serve clients and supervise the parts, until a client ends the lab."""
        zombies = ZombieReaper()
        while not self.operations.ended:
            self.operations.main.work_for(TICK_S)
            if self._supervisor is not None:
                self._supervisor.act()
            zombies.sweep()

    def _print_usage(self) -> None:
        name = "" if self._job.name == DEFAULT_NAME else f" --name {self._job.name}"
        commands = usage(self._job.plan, name)
        if self._job.api is not None:
            commands.append(self._job.api.usage)
        self._screen.print(
            f"\nnetwork {self._job.name}: {size(self._job.plan)}. From another terminal:\n\n"
            + "".join(f"  {command}\n" for command in commands)
            + "\nIt runs until `helsewan down` or Ctrl-C.",
            markup=False,
            soft_wrap=True,
        )

    def _on_turn(self, turn: Turn) -> None:
        self._history.append("validity", grade=turn.grade.value, reasons=[described(reason) for reason in turn.reasons])

    def _on_controller_event(self, event: Event) -> None:
        details = {key: value for key, value in event.items() if key != "event"}
        self._history.append("controller." + event["event"], **details)
