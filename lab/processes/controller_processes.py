"""Processes of the controllers, the slow path and the northbound server, and the events that controllers report."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from helsewan.common.ownership import create_log
from helsewan.controller.northbound.controller_client import ControllerClient
from helsewan.controller.slowpath.too_long import write_link_ends
from helsewan.emulation.routers.management import ManagementNetwork
from helsewan.emulation.routers.switches import BRIDGE
from helsewan.lab.processes.lasting_thread import start_lasting
from helsewan.policies.plan import Plan

Event = dict[str, Any]


PLAN_FILE = "plan.pickle"
LINK_ENDS_FILE = "link-ends.json"
CONTROL_SOCKET = "controller.sock"
PROGRAM_DEADLINE_S = 300.0  # for an event: on an emulated processor, programming the routers takes minutes


class ControllerFailed(RuntimeError):
    """The controller ended or did not report an event in time; the message names the event."""


class SlowPathProcess:
    """The routers' slow path, with the plan that `Controllers` wrote to ``run_dir``; ``routers`` has a folder for each
    router, which contains its switch's management socket. ``too_long``: the socket on which links report packets that
    are too long for them; ``link_ends``: (from, to) of the links' pipes, by number."""

    def __init__(
        self,
        run_dir: Path,
        routers: Path,
        log: Path,
        too_long: socket.socket | None = None,
        link_ends: Mapping[int, tuple[str, str]] | None = None,
    ) -> None:
        sockets = routers / "{router}" / f"{BRIDGE}.mgmt"
        argv = [sys.executable, "-m", "helsewan.controller.slowpath.main"]
        argv += ["--plan", str(run_dir / PLAN_FILE), "--sockets", str(sockets)]
        self.log = log
        fds = []
        if too_long is not None:
            write_link_ends(run_dir / LINK_ENDS_FILE, link_ends or {})
            fds = [too_long.fileno()]
            argv += ["--too-long", str(fds[0]), "--link-ends", str(run_dir / LINK_ENDS_FILE)]
        create_log(log)
        with log.open("a") as output:  # one that was restarted appends
            self.process = start_lasting(
                subprocess.Popen, argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=fds
            )

    def close(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()


class NorthboundProcess:
    """The controllers' northbound server on the listening socket ``listener`` (descriptor); ``events`` is the history
    file that it serves, ``changes`` the controllers' file of policy changes, ``tokens`` the file of accepted tokens."""

    def __init__(self, run_dir: Path, events: Path, changes: Path, tokens: Path, listener: int, log: Path) -> None:
        argv = [sys.executable, "-m", "helsewan.controller.northbound.main", f"--plan={run_dir / PLAN_FILE}"]
        argv += [f"--door={run_dir / CONTROL_SOCKET}", f"--events={events}", f"--changes={changes}"]
        argv += [f"--tokens={tokens}", f"--listener={listener}"]
        self.log = log
        create_log(log)
        with log.open("a") as output:  # one that was restarted appends
            self.process = start_lasting(
                subprocess.Popen, argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[listener]
            )

    def close(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()


class Controllers:
    """``helsewan.controller.main`` with ``plan``, in the operations centre of ``management``: a process for each of its
    addresses, of which one leads and the others are standbys.

    Their events are passed to ``on_event`` as they arrive; with several controllers, the key ``controller`` is the
    number of the one that reports (from 1). Their logs go to ``log_dir``."""

    def __init__(
        self, plan: Plan, management: ManagementNetwork, run_dir: Path, log_dir: Path, on_event: Callable[[Event], None]
    ) -> None:
        self.changes = log_dir / "changes.jsonl"
        self.events: list[Event] = []
        self._management, self._plan_file, self._log_dir = management, run_dir / PLAN_FILE, log_dir
        self._on_event = on_event
        self._changed = threading.Condition()
        self._end_reason = ""  # why no more events will arrive
        self._killed: set[int] = set()
        self._followers: dict[int, threading.Thread] = {}  # of the latest process, by number
        self._leader = 0
        with open(os.open(self._plan_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
            pickle.dump(plan, file)
        self._credentials = management.controller_credentials()
        create_log(self.changes)
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in range(len(management.addresses)):
            self._processes.append(self._start(number))

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        host, port = self._management.addresses[number]
        reading, writing = os.pipe()
        argv = [sys.executable, "-m", "helsewan.controller.main", "--plan", str(self._plan_file)]
        argv += ["--listen", f"{host}:{port}", "--events", str(writing), "--key", str(self._credentials.key)]
        argv += ["--certificate", str(self._credentials.certificate), "--authority", str(self._credentials.authority)]
        argv += ["--door", str(self._plan_file.with_name(CONTROL_SOCKET)), "--changes", str(self.changes)]
        log = self._log(number)
        create_log(log)
        with log.open("a") as output:
            process = start_lasting(
                self._management.centre.spawn, argv, pass_fds=[writing], stdout=output, stderr=output
            )
        os.close(writing)
        name = f"controller-events-{number}"
        follower = threading.Thread(target=self._follow, args=(reading, number), name=name, daemon=True)
        follower.start()
        self._followers[number] = follower
        return process

    @staticmethod
    def name(number: int) -> str:
        """The name of a controller, by its number (from 0)."""
        return "controller" if not number else f"controller {number + 1}"

    def _log(self, number: int) -> Path:
        return self._log_dir / f"{self.name(number).replace(' ', '-')}.log"

    def running(self) -> dict[int, tuple[subprocess.Popen[bytes], Path]]:
        """The controllers that were not killed by `kill_leader`: process and log file, by number."""
        return {
            number: (process, self._log(number))
            for number, process in enumerate(self._processes)
            if number not in self._killed
        }

    def restart(self, number: int) -> None:
        """Start a controller that has ended; it continues from the rules that it reads back. Waits for events are
        possible again."""
        self._followers[number].join()  # it reads to the end of the events, and then reports that no more arrive
        self._processes[number] = self._start(number)
        self._end_reason = ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of the leading controller, as last reported."""
        return self._processes[self._leader]

    def kill_leader(self) -> int:
        """Kill the leading controller; returns the time (CLOCK_REALTIME, ns)."""
        self._killed.add(self._leader)
        at_ns = time.time_ns()
        self.process.kill()
        self.process.wait()
        return at_ns

    def restart_killed(self) -> int:
        """Restart the controllers that `kill_leader` killed; returns the time (CLOCK_REALTIME, ns)."""
        at_ns = time.time_ns()
        for number in sorted(self._killed):
            self._processes[number] = self._start(number)
            self._killed.discard(number)
        return at_ns

    def pause_leader(self) -> tuple[int, int]:
        """Stop the leading controller's process, which keeps its connections; returns the time (CLOCK_REALTIME, ns) and
        its number, for `resume`."""
        number, at_ns = self._leader, time.time_ns()
        self._processes[number].send_signal(signal.SIGSTOP)
        return at_ns, number

    def resume(self, number: int) -> int:
        """Let a controller that was paused go on; returns the time (CLOCK_REALTIME, ns)."""
        at_ns = time.time_ns()
        self._processes[number].send_signal(signal.SIGCONT)
        return at_ns

    def client(self) -> ControllerClient:
        """A client of the leading controller's control socket."""
        return ControllerClient(self._plan_file.with_name(CONTROL_SOCKET), self._plan_file)

    def close(self) -> None:
        """Kill the controllers; returns when their last events have been passed on."""
        for process in self._processes:
            process.kill()
            process.wait()
        for follower in self._followers.values():
            follower.join()

    def wait_for(self, what: str, condition: Callable[[list[Event]], bool], deadline_s: float) -> None:
        """Wait until ``condition`` is true of the events so far. Raises ControllerFailed, which names ``what``, at the
        deadline or when no more events will arrive."""
        end = time.monotonic() + deadline_s
        with self._changed:
            while not condition(self.events):
                if self._end_reason:
                    raise ControllerFailed(f"no {what} from the controller: {self._end_reason}")
                if not self._changed.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise ControllerFailed(f"no {what} from the controller within {deadline_s:g} s")

    def wait_for_event(self, kind: str, since: int = 0, router: str | None = None) -> None:
        """Wait for an event of ``kind`` (and of ``router``, if given) among those from number ``since`` on.

        Raises ControllerFailed at the deadline, when no more events will arrive, or when a rule was refused."""

        what = f"{kind} {router or ''}".strip()
        self.wait_for(what, lambda events: _seen(events, kind, since, router), PROGRAM_DEADLINE_S)

    def has_event(self, kind: str, since: int = 0, router: str | None = None) -> bool:
        """Whether there is an event that `wait_for_event` would wait for. Raises ControllerFailed when a rule was
        refused, or no more events will arrive."""
        if _seen(self.events, kind, since, router):
            return True
        if self._end_reason:
            raise ControllerFailed(f"no {kind} from the controller: {self._end_reason}")
        return False

    def give_up(self, why: str) -> None:
        """Make all present and future waits fail with the reason ``why``."""
        with self._changed:
            self._end_reason = self._end_reason or why
            self._changed.notify_all()

    def _follow(self, reading: int, number: int) -> None:
        reason = f"it ended, see {self._log(number).name}"
        try:
            with open(reading, encoding="utf-8") as lines:
                for line in lines:
                    self._on_line(json.loads(line), number)
        except (OSError, ValueError) as error:  # not JSON, or the history cannot be written
            self.give_up(f"an event could not be passed on: {error}")
        if number not in self._killed:
            self.give_up(reason)

    def _on_line(self, event: Event, number: int) -> None:
        if len(self._management.addresses) > 1:
            event["controller"] = number + 1
        if event["event"] == "leading":
            self._leader = number
        with self._changed:
            self._on_event(event)
            self.events.append(event)
            self._changed.notify_all()


def _seen(events: list[Event], kind: str, since: int, router: str | None) -> bool:
    """Whether an event of ``kind`` (and of ``router``, if given) is among those from number ``since`` on. Raises
    ControllerFailed when a rule was refused."""
    found = events[since:]
    for event in found:
        if event["event"] == "error" and "rule" in event and router in (None, event["router"]):
            raise ControllerFailed(f"{event['router']} {event['message']}: {event['rule']}")
    return any(event["event"] == kind and router in (None, event.get("router")) for event in found)
