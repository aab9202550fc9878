"""Scenarios run again and again on a real network: campaigns with random faults, replays, aborts, shrinking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import helsewan
from small_network import DESCRIPTION

SCENARIO = """
name: again
description: two calls, and a link that fails
network: {from: small.yaml, sites: 3, seed: 3}
policy: national
duration: 5 s
warmup: 1 s
timeline:
  cut: {at: 2 s, for: 1500 ms, fail: {link: middle-south}}
phases: {before: {from: start, to: cut}, during: {from: cut, to: end}}
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
checks:
  heard: {metric: received, class: voice, phase: before, over: together, limit: "> 0"}
  isolation: {metric: leaked, limit: "== 0"}
  detected: {metric: time_to_detect, event: cut, limit: "< 5 s", severity: should}
  repaired: {metric: time_to_repair, event: cut, class: voice, limit: "< 5 s", severity: should}
  sites: {metric: minutes_lost, limit: "<= 1 min", severity: should}
  longer: {metric: delay_p50, class: voice, phase: during, than: before, limit: "<= + 50 ms", severity: should}
assert:
  comes-back: {metric: loss, class: voice, limit: "< 50 %", within: 2 s of cut, severity: should}
"""

# The only access link of a hospital is cut: its calls are lost, whatever the other fault does.
FAILING = """
name: lost
description: calls that are lost
network: {from: small.yaml, sites: 3, seed: 3}
policy: national
duration: 12 s
timeline:
  elsewhere: {at: 1 s, for: 500 ms, fail: {link: south-north}}
  cut: {at: 2 s, for: 4 s, fail: {access: hospital-b/wan0}}
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
checks:
  isolation: {metric: leaked, limit: "== 0"}
  late: {metric: received, class: voice, over: together, limit: "> 0"}
assert:
  calls-go-on: {metric: loss, class: voice, limit: "< 50 %", on_fail: abort}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network and both scenarios, in which runs leave their results."""
    folder = tmp_path_factory.mktemp("again")
    for name, text in (("small.yaml", DESCRIPTION), ("again.yaml", SCENARIO), ("lost.yaml", FAILING)):
        (folder / name).write_text(text)
    return folder


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def campaign(home: Path) -> Path:
    """The directory of a campaign of two runs with random faults."""
    done = helsewan("scenario", "run", "again.yaml", "--repeat", "2", "--faults", "random", cwd=home)
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr  # a fault may cut calls off; the machine may be busy
    return (home / "results/again/latest").resolve()


def test_a_campaign_sums_its_runs_up(campaign: Path) -> None:
    summary = read(campaign / "summary.json")
    assert summary["runs"][0]["seed"] == 3 and len(summary["runs"]) == 2
    assert len({row["seed"] for row in summary["runs"]}) == 2
    for row in summary["runs"]:
        result = read(campaign / row["run"] / "result.json")
        assert {"heard", "detected", "repaired", "sites", "longer", "comes-back"} <= {
            check["name"] for check in result["checks"]
        }
        assert all(phase["start_us"] >= 1_000_000 for phase in result["phases"]), "the warm-up counts nowhere"
        (isolation,) = [check for check in result["checks"] if check["name"] == "isolation"]
        assert isolation["passed"] is True
        drawn = yaml.safe_load((campaign / row["run"] / "inputs/scenario.yaml").read_text())["timeline"]
        assert "cut" in drawn and any(name.startswith("fault-") for name in drawn)
        detected = [check["value"] for check in result["checks"] if check["name"] == "detected"]
        assert detected[0] is not None and detected[0] > 0, "the controller heard of the cut"


def test_a_replay_runs_the_same_again(campaign: Path, home: Path) -> None:
    first = campaign / read(campaign / "summary.json")["runs"][0]["run"]
    done = helsewan("scenario", "run", "--replay", str(first), cwd=home)
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    again = home / "results/again/latest"
    inputs = [read(directory / "inputs/inputs.json") for directory in (first, again)]
    assert inputs[0]["traffic"] == inputs[1]["traffic"]
    assert inputs[0]["files"]["policy.yaml"] == inputs[1]["files"]["policy.yaml"]
    before, after = (read(directory / "result.json") for directory in (first, again))
    assert before["seed"] == after["seed"]
    if "void" not in (before["verdict"], after["verdict"]):
        compared = helsewan("scenario", "compare", str(first), str(again), "--no-worse-than", "200 ms", cwd=home)
        assert compared.returncode == 0, compared.stdout + compared.stderr
        assert "B is no worse than 200 ms" in compared.stdout


def test_a_broken_assertion_ends_the_run_and_shrinks_to_its_cause(home: Path) -> None:
    done = helsewan("scenario", "run", "lost.yaml", cwd=home)
    result = read(home / "results/lost/latest/result.json")
    assert done.returncode in (1, 3), done.stdout + done.stderr
    checks = {check["name"]: check for check in result["checks"]}
    assert checks["calls-go-on"]["passed"] is False
    assert "calls-go-on is broken (first at " in checks["calls-go-on"]["detail"]
    assert checks["late"]["passed"] is None, "its phase, the whole run, did not take place"
    (run,) = result["phases"]
    assert 3_000_000 < run["end_us"] < 6_000_000, "it ended while the link was down"
    if result["verdict"] != "fail":
        return  # the machine was too busy
    shrunk = helsewan("scenario", "shrink", "results/lost/latest", "--max-runs", "4", "--results", "shrunk", cwd=home)
    if "there is nothing to shrink" in shrunk.stdout or shrunk.returncode == 3:
        return  # void, three times
    assert shrunk.returncode == 0, shrunk.stdout + shrunk.stderr
    smallest = yaml.safe_load((home / "shrunk/lost/latest/smallest/scenario.yaml").read_text())
    assert list(smallest["timeline"]) == ["cut"]
    assert list(smallest["assert"]) == ["calls-go-on"]
