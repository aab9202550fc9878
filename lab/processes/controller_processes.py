"""The controllers as processes of their own, and the events it reports."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helsewan.emulation.routers.management import ManagementNetwork
from helsewan.emulation.routers.switches import BRIDGE
from helsewan.policies.plan import Plan

Event = dict[str, Any]


class ControllerFailed(RuntimeError):
    """The controller ended or did not report in time; the message says what was waited for."""


PLAN_FILE = "plan.pickle"
DOOR = "controller.sock"


class SlowPathProcess:
    """Starts the routers' slow path on the plan that a controller was started on; ``routers`` has a folder for each
    router with its switch's socket in it."""

    def __init__(self, run_dir: Path, routers: Path, log: Path) -> None:
        sockets = routers / "{router}" / f"{BRIDGE}.mgmt"
        argv = [sys.executable, "-m", "helsewan.controller.slowpath.main"]
        argv += ["--plan", str(run_dir / PLAN_FILE), "--sockets", str(sockets)]
        with log.open("w") as output:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class NorthboundProcess:
    """Starts the northbound server of the controllers on the listening socket ``listener``; ``events`` is the file of
    what happens, ``changes`` that of the controllers' changes, ``tokens`` says who may come in."""

    def __init__(self, run_dir: Path, events: Path, changes: Path, tokens: Path, listener: int, log: Path) -> None:
        argv = [sys.executable, "-m", "helsewan.controller.northbound.main", f"--plan={run_dir / PLAN_FILE}"]
        argv += [f"--door={run_dir / DOOR}", f"--events={events}", f"--changes={changes}", f"--tokens={tokens}"]
        argv += [f"--listener={listener}"]
        with log.open("w") as output:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=[listener]
            )

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class Controllers:
    """Starts ``helsewan.controller.main`` on ``plan`` in the operations centre of ``management``, once for each of its
    addresses: one leads, another stands by. Their events are handed to ``on_event`` as they come; where there are
    several, ``controller`` is the number of the one that speaks. ``log_dir`` gets their logs."""

    def __init__(
        self, plan: Plan, management: ManagementNetwork, run_dir: Path, log_dir: Path, on_event: Callable[[Event], None]
    ) -> None:
        self.changes = log_dir / "changes.jsonl"
        self.events: list[Event] = []
        self._management, self._plan_file, self._log_dir = management, run_dir / PLAN_FILE, log_dir
        self._on_event = on_event
        self._news = threading.Condition()
        self._ending = ""  # why no more events come
        self._killed: set[int] = set()
        self._followers: list[threading.Thread] = []
        self._leader = 0
        with open(os.open(self._plan_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
            pickle.dump(plan, file)
        self._shown = management.controller_credentials()
        self._processes: list[subprocess.Popen[bytes]] = []
        for number in range(len(management.addresses)):
            self._processes.append(self._start(number))

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        host, port = self._management.addresses[number]
        reading, writing = os.pipe()
        argv = [sys.executable, "-m", "helsewan.controller.main", "--plan", str(self._plan_file)]
        argv += ["--listen", f"{host}:{port}", "--events", str(writing), "--key", str(self._shown.key)]
        argv += ["--certificate", str(self._shown.certificate), "--authority", str(self._shown.authority)]
        argv += ["--door", str(self._plan_file.with_name(DOOR)), "--changes", str(self.changes)]
        log = self._log_dir / f"{self._name(number).replace(' ', '-')}.log"
        with log.open("a") as output:
            process = self._management.centre.spawn(argv, pass_fds=[writing], stdout=output, stderr=output)
        os.close(writing)
        name = f"controller-events-{number}"
        follower = threading.Thread(target=self._follow, args=(reading, number), name=name, daemon=True)
        follower.start()
        self._followers.append(follower)
        return process

    @staticmethod
    def _name(number: int) -> str:
        return "controller" if not number else f"controller {number + 1}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The one that leads, as far as it has said so."""
        return self._processes[self._leader]

    def dead(self) -> list[str]:
        """Those that ended by themselves."""
        ended = (number for number, process in enumerate(self._processes) if process.poll() is not None)
        return [f"the {self._name(number)}" for number in ended if number not in self._killed]

    def kill_leader(self) -> int:
        """End the one that leads, without warning; the instant (CLOCK_REALTIME, ns)."""
        self._killed.add(self._leader)
        instant = time.time_ns()
        self.process.kill()
        self.process.wait()
        return instant

    def revive(self) -> int:
        """Start again whom `kill_leader` ended; the instant (CLOCK_REALTIME, ns)."""
        instant = time.time_ns()
        for number in sorted(self._killed):
            self._processes[number] = self._start(number)
            self._killed.discard(number)
        return instant

    def close(self) -> None:
        """End the controllers; their last events have been handed on when this returns."""
        for process in self._processes:
            process.kill()
            process.wait()
        for follower in self._followers:
            follower.join()

    def wait_for(self, what: str, wanted: Callable[[list[Event]], bool], deadline_s: float) -> None:
        """Return once ``wanted`` holds of the events so far; raises ControllerFailed when it cannot any more."""
        end = time.monotonic() + deadline_s
        with self._news:
            while not wanted(self.events):
                if self._ending:
                    raise ControllerFailed(f"no {what} from the controller: {self._ending}")
                if not self._news.wait(end - time.monotonic()) and time.monotonic() >= end:
                    raise ControllerFailed(f"no {what} from the controller within {deadline_s:g} s")

    def give_up(self, why: str) -> None:
        """Let every wait fail from now on, and say ``why``: what is waited for cannot come any more."""
        with self._news:
            self._ending = self._ending or why
            self._news.notify_all()

    def _follow(self, reading: int, number: int) -> None:
        ending = f"it ended, see {self._name(number).replace(' ', '-')}.log"
        try:
            with open(reading, encoding="utf-8") as lines:
                for line in lines:
                    self._heard(json.loads(line), number)
        except (OSError, ValueError) as error:  # not JSON, or no room for it in the history
            self.give_up(f"an event could not be handed on: {error}")
        if number not in self._killed:
            self.give_up(ending)

    def _heard(self, event: Event, number: int) -> None:
        if len(self._management.addresses) > 1:
            event["controller"] = number + 1
        if event["event"] == "leading":
            self._leader = number
        with self._news:
            self._on_event(event)
            self.events.append(event)
            self._news.notify_all()
