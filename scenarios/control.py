"""The controller as a process of its own, and the events it reports."""

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

from emulation.management import ManagementNetwork
from emulation.switches import BRIDGE
from policies.plan import Plan

Event = dict[str, Any]


class ControllerFailed(RuntimeError):
    """The controller ended or did not report in time; the message says what was waited for."""


PLAN_FILE = "plan.pickle"


class SlowPathProcess:
    """Starts the routers' slow path on the plan that a controller was started on; ``routers`` has a folder for each
    router with its switch's socket in it."""

    def __init__(self, run_dir: Path, routers: Path, log: Path) -> None:
        sockets = routers / "{router}" / f"{BRIDGE}.mgmt"
        argv = [sys.executable, "-m", "controller.slowpath"]
        argv += ["--plan", str(run_dir / PLAN_FILE), "--sockets", str(sockets)]
        with log.open("w") as output:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


class ControllerProcess:
    """Starts ``controller.main`` on ``plan`` in the operations centre of ``management``, and follows its events, each
    handed to ``on_event`` as it comes."""

    def __init__(
        self, plan: Plan, management: ManagementNetwork, run_dir: Path, log: Path, on_event: Callable[[Event], None]
    ) -> None:
        self.events: list[Event] = []
        self._on_event = on_event
        self._news = threading.Condition()
        self._ending = ""  # why no more events come
        plan_file = run_dir / PLAN_FILE
        with open(os.open(plan_file, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
            pickle.dump(plan, file)
        reading, writing = os.pipe()
        argv = [sys.executable, "-m", "controller.main", "--plan", str(plan_file)]
        host, port = management.address
        shown = management.controller_credentials()
        argv += ["--listen", f"{host}:{port}", "--events", str(writing)]
        argv += ["--key", str(shown.key), "--certificate", str(shown.certificate), "--authority", str(shown.authority)]
        with log.open("w") as output:
            self.process = management.centre.spawn(argv, pass_fds=[writing], stdout=output, stderr=output)
        os.close(writing)
        self._follower = threading.Thread(target=self._follow, args=(reading,), name="controller-events", daemon=True)
        self._follower.start()

    def close(self) -> None:
        """End the controller; its last events have been handed on when this returns."""
        self.process.kill()
        self.process.wait()
        self._follower.join()

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

    def _follow(self, reading: int) -> None:
        ending = "it ended, see controller.log"
        try:
            with open(reading, encoding="utf-8") as lines:
                for line in lines:
                    event = json.loads(line)
                    self._on_event(event)
                    with self._news:
                        self.events.append(event)
                        self._news.notify_all()
        except (OSError, ValueError) as error:  # not JSON, or no room for it in the history
            ending = f"an event could not be handed on: {error}"
        self.give_up(ending)
