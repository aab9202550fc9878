"""The running network and its rules give the same answers to the same questions; and both show what was broken."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from short_run import wait_until_gone
from terminal import Terminal, running

from helsewan.lab.probing.lab_prober import verify_lab
from helsewan.lab.proofs.rule_sources import from_switches
from helsewan.verification.dump.dump import Dump
from helsewan.verification.findings import FindingKind
from helsewan.verification.live.generators.draft import ProbeKind
from helsewan.verification.live.live_report import LiveReport

SEED = 1814


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a network of three sites, of which the policy keeps two apart."""
    terminal = Terminal(tmp_path_factory.mktemp("live"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "national", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


@pytest.fixture(autouse=True)
def here(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks stand where the terminal has them."""
    monkeypatch.setenv("HELSEWAN_RUNTIME_DIR", terminal.env["HELSEWAN_RUNTIME_DIR"])


def asked(dump: Dump) -> LiveReport:
    return verify_lab(None, dump, dump.plan, SEED)


@contextmanager
def broken(terminal: Terminal, router: str, flow: str) -> Iterator[None]:
    """A router has a flow that nobody gave it, and the controller, which would take it away, holds still."""
    (controller,) = running(terminal, "helsewan.controller.main")
    os.kill(controller, signal.SIGSTOP)
    try:
        change(terminal, router, "add-flow", flow)
        yield
        change(terminal, router, "--strict", "del-flows", flow.partition(",actions")[0])
    finally:
        os.kill(controller, signal.SIGCONT)


def change(terminal: Terminal, router: str, *words: str) -> None:
    command = f'exec ovs-ofctl -O OpenFlow13 "$1" unix:/run/helsewan/{router}/br0.mgmt "$2"'
    if words[0] == "--strict":
        command, words = command.replace('"$1"', '--strict "$1"'), words[1:]
    done = terminal.run("exec", router, "--", "sh", "-c", command, "sh", *words)
    assert done.returncode == 0, done.stderr


def test_every_answer_is_the_same(terminal: Terminal) -> None:
    report = asked(from_switches(None))
    assert report.findings == () and report.deaf == ()
    assert {answer.probe.kind for answer in report.answers} == set(ProbeKind)
    assert any(answer.live.arrivals for answer in report.answers)
    assert {answer.live for answer in report.sessions} == {True, False}
    assert report.figures["dropped"] == report.figures["unsent"] == 0


def test_what_a_router_lets_pass_against_the_policy_is_seen_in_its_rules_and_on_the_network(terminal: Terminal) -> None:
    sound = from_switches(None)
    with broken(terminal, "middle", "table=2,priority=1000,ip,actions=goto_table:3"):
        report = asked(from_switches(None))
        stale = asked(sound)
    leaks = [finding for finding in report.findings if finding.kind is FindingKind.LEAK]
    assert leaks and {finding.kind for finding in report.findings} == {FindingKind.LEAK}
    assert all(answer.agrees for answer in report.answers), "its rules say so"
    for leak in leaks:
        assert leak.packet is not None and leak.trace is not None
        assert any("priority 1000" in str(rule) for rule in leak.trace.hops[0].visit.rules), leak.reason
        assert leak.site in ("gp-c", "hospital-a") and leak.towards
    seen = {answer.probe.name for answer in stale.answers if not answer.agrees}
    assert seen == {answer.probe.name for answer in report.answers if not answer.conforms}, "the old rules do not"
    assert asked(from_switches(None)).passed


def test_what_a_router_loses_is_seen_in_its_rules_and_on_the_network(terminal: Terminal) -> None:
    with broken(terminal, "south", "table=7,priority=1000,ip,actions=drop"):
        report = asked(from_switches(None))
    assert {finding.kind for finding in report.findings} == {FindingKind.BLACKHOLE}
    assert all("hospital-b" in (finding.site, finding.towards) for finding in report.findings), "it hears nothing"
    assert all(answer.agrees for answer in report.answers) and all(talk.agrees for talk in report.sessions)
    assert any(talk.session.client == "hospital-b" and not talk.live for talk in report.sessions), "no replies either"
