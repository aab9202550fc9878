"""The worker of ``helsewan up``, first process of the sandbox: brings the network up and serves clients."""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from typing import cast

from helsewan.common.exit_codes import ExitCode
from helsewan.common.progress import Progress
from helsewan.common.screen import Screen
from helsewan.controller.northbound.tokens import write_tokens
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.client.registry import DEFAULT_NAME
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.processes.history import History
from helsewan.lab.processes.sandbox_process import interruptible, orphaned, read_job
from helsewan.lab.processes.zombie_reaper import ZombieReaper
from helsewan.lab.server.control_socket import Server
from helsewan.lab.server.job import UP, LabJob
from helsewan.lab.server.northbound_api import Interface
from helsewan.lab.server.operations import Operations
from helsewan.lab.testbed.lan_hosts import add_lan_hosts
from helsewan.lab.testbed.testbed import Testbed

TICK_S = 0.25


class LabFailed(RuntimeError):
    """A process of the emulation ended unexpectedly."""


def main(descriptor: int) -> int:
    """Run the lab of the job in file ``descriptor``; returns the exit code: 0 ended on request, 3 failed."""
    if orphaned():
        return ExitCode.VOID
    job = cast(LabJob, read_job(descriptor))
    network = RunningLab(job)
    try:
        with interruptible():
            sandbox.enter()
            network.run()
    except KeyboardInterrupt:
        if network.is_up:
            network.say("ended")
        return ExitCode.PASS if network.is_up else ExitCode.INTERRUPTED
    except Exception as error:
        if job.debug:
            traceback.print_exc()
        reason = str(error) if isinstance(error, LabFailed) else f"{type(error).__name__}: {error}"
        print(f"network {job.name} {'failed' if network.is_up else 'did not come up'}: {reason}", file=sys.stderr)
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
        self.operations = Operations(job, self.testbed, self._history)
        self.is_up = False

    def run(self) -> None:
        """Start the network and run it until a client ends it. Raises LabFailed, or the error of a component that did
        not start."""
        self._history.append(
            "up", name=self._job.name, policy=self._job.plan.policy, network=self._job.plan.network.name
        )
        listener = socket.socket(fileno=self._job.listener)
        Server(listener, self.operations.table(), self._job.debug).start()
        try:
            self._bring_up()
            self._monitor()
        finally:
            self.testbed.close()
            self._history.append("down")

    def say(self, what: str) -> None:
        """Print a message about the network."""
        self._screen.print(f"network {self._job.name}: {what}", markup=False, soft_wrap=True)

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
        self.operations.open()
        self._print_usage()
        if self._job.ready is not None:
            os.write(self._job.ready, UP)
            os.close(self._job.ready)

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

    def _on_controller_event(self, event: Event) -> None:
        details = {key: value for key, value in event.items() if key != "event"}
        self._history.append("controller." + event["event"], **details)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
