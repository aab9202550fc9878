"""Captures replayed on a network of three routers: all of what a run's capture had; conversations over sockets; and
what the policy denies, which does not come out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from capture_files import MS, Recorded, ethernet, ip4, pcap, tcp, udp
from small_network import DESCRIPTION

from helsewan.lab.replay.replay_records import read_records

REPOSITORY = Path(__file__).parents[2]
POLICY = """
include: national
name: with-messages
contracts:
  anywhere: {from: {kind: [gp]}, to: {kind: [hospital]}, services: [hl7]}
"""
HEAD = """
name: %s
description: captures replayed
network: {from: small.yaml, sites: 3, seed: 1}
policy: policy.yaml
"""
FIRST = (
    HEAD % "first"
    + """
duration: 4 s
timeline:
  filmed: {at: 500 ms, capture: {link: middle-south}, for: 3 s}
traffic:
  calls: {kind: voice, service: voice, count: 3, from: {kind: [hospital]}, to: {kind: [hospital]}}
checks:
  heard: {metric: received, class: voice, over: together, limit: "> 0"}
"""
)
SECOND = (
    HEAD % "second"
    + """
duration: 6 s
traffic:
  again: {kind: replay, file: filmed.pcapng, map: same}
  denied:
    kind: replay
    file: made.pcap
    map: {10.1.0.0/16: {site: hospital-a}, 10.2.0.0/16: {site: hospital-b}}
    start: 500 ms
  said:
    kind: replay
    mode: payload
    file: said.pcap
    map: {10.1.0.0/16: {site: gp-c}, 10.2.0.0/16: {site: hospital-a}}
    start: 1 s
checks:
  nothing-lost: {metric: replay_lost, over: together, limit: "== 0"}
  in-order: {metric: replay_reordered, traffic: again, over: together, limit: "== 0"}
  nothing-leaks: {metric: replay_leaked, limit: "== 0"}
  delay: {metric: replay_delay_p50, traffic: again, over: together, limit: "< 40 ms"}
"""
)
A, B = "10.1.0.1", "10.2.0.1"
HL7 = 2575


def between(at_ms: int, by_client: bool, packet: bytes, protocol: int) -> Recorded:
    ends = (A, B) if by_client else (B, A)
    return Recorded(at_ms * MS, ethernet(ip4(*ends, protocol, packet)))


def message(at_ms: int, by_client: bool, offset: int, data: bytes = b"", flags: int = 0x18) -> Recorded:
    """A segment of an HL7 conversation."""
    ports = (40_000, HL7) if by_client else (HL7, 40_000)
    return between(at_ms, by_client, tcp(*ports, data, sequence=1000 + offset - bool(flags & 2), flags=flags), 6)


SAID = [
    message(0, True, 0, flags=0x02),
    message(10, False, 0, flags=0x12),
    message(20, True, 0, b"MSH|" * 2000),  # as an offloading machine captures it
    message(320, False, 0, b"ACK|" * 10),
    message(330, True, 8000, flags=0x11),
    message(340, False, 40, flags=0x11),
]
# Between the hospitals' regions no records may be opened; calls may.
MADE = [between(10 * n, True, udp(40_000, 16384, b"%d" % n), 17) for n in range(20)]
MADE += [between(205 + 10 * n, True, tcp(40_001, 22, b"x", flags=0x02), 6) for n in range(10)]


def run(directory: Path, name: str, text: str) -> dict[str, Any]:
    (directory / "small.yaml").write_text(DESCRIPTION)
    (directory / "policy.yaml").write_text(POLICY)
    (directory / f"{name}.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "helsewan.cli.main", "scenario", "run", f"{name}.yaml"],
        cwd=directory, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr  # void where the machine is too busy
    result: dict[str, Any] = json.loads((directory / f"results/{name}/latest/result.json").read_text())
    return result | {"printed": done.stdout + done.stderr}


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The directory and the result of the run that replays."""
    directory = tmp_path_factory.mktemp("replays")
    run(directory, "first", FIRST)
    filmed = directory / "results/first/latest/captures/filmed.pcapng"
    (directory / "filmed.pcapng").write_bytes(filmed.read_bytes())
    (directory / "made.pcap").write_bytes(pcap(MADE))
    (directory / "said.pcap").write_bytes(pcap(SAID))
    return directory, run(directory, "second", SECOND)


def of(result: dict[str, Any], entry: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in result["replays"] if each["name"] == entry)
    return found


def test_a_runs_capture_is_replayed_without_a_loss(replayed: tuple[Path, dict[str, Any]]) -> None:
    directory, result = replayed
    again = of(result, "again")
    figures = again["phases"]["run"]
    assert figures["replay_sent"] == again["told"]["replayed"] > 500  # three calls of 50 datagrams a second each way
    assert (figures["replay_lost"], figures["replay_duplicates"], figures["replay_reordered"]) == (0, 0, 0)
    assert again["outcome"]["ended"] and again["outcome"]["misdelivered"] == 0
    assert {flow["service"] for flow in again["flows"] if flow["expect"] == "delivered"} == {"voice"}
    records = read_records(directory / "results/second/latest/replay-again.records")
    assert len(records) == figures["replay_sent"] and (records["received_ns"] > records["sent_ns"]).all()


def test_what_the_policy_denies_is_told_and_does_not_come_out(replayed: tuple[Path, dict[str, Any]]) -> None:
    _, result = replayed
    denied = of(result, "denied")
    assert denied["told"]["denied"] == 10
    assert "denied: denied by the policy, must not arrive: 10 packets" in result["printed"]
    by_expectation = {flow["expect"]: flow["phases"]["run"] for flow in denied["flows"]}
    assert by_expectation["delivered"]["replay_received"] == 20
    assert (by_expectation["denied"]["replay_sent"], by_expectation["denied"]["replay_leaked"]) == (10, 0)


def test_a_conversation_is_had_again_with_its_think_time(replayed: tuple[Path, dict[str, Any]]) -> None:
    directory, result = replayed
    said = of(result, "said")
    assert (said["outcome"]["wrong"], said["phases"]["run"]["replay_lost"]) == (0, 0)
    assert said["phases"]["run"]["replay_sent"] == 3  # opened, asked, answered
    records = read_records(directory / "results/second/latest/replay-said.records")
    asked, answered = records[records["number"] == 3][0], records[records["number"] == 4][0]
    assert answered["sent_ns"] - asked["received_ns"] > 250 * MS


def test_all_checks_hold(replayed: tuple[Path, dict[str, Any]]) -> None:
    _, result = replayed
    assert {check["name"]: check["passed"] for check in result["checks"]} == dict.fromkeys(
        ("nothing-lost", "in-order", "nothing-leaks", "delay"), True
    )
