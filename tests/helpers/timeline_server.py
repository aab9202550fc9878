"""The first process of a test's sandbox: brings the small network up and follows timelines on it, a JSON line each.

Started as ``python timeline_server.py DIRECTORY`` in a sandbox; DIRECTORY has the network's file ``small.yaml``.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from helsewan.common.document import loads
from helsewan.common.run_clock import RunClock
from helsewan.emulation.routers.forwarding import forwarding
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.compile import library_path
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan_source import load_plan
from helsewan.scenarios.events.actions import Actions
from helsewan.scenarios.events.conditions import Conditions
from helsewan.scenarios.events.effects import UndoStack
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.rule_reader import RuleReader
from helsewan.scenarios.run.timeline import Timeline
from helsewan.scenarios.spec.spec import read_scenario
from helsewan.scenarios.spec.timeline.prepare import prepare_timeline
from helsewan.topology.importers import network_from

SCENARIO = """\
name: live
description: A timeline followed by a test.
network: {sites: 3, seed: 1}
policy: open
duration: %s
timeline:
%s
traffic:
  calls: {kind: voice, service: voice, count: 1, from: {kind: [hospital]}, to: {kind: [hospital]}}
checks:
  heard: {metric: received, class: voice, limit: "> 0"}
"""


class Server:
    """The network and its answers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._plan = load_plan("open", network_from(directory / "small.yaml"))
        chosen = forwarding()
        self._testbed = Testbed(self._plan, sandbox.RUN_DIR, directory / "logs", lambda event: None, chosen, True)
        self._testbed.start(lambda stage: None)
        self._first = LinkControl(self._testbed)  # knows the links' models before all timelines
        self._latest = self._first
        self._runs = 0

    def follow(self, events: list[str], duration: str, looks: list[float], broken_at: float | None) -> dict[str, Any]:
        """Follow a timeline and undo it; ``looks``: when the network is looked at (s); ``broken_at``: when the run
        breaks down (s), if it does. Returns what was seen, the history, and the error."""
        self._runs += 1
        directory = self._directory / f"run-{self._runs}"
        directory.mkdir()
        text = SCENARIO % (duration, "\n".join(f"  {event}" for event in events))
        scenario = read_scenario(loads(text.encode(), str(directory / "live.yaml")))
        spec, document = scenario.spec, scenario.document
        timeline = prepare_timeline(spec, self._plan, library_path("open"), document, utc_now())
        history: list[dict[str, Any]] = []

        def record(event: str, **facts: object) -> None:
            history.append({"event": event, **facts})

        actions = Actions(self._testbed, spec, timeline, directory, record)
        self._latest = actions._control
        undo = UndoStack(record)
        flows = FlowEngine((), self._testbed.socket_in)
        conditions = Conditions(spec, (), flows, actions.monitor_repair)
        clock, seen, error = RunClock(), dict[float, Any](), ""
        epoch_ns = clock.now_ns()
        never = threading.Event()

        def until(time_ns: int) -> None:
            while (now_ns := clock.now_ns()) < time_ns:
                for look in looks:
                    if look not in seen and now_ns >= epoch_ns + look * 1e9:
                        seen[look] = self.state()
                if broken_at is not None and now_ns >= epoch_ns + broken_at * 1e9:
                    raise KeyboardInterrupt
                never.wait(min((time_ns - now_ns) / 1e9, 0.02))

        try:
            carried_by = self._testbed.forwarding
            job = Job(scenario, self._plan, timeline, cast(Any, None), directory, False, carried_by, {})
            reader = RuleReader(directory)
            follower = Timeline(job, actions, undo, conditions, reader, clock, until, record, lambda text: None)
            follower.follow(epoch_ns)
            times = {name: asdict(time) for name, time in follower.times.items()}
        except KeyboardInterrupt:
            times, error = {}, "interrupted"
        finally:
            conditions.close()
            undo.end_all()
            actions.close()
            flows.close()
        files = {
            str(file.relative_to(directory)): file.stat().st_size for file in directory.rglob("*") if file.is_file()
        }
        outputs = {file.name: file.read_text() for file in directory.glob("commands/*")}
        return {
            "seen": list(seen.values()),
            "history": history,
            "times": times,
            "error": error,
            "files": files,
            "outputs": outputs,
        }

    def state(self) -> dict[str, Any]:
        """What can be seen of the network now."""
        controllers = self._testbed.controllers
        parts = {name: process.pid for name, (process, _) in controllers.running().items()}
        return {
            "links": {each["line"]: each for control in (self._first, self._latest) for each in control.changed()},
            "failed": sorted(self._testbed.failed_routers),
            "partitioned": sorted(self._testbed.faults.partitioned),
            "controllers": {str(name): _state_of(pid) for name, pid in parts.items()},
            "dead": self._testbed.dead_parts(),
            "carriers": self._carriers(),
        }

    def controller(self) -> dict[str, Any]:
        """The network's state as its controller knows it."""
        state = controllers_state(self._testbed)
        return {name: state[name] for name in ("policy", "digest", "phase", "links_down", "withdrawn")}

    def digest(self) -> str:
        """The digest of the policy that the network began with."""
        return self._testbed.plan.digest

    def ping(self, site: str, other: str) -> bool:
        """Whether one site reaches another."""
        return ", 0% packet loss" in self._testbed.site(site).cmd(f"ping -n -c 1 -W 2 {self._address(other)}")

    def address(self, site: str) -> str:
        """A site's address."""
        return self._address(site)

    def _address(self, site: str) -> str:
        return str(self._testbed.network.site[site].address4)

    def _carriers(self) -> dict[str, bool]:
        """Whether each end of the links between routers has carrier, as its switch tells."""
        found = {}
        for router in self._testbed.net.switches:
            if router.is_on:
                shown = router.ofctl("dump-ports-desc")
                ports = {port: link for link, port in self._testbed.network.ports[router.name].items()}
                number = 0
                for line in shown.splitlines():
                    if line.startswith(" ") and "addr:" in line:
                        number = int(line.split("(")[0]) if line.split("(")[0].strip().isdigit() else 0
                    elif "state:" in line and number in ports:
                        found[f"{ports[number]} at {router.name}"] = "LINK_DOWN" not in line
        return found


def controllers_state(testbed: Testbed) -> dict[str, Any]:
    return testbed.controllers.client().state()


def _state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def main() -> None:
    """Answer requests until standard input ends."""
    sandbox.enter()
    server = Server(Path(sys.argv[1]))
    operations: dict[str, Callable[..., Any]] = {
        name: getattr(server, name) for name in ("follow", "state", "controller", "digest", "ping", "address")
    }
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": operations[request.pop("op")](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
