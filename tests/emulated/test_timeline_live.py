"""Every action of a timeline on a running network: what it does, and that nothing of it is left when the run has ended,
also when it was interrupted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from short_run import result_of, start_file
from small_network import DESCRIPTION
from waiting import wait_for

from helsewan.emulation.sandbox import sandbox

pytestmark = pytest.mark.emulated

REPOSITORY = Path(__file__).parents[2]
LINK = "north-middle"
ENDS = {f"{LINK} at north", f"{LINK} at middle"}
DEADLINE_S = 60.0


class Network:
    """The other end of ``timeline_server``."""

    def __init__(self, directory: Path) -> None:
        (directory / "small.yaml").write_text(DESCRIPTION)
        (directory / "logs").mkdir()
        script = REPOSITORY / "tests" / "helpers" / "timeline_server.py"
        self._errors = directory / "errors.txt"
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                sandbox.command([sys.executable, str(script), str(directory)]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=REPOSITORY,
            )
        self._read()

    def ask(self, op: str, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"op": op, **arguments}) + "\n")
        self.process.stdin.flush()
        reply = self._read()
        assert "answer" in reply, reply
        return reply["answer"]

    def follow(self, *events: str, duration: str = "4 s", looks: tuple[float, ...] = (), broken_at: Any = None) -> Any:
        return self.ask("follow", events=events, duration=duration, looks=looks, broken_at=broken_at)

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._errors.read_text()[-3000:]
        reply: dict[str, Any] = json.loads(line)
        return reply


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(tmp_path_factory.mktemp("timeline"))
    try:
        yield network
    finally:
        network.process.kill()
        network.process.communicate()


@pytest.fixture(autouse=True)
def nothing_is_left(network: Network) -> Iterator[None]:
    """After every timeline the network is as it was before the first: its links, routers, controllers and policy."""
    yield
    state = network.ask("state")
    assert state["links"] == {} and state["failed"] == [] and state["partitioned"] == [] and state["dead"] == []
    assert len(state["controllers"]) == 2 and "T" not in state["controllers"].values()
    assert all(state["carriers"].values()), state["carriers"]

    def is_settled() -> bool:
        known = network.ask("controller")
        wanted = {"digest": network.ask("digest"), "phase": "steady", "links_down": [], "withdrawn": {}}
        return {name: known[name] for name in wanted} == wanted

    wait_for(is_settled, "the controller to have settled", DEADLINE_S)
    assert network.ask("ping", site="hospital-a", other="hospital-b")


def undone(run: Any) -> list[str]:
    failed = [each for each in run["history"] if each["event"] == "undo-failed"]
    assert failed == []
    return [each["of"] for each in run["history"] if each["event"] == "undone"]


def test_actions_on_links_are_done_and_undone(network: Network) -> None:
    run = network.follow(
        f"cut: {{at: 200 ms, cut: {{link: {LINK}, direction: forward}}}}",
        "hole: {at: 300 ms, blackhole: {access: gp-c/wan0}}",
        "brown: {at: 400 ms, set: {link: middle-south, rate: 2 Mbit/s, loss: 1 %}}",
        "more: {at: 500 ms, set: {link: middle-south, delay: 30 ms, direction: back}}",
        "still: {at: 600 ms, pause: {link: south-north}}",
        "dark: {at: 700 ms, fail: {site: hospital-b}}",
        duration="1500 ms",
        looks=(1.0,),
    )
    (seen,) = run["seen"]
    assert seen["links"][LINK]["states"] == ["blackhole forward"]
    assert seen["carriers"][f"{LINK} at north"] and not seen["carriers"][f"{LINK} at middle"]
    assert seen["links"]["gp-c/wan0"]["states"] == ["blackhole forward", "blackhole back"]
    changes = seen["links"]["middle-south"]["changes"]
    assert changes["forward"]["rate_bps"] == changes["back"]["rate_bps"] == 2_000_000
    assert changes["back"]["delay_us"] == 30_000 and "delay_us" not in changes["forward"]
    assert seen["links"]["south-north"]["states"] == ["paused"]
    assert seen["links"]["hospital-b/wan0"]["down"]
    assert undone(run) == ["dark", "still", "more", "brown", "hole", "cut"]


def test_a_flapping_link_has_its_carrier_as_planned(network: Network) -> None:
    run = network.follow(
        f"flap: {{at: 200 ms, flap: {{link: {LINK}, down: 300 ms, up: 400 ms, times: 2}}}}",
        duration="2 s",
        looks=(0.35, 0.7, 1.05, 1.5),
    )
    assert [LINK in seen["links"] for seen in run["seen"]] == [True, False, True, False]


def test_an_interrupted_run_leaves_nothing_behind(network: Network) -> None:
    run = network.follow(
        "off: {at: 200 ms, fail: {router: north}}",
        "apart: {at: 300 ms, partition: {router: south}}",
        "deaf: {at: 400 ms, pause: {controller: leading}}",
        "brown: {at: 500 ms, set: {link: middle-south, rate: 2 Mbit/s}}",
        "talk: {at: 600 ms, command: {site: hospital-b, run: sleep 1000}}",
        "film: {at: 700 ms, capture: {link: middle-south}}",
        duration="30 s",
        looks=(1.2,),
        broken_at=1.5,
    )
    assert run["error"] == "interrupted"
    (seen,) = run["seen"]
    assert seen["failed"] == ["north"] and seen["partitioned"] == ["south"]
    assert "T" in seen["controllers"].values()
    assert sorted(undone(run)) == sorted(["film", "talk", "brown", "deaf", "apart", "off"])
    ended = {each["of"]: each for each in run["history"] if each["event"].endswith("-ended")}
    assert ended["talk"]["exit"] == -15 and ended["film"]["failure"] is None


def test_a_router_boots_beside_the_timeline_and_the_network_is_found_repaired(network: Network) -> None:
    run = network.follow(
        "off: {at: 500 ms, fail: {router: north}}",
        "on: {at: 3 s, restore: {router: north}}",
        "mark: {at: 3050 ms, mark: while it boots}",
        "healed: {when: repaired, after: on, deadline: 25 s, mark: healed}",
        "later: {at: healed + 200 ms, mark: later}",
        "end-it: {at: later + 200 ms, policy: open}",
        duration="26 s",
        looks=(2.5,),
    )
    times = run["times"]
    history = {each["event"]: each for each in run["history"]}
    assert run["seen"][0]["failed"] == ["north"]
    assert times["on"]["begin_us"] > 3_000_000 and times["mark"]["begin_us"] < times["on"]["begin_us"]
    assert times["on"]["done_us"] <= times["healed"]["begin_us"] < 25_000_000, "later than that it carries again"
    assert history["later"]["planned_us"] - times["healed"]["begin_us"] in range(190_000, 210_000)


def test_policies_exceptions_and_quarantines_last_as_long_as_their_events(network: Network) -> None:
    address = network.ask("address", site="hospital-b")
    ping = f"run: ping -n -c 1 -W 1 {address}"
    run = network.follow(
        f"before: {{at: 100 ms, command: {{site: gp-c, {ping}}}}}",
        "locked: {at: 500 ms, quarantine: {sites: {site: [hospital-b]}}, for: 6 s}",
        f"inside: {{at: 5 s, command: {{site: gp-c, {ping}}}}}",
        f"after: {{at: 12 s, command: {{site: gp-c, {ping}}}}}",
        duration="14 s",
    )
    heard = {name: ", 0% packet loss" in text for name, text in run["outputs"].items()}
    assert heard == {"before.txt": True, "inside.txt": False, "after.txt": True}


def test_maintenance_and_a_controllers_death_end_with_the_run(network: Network) -> None:
    run = network.follow(
        f"work: {{at: 200 ms, withdraw: {{link: {LINK}}}}}",
        "dead: {at: 2500 ms, fail: {controller: leading}}",
        duration="4 s",
        looks=(3.0,),
    )
    assert len(run["seen"][0]["controllers"]) == 1
    assert undone(run) == ["dead", "work"]


def test_captures_and_commands_leave_files(network: Network) -> None:
    address = network.ask("address", site="hospital-b")
    run = network.follow(
        "film: {at: 200 ms, capture: {access: hospital-a/wan0, snap: 128}, for: 2 s}",
        f"talk: {{at: 500 ms, command: {{site: hospital-a, run: ping -n -c 3 -i 0.2 {address}}}}}",
        duration="3 s",
    )
    ended = {each["of"]: each for each in run["history"] if each["event"] in ("command-ended", "capture-ended")}
    assert ended["talk"]["exit"] == 0 and "3 received" in run["outputs"]["talk.txt"]
    assert ended["film"]["frames"] >= 6 and run["files"]["captures/film.pcapng"] > 600


def test_events_are_on_time(network: Network) -> None:
    marks = [f"m{number}: {{at: {200 + 37 * number} ms, mark: x}}" for number in range(30)]
    run = network.follow(*marks, f"cut: {{at: 777 ms, fail: {{link: {LINK}}}, for: 300 ms}}", duration="2 s")
    late_us = sorted(
        each["begun_us"] - each["planned_us"] for each in run["history"] if each["event"].startswith(("m", "cut"))
    )
    assert len(late_us) == 31 and late_us[0] >= 0
    assert late_us[len(late_us) // 2] < 5_000, late_us  # the median: single ones wait for a core on a busy machine


REACTING = """
name: reacting
description: a brown-out that ends as soon as voice is hurt
network: {from: small.yaml, sites: 3, seed: 1}
policy: national
duration: 6 s
timeline:
  brown: {at: 1 s, set: {access: hospital-b/wan0, loss: 50 %}}
  hurt: {when: {metric: loss, class: voice, limit: "> 10 %", over: 300 ms}, deadline: 4 s, end: brown}
  calm: {at: hurt + 500 ms, mark: calm}
  never: {when: {metric: loss, class: voice, limit: "> 99 %", over: 100 ms}, after: calm, deadline: 5 s, mark: never}
phases:
  bad: {from: brown, to: hurt}
  good: {from: hurt + 200 ms, to: end}
  none: {from: never, to: end}
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
checks:
  hurt: {metric: loss, class: voice, phase: bad, over: together, limit: "> 10 %"}
  well: {metric: loss, class: voice, phase: good, over: together, limit: "< 1 %"}
  nothing: {metric: loss, class: voice, phase: none, optional: true, limit: "< 1 %"}
"""


def test_a_run_reacts_to_its_own_figures(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(DESCRIPTION)
    (tmp_path / "reacting.yaml").write_text(REACTING)
    run = start_file(tmp_path, "reacting.yaml")
    output, _ = run.communicate()
    assert run.returncode in (0, 3), output  # void where the machine is too busy
    result = result_of(tmp_path, "reacting")
    passed = {check["name"]: check["passed"] for check in result["checks"]}
    assert passed == {"hurt": True, "well": True, "nothing": None}, output
    (file,) = tmp_path.glob("results/reacting/*/history.jsonl")
    history = [json.loads(line) for line in file.read_text().splitlines()]
    named = {each["event"]: each for each in history}
    assert 1_300_000 < named["hurt"]["begun_us"] < 4_000_000
    assert named["calm"]["planned_us"] - named["hurt"]["begun_us"] in range(490_000, 510_000)
    assert "never does not take place: its condition did not hold by 5 s" in output
    assert [each["of"] for each in history if each["event"] == "event-missed"] == ["never"]
