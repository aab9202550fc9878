"""Parts of a standing network that die or stall: what goes on, what is told where, and what ends with its cause."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from router_kinds import forwarder
from short_run import wait_until_gone
from terminal import DEADLINE_S, Terminal, events, hears, kill, running, status
from waiting import wait_for

CONTROLLER, SLOW_PATH, NORTHBOUND = (f"helsewan.controller.{name}" for name in ("main", "slowpath.main", "northbound"))
ENGINE = "emulation.links.engine_process"
RESTARTED = {CONTROLLER: "the controller", SLOW_PATH: "the routers' slow path", NORTHBOUND: "the northbound server"}
GP_C = "10.0.2.2"
UNREAD = "link engine did not check for frames for"  # as the health monitor says it


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one at which a network stands. The tests have an order: what is killed is told from then on."""
    terminal = Terminal(tmp_path_factory.mktemp("parts"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--api", "unix", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)
    last = json.loads(terminal.run("status", "--last", "--json").stdout)
    assert last["how"] == "asked"


def ask(terminal: Terminal) -> subprocess.CompletedProcess[str]:
    """A request to the northbound interface, which must not hang."""
    place = terminal.directory / "place"
    token = (place / "default.token").read_text().strip()
    argv = ["curl", "-sS", "--max-time", "60", "-H", f"Authorization: Bearer {token}"]
    argv += ["--unix-socket", str(place / "default.api"), "http://helsewan/v1/topology"]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def unread(terminal: Terminal, *words: str) -> dict[str, Any] | None:
    """What ``status`` says of an engine that did not look, if anything."""
    validity = json.loads(terminal.run("status", "--json", *words).stdout)["validity"]
    found = [reason for reason in validity["reasons"] if reason["what"] == UNREAD]
    return {**found[0], "of": validity["grade"]} if found else None


def test_a_stopped_engine_makes_the_network_void(terminal: Terminal) -> None:
    """Each time, also when it was stopped for longer before; from then on it is as good as new."""
    (engine,) = running(terminal, f"-m helsewan.{ENGINE}")
    for stops, wait in ((1, "2"), (2, "1")):
        os.kill(engine, signal.SIGSTOP)
        try:
            lost = terminal.run("exec", "gp-c", "--", "ping", "-c", "1", "-W", wait, "10.0.1.2")
        finally:
            os.kill(engine, signal.SIGCONT)
        assert lost.returncode == 1

        def told(times: int = stops) -> bool:
            reason = unread(terminal)
            return reason is not None and reason["seconds"] >= times

        wait_for(told, "the status to say it")
    reason = unread(terminal)
    assert reason is not None and reason["of"] == "void" and reason["value"] > 1000
    shown = terminal.run("status").stdout.decode()
    assert "validity   void since it is up, void in the last minute" in shown and f"void: {UNREAD}: " in shown
    turns = [event for event in events(terminal, "validity") if event["grade"] == "void"]
    assert turns and UNREAD in turns[0]["reasons"][0]
    wait_for(lambda: unread(terminal, "--since", "1s") is None, "a second without a stop")


@pytest.mark.parametrize("words", RESTARTED)
def test_what_keeps_no_state_is_restarted(terminal: Terminal, words: str) -> None:
    was = kill(terminal, words)
    name = RESTARTED[words]

    def restarted() -> bool:
        return any(each["part"] == name for each in status(terminal)["past_troubles"])

    wait_for(restarted, f"{name} to be restarted")
    wait_for(lambda: running(terminal, words) not in ([], [was]), f"{name} to run")
    facts = status(terminal)
    assert facts["dead"] == [] and facts["state"] == "up"
    (died,) = (each for each in events(terminal, "part-dead") if each["part"] == name)
    assert died["reason"] == "was killed by SIGKILL" and died["log"].endswith(".log")
    assert f"{name} at " in terminal.run("status").stdout.decode()
    assert hears(terminal, "hospital-b")


def test_the_restarted_ones_do_their_work(terminal: Terminal) -> None:
    """The controller knows its switches again, requests are served, and routers answer packets that expire."""
    wait_for(lambda: len(events(terminal, "controller.switch-programmed")) >= 6, "the controller to take over")
    asked = ask(terminal)
    assert json.loads(asked.stdout)["network"] == "small", asked.stderr
    expired = ("exec", "hospital-b", "--", "ping", "-c", "1", "-W", "2", "-t", "1", GP_C)
    wait_for(lambda: b"xceeded" in terminal.run(*expired).stdout, "a router's answer")


def test_a_stopped_router_is_stalled_and_runs_again(terminal: Terminal) -> None:
    words, name = forwarder("north")
    pid = kill(terminal, words, signal.SIGSTOP)
    (trouble,) = wait_for(lambda: status(terminal)["troubles"], "the stall to be shown")
    assert (trouble["part"], trouble["condition"]) == (name, "stalled")
    assert trouble["reason"] == "stopped by a signal" and trouble["since"] > 1.7e9 and trouble["until"] is None
    assert f"stalled    {name} since " in terminal.run("status").stdout.decode()
    os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not status(terminal)["troubles"], "the router to run again")
    assert status(terminal)["past_troubles"][-1]["condition"] == "stalled"
    assert events(terminal, "part-no-longer-stalled")


def test_a_stopped_northbound_server_does_not_keep_its_clients_waiting(terminal: Terminal) -> None:
    """It is told as stalled, then killed and restarted: a request that waits is answered by the next one."""
    pid = kill(terminal, NORTHBOUND, signal.SIGSTOP)
    wait_for(lambda: [each["part"] for each in status(terminal)["troubles"]] == [RESTARTED[NORTHBOUND]], "the stall")
    asked = ask(terminal)
    assert json.loads(asked.stdout)["network"] == "small", asked.stderr
    assert running(terminal, NORTHBOUND) not in ([], [pid])
    reasons = [each["reason"] for each in events(terminal, "part-dead") if each["part"] == RESTARTED[NORTHBOUND]]
    assert reasons[-1] == "was stopped by a signal for 10 s while clients waited, and killed"
    wait_for(lambda: not status(terminal)["troubles"], "the trouble to end")


def test_status_answers_while_another_operation_waits_for_a_stalled_part(terminal: Terminal) -> None:
    """A change of a link waits for the link engine, which is stopped; when it runs again, the change is made."""
    pid = kill(terminal, ENGINE, signal.SIGSTOP)
    try:
        with terminal.ending("link", "set", "gp-c", "--delay", "2ms") as change:
            facts = wait_for(lambda: "busy" in (facts := status(terminal)) and facts, "the operation to be told")
            assert [each["part"] for each in facts["troubles"]] == ["the link engine"]
            assert b"busy       another operation" in terminal.run("status").stdout
            os.kill(pid, signal.SIGCONT)
            said = change.communicate(timeout=DEADLINE_S)
            assert change.returncode == 0, said
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: not status(terminal)["troubles"], "the engine to run again")
    assert b"delay 2 ms" in terminal.run("link", "show", "gp-c").stdout
    wait_for(lambda: hears(terminal, "hospital-b"), "routers to see each other again")


def test_the_power_of_a_router_is_cut_and_restored(terminal: Terminal) -> None:
    """It comes back empty, and is programmed before its links carry."""
    assert terminal.run("router", "power-off", "south").returncode == 0
    facts = status(terminal)
    assert facts["dead"] == ["router south"] and facts["sites_off"] == ["hospital-b"]
    assert facts["troubles"][0]["reason"] == "its power was cut on request"
    assert not running(terminal, "/south/") and not hears(terminal, "hospital-b")
    again = terminal.run("router", "power-off", "south")
    assert again.returncode == 2 and b"router: 'south' is off already (hint: power it on" in again.stderr
    unknown = terminal.run("router", "power-on", "sout")
    assert unknown.returncode == 2 and b"is no router of this network" in unknown.stderr and b"south" in unknown.stderr
    refused = terminal.run("link", "set", "hospital-b", "--up")
    assert refused.returncode == 2 and b"stays down: router south is dead" in refused.stderr
    wait_for(lambda: terminal.run("verify").returncode == 0, "rules that suit what is left")
    assert terminal.run("link", "set", "middle-south", "--down").returncode == 0  # stays so
    assert terminal.run("router", "power-on", "south").returncode == 0
    assert status(terminal)["dead"] == status(terminal)["sites_off"] == []
    switched = events(terminal, "router-power")[-1]
    programmed = [each for each in events(terminal, "controller.switch-programmed") if each["router"] == "south"]
    assert switched["on"] and programmed[-1]["monotonic_ns"] < switched["monotonic_ns"]
    assert b"down" in terminal.run("link", "show", "middle-south").stdout
    assert terminal.run("link", "set", "middle-south", "--up").returncode == 0
    wait_for(lambda: hears(terminal, "hospital-b"), "the router to carry again")
    assert terminal.run("router", "power-on", "south").returncode == 2
    assert terminal.run("verify").returncode == 0


def test_a_part_that_keeps_dying_is_given_up_and_refuses(terminal: Terminal) -> None:
    """Clients of the northbound interface are refused at once then: nobody would accept them."""

    def given_up() -> bool:
        for pid in running(terminal, NORTHBOUND):
            os.kill(pid, signal.SIGKILL)
        return bool(events(terminal, "part-given-up"))

    wait_for(given_up, "the server to be given up", deadline_s=120)
    assert "the northbound server" in status(terminal)["dead"]
    asked = ask(terminal)
    assert asked.returncode == 7, asked  # curl: failed to connect
    assert hears(terminal, "hospital-a")


def test_with_a_standby_it_goes_on_without_the_leader(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    process = terminal.up("--standby")
    leader = wait_for(lambda: events(terminal, "controller.leading"), "a leader")[-1]["controller"]
    listening = {1: "6653", 2: "6654"}[leader]
    kill(terminal, f":{listening} ")
    wait_for(lambda: len(events(terminal, "controller.leading")) >= 2, "the standby to lead")
    assert events(terminal, "controller.leading")[1]["controller"] != leader
    wait_for(lambda: running(terminal, f":{listening} "), "the dead one to be the new standby")
    assert status(terminal)["dead"] == [] and hears(terminal, "hospital-b")
    assert terminal.run("down").returncode == 0
    assert process.wait(DEADLINE_S) == 0
    said = process.communicate()[0].decode()
    assert "is dead: was killed by SIGKILL" in said and "was restarted" in said


def test_what_cannot_go_on_ends_with_its_cause(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    process = terminal.up()
    kill(terminal, ENGINE)
    assert process.wait(DEADLINE_S) == 3
    said = process.communicate()[1].decode()
    assert "the link engine was killed by SIGKILL" in said and "(see /" in said
    wait_until_gone(tmp_path)
    (history,) = (tmp_path / "results/up").glob("2*/history.jsonl")
    last = json.loads(history.read_text().splitlines()[-1])
    assert last["event"] == "failed" and "link engine was killed by SIGKILL" in last["reason"] and last["log"]
    shown = terminal.run("status", "--last")
    assert shown.returncode == 0 and b"failed: the link engine was killed by SIGKILL" in shown.stdout


@pytest.mark.parametrize(
    "words", ["lab.server.worker", pytest.param("helsewan.cli.main up", marks=pytest.mark.exhaustive)]
)
def test_its_own_process_killed_is_told_by_the_last_word(tmp_path: Path, words: str) -> None:
    terminal = Terminal(tmp_path)
    process = terminal.up()
    victim = process.pid if "up" in words.split() else max(running(terminal, words))
    os.kill(victim, signal.SIGKILL)
    process.communicate()
    wait_until_gone(tmp_path)
    last = json.loads(terminal.run("status", "--last", "--json").stdout)
    assert last["how"] == "killed" and "killed" in last["reason"]
    assert terminal.run("status").returncode == 2
