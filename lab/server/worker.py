"""The worker of ``helsewan up``, first process of the sandbox: brings the network up and serves clients."""

from __future__ import annotations

import socket
import sys
import time
import traceback
from typing import cast

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.progress import Progress
from helsewan.common.screen import Screen
from helsewan.common.tolerant_output import tolerate_full_disk
from helsewan.controller.northbound.tokens import write_tokens
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.client.registry import DEFAULT_NAME
from helsewan.lab.health.health_log import Turn, described
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.processes.history import History
from helsewan.lab.processes.sandbox_process import interruptible, orphaned, read_job
from helsewan.lab.processes.zombie_reaper import ZombieReaper
from helsewan.lab.server.control_socket import Server
from helsewan.lab.server.detached import tell
from helsewan.lab.server.job import LabJob
from helsewan.lab.server.lifetime import Lifetime
from helsewan.lab.server.northbound_api import Interface
from helsewan.lab.server.operations import Operations
from helsewan.lab.testbed.lan_hosts import add_lan_hosts
from helsewan.lab.testbed.running_health import RunningHealth
from helsewan.lab.testbed.testbed import Testbed

TICK_S = 0.25


class LabFailed(RuntimeError):
    """A process of the emulation ended unexpectedly."""


def main(descriptor: int) -> int:
    """Run the lab of the job in file ``descriptor``; returns the exit code: 0 ended on request, 3 failed."""
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
        network.say((f"ended: {why}" if why else "ended") if network.is_up else why or "interrupted before it was up")
        return ExitCode.PASS if network.is_up else ExitCode.VOID
    except InputError as error:  # the machine does not allow it: refused as before the sandbox
        network.fail(str(error), ExitCode.BAD_INPUT)
        return ExitCode.BAD_INPUT
    except Exception as error:
        if job.debug:
            traceback.print_exc()
        reason = str(error) if isinstance(error, LabFailed) else f"{type(error).__name__}: {error}"
        network.fail(f"network {job.name} {'failed' if network.is_up else 'did not come up'}: {reason}", ExitCode.VOID)
        return ExitCode.VOID
    network.say("ended")
    return ExitCode.PASS


class RunningLab:
    """The lab of ``job``, from start to end."""

    def __init__(self, job: LabJob) -> None:
        self._job = job
        self._screen = Screen()
        self._history = History(job.directory / "history.jsonl")
        logs = job.directory / "logs"
        self.testbed = Testbed(job.plan, sandbox.RUN_DIR, logs, self._on_controller_event, job.dataplane, job.standby)
        self._launcher = None if job.launcher is None else socket.socket(fileno=job.launcher)
        self.lifetime = Lifetime(job.limits, self._launcher)
        self.operations = Operations(job, self.testbed, self._history, self.lifetime)
        self.is_up = False

    def run(self) -> None:
        """Start the network and run it until a client ends it. Raises LabFailed, or the error of a component that did
        not start."""
        self._history.append(
            "up", name=self._job.name, policy=self._job.plan.policy, network=self._job.plan.network.name
        )
        self.lifetime.start()
        listener = socket.socket(fileno=self._job.listener)
        Server(listener, self.operations.table(), self._job.debug).start()
        try:
            self._bring_up()
            self._monitor()
        finally:
            self.testbed.close()
            self._history.append("down", **({"reason": self.lifetime.over} if self.lifetime.over else {}))

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
        self.operations.open(RunningHealth(self.testbed, self._on_turn))
        self._print_usage()
        self.lifetime.begin_lease()
        if self._launcher is not None:
            tell(self._launcher, up=True)

    def _serve(self, api: Interface) -> None:
        tokens = sandbox.RUN_DIR / "tokens"
        write_tokens(tokens, [api.token])
        self.testbed.start_northbound(self._job.directory / "history.jsonl", tokens, api.listener)

    def _monitor(self) -> None:
        """Serve clients and check that all processes run, until a client ends the lab."""
        zombies = ZombieReaper()
        while not self.operations.ended:
            self.operations.main.work_for(TICK_S)
            if dead := self.testbed.dead_parts():
                raise LabFailed(f"ended unexpectedly: {', '.join(dead)}")
            zombies.sweep()

    def _print_usage(self) -> None:
        network = self._job.plan.network
        name = "" if self._job.name == DEFAULT_NAME else f" --name {self._job.name}"
        usage = f"  {self._job.api.usage}\n" if self._job.api else ""
        site, other = network.sites[0].id, network.sites[1]
        self._screen.print(
            f"\nnetwork {self._job.name}: {len(network.sites)} sites, {len(network.routers)} routers, "
            f"policy {self._job.plan.policy}. From another terminal:\n\n"
            f"  helsewan status{name}\n"
            f"  helsewan exec{name} {site} -- ping -c 3 {other.address4}\n"
            f"  helsewan shell{name} {site}\n"
            f"  helsewan link set{name} {network.links[0].id} --delay 20ms --loss 1%\n"
            f"  helsewan down{name}\n{usage}\n"
            "It runs until `helsewan down` or Ctrl-C.",
            markup=False,
            soft_wrap=True,
        )

    def _on_turn(self, turn: Turn) -> None:
        self._history.append("validity", grade=turn.grade.value, reasons=[described(reason) for reason in turn.reasons])

    def _on_controller_event(self, event: Event) -> None:
        details = {key: value for key, value in event.items() if key != "event"}
        self._history.append("controller." + event["event"], **details)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
