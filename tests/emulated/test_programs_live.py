"""Real programs at sites of a running scenario: they reach what the policy allows, and end with what they start."""

from __future__ import annotations

from pathlib import Path

import pytest
from short_run import result_of, start_file
from small_network import DESCRIPTION

from helsewan.common.exit_codes import ExitCode
from helsewan.lab.programs.engine import STDERR, STDOUT

SCENARIO = """
name: programs
description: pings that arrive and pings that do not, and a program that takes no end
network: {from: small.yaml, sites: 3, seed: 1}
policy: open
duration: 6 s
timeline:
  cut: {at: 3 s, fail: {site: gp-c}}
traffic:
  beat: {kind: messages, service: udp, count: 1, between: {kind: [hospital]}, every: 1 s, request: 64 B, reply: 64 B}
  near:
    kind: program
    site: hospital-a
    run: [ping, -c, 3, -i, 0.2, "${site:hospital-b.address}"]
    at: 1 s
    expect: {exit: 0, stdout: {regex: " 0% packet loss"}}
  near6:
    kind: program
    site: hospital-a
    run: "ping -6 -c 3 -i 0.2 ${site:hospital-b.address6}"
    at: 1 s
    expect: {exit: 0}
  cut-off:
    kind: program
    site: hospital-a
    run: "ping -c 3 -i 0.2 -W 1 ${site:gp-c.address}"
    at: 3500 ms
    expect: {exit: 1, stdout: 100% packet loss}
  endless: {kind: program, site: hospital-b, run: [sh, -c, "sleep 600 & echo $!; exec sleep 600"], timeout: 2 s}
  wrong: {kind: program, site: hospital-b, run: "cat /no/such/file", expect: {exit: 0}}
checks:
  heard: {metric: received, traffic: beat, over: together, limit: "> 0"}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of one run of the scenario, tried again where the machine could not keep up."""
    directory = tmp_path_factory.mktemp("programs")
    (directory / "small.yaml").write_text(DESCRIPTION)
    (directory / "programs.yaml").write_text(SCENARIO)
    for _ in range(4):
        process = start_file(directory, "programs.yaml")
        output, _ = process.communicate()
        if process.returncode != ExitCode.VOID:
            break
    assert process.returncode == ExitCode.FAIL, output  # one program fails
    return directory


def test_programs_are_judged_by_what_the_network_does(run: Path) -> None:
    checks = {check["name"]: check["passed"] for check in result_of(run, "programs")["checks"]}
    assert checks == {
        "heard": True, "near.expect": True, "near6.expect": True, "cut-off.expect": True, "wrong.expect": False,
    }  # fmt: skip


def test_the_result_says_how_each_program_ended(run: Path) -> None:
    programs = {each["program"]["name"]: each for each in result_of(run, "programs")["programs"]}
    assert {name: each["ending"] for name, each in programs.items()} == {
        "near": "exited", "near6": "exited", "cut-off": "exited", "endless": "timeout", "wrong": "exited",
    }  # fmt: skip
    assert programs["near"]["begin_us"] >= 1_000_000
    assert programs["endless"]["end_us"] - programs["endless"]["begin_us"] >= 2_000_000
    assert programs["wrong"]["exit_code"] == 1


def test_outputs_are_kept_and_nothing_is_left(run: Path) -> None:
    folder = run / "results" / "programs" / "latest" / "programs"
    assert "3 received" in (folder / "near" / STDOUT).read_text()
    assert len((folder / "endless" / STDOUT).read_text().splitlines()) == 1
    assert "No such file" in (folder / "wrong" / STDERR).read_text()
