"""Private routers whose own daemons die: the router is dead, all others go on; it comes back when it gets power."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest
from short_run import wait_until_gone
from terminal import Terminal, events, hears, kill, running, status
from waiting import wait_for


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one at which a network stands. Its routers die one after another: the tests have an order."""
    terminal = Terminal(tmp_path_factory.mktemp("daemons"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)
    last = json.loads(terminal.run("status", "--last", "--json").stdout)
    assert last["how"] == "asked" and {each["what"] for each in last["troubles"]} >= {"dead"}


def test_a_dead_router_is_a_dead_router(terminal: Terminal) -> None:
    kill(terminal, "/south/ovs-vswitchd.ctl")
    facts = wait_for(lambda: (facts := status(terminal))["dead"] and facts, "the router's death to be shown")
    assert facts["dead"] == ["router south"] and facts["sites_off"] == ["hospital-b"]
    (trouble,) = facts["troubles"]
    assert trouble["reason"] == "its ovs-vswitchd was killed by SIGKILL"
    assert trouble["log"].endswith("logs/south.ovs-vswitchd.log")
    said = terminal.run("status").stdout.decode()
    assert "dead       router south since " in said and "off        1 site: hospital-b" in said
    assert not running(terminal, "/south/")  # its database died with it
    assert not hears(terminal, "hospital-b")
    wait_for(lambda: hears(terminal, "hospital-a"), "the rest to go on")
    refused = terminal.run("link", "set", "hospital-b", "--up")
    assert refused.returncode == 2 and b"stays down: router south is dead" in refused.stderr
    assert terminal.run("link", "set", "hospital-b", "--reset").returncode == 0
    assert not hears(terminal, "hospital-b")
    assert terminal.run("verify").returncode == 0


def test_a_dead_database_is_a_dead_router_too(terminal: Terminal) -> None:
    kill(terminal, "/north/ovsdb-server.ctl", signal.SIGUSR2)  # which it does not handle
    facts = wait_for(lambda: len((facts := status(terminal))["dead"]) == 2 and facts, "the second death to be shown")
    assert facts["dead"] == ["router south", "router north"]
    assert facts["troubles"][1]["reason"] == "its ovsdb-server was killed by SIGUSR2"
    assert hears(terminal, "hospital-a")  # over its second access link


def test_a_dead_router_that_gets_power_is_programmed_before_its_links_carry(terminal: Terminal) -> None:
    """It comes back empty; a link that was cut meanwhile stays so."""
    assert terminal.run("link", "set", "middle-south", "--down").returncode == 0
    for router in ("south", "north"):
        on = terminal.run("router", "power-on", router)
        assert on.returncode == 0, on.stderr
    facts = status(terminal)
    assert facts["dead"] == facts["sites_off"] == []
    assert [each["part"] for each in facts["past_troubles"]][-2:] == ["router south", "router north"]
    switched = events(terminal, "router-power")
    assert [(each["router"], each["on"]) for each in switched] == [("south", True), ("north", True)]
    programmed = [each for each in events(terminal, "controller.switch-programmed") if each["router"] == "south"]
    assert programmed[-1]["monotonic_ns"] < switched[0]["monotonic_ns"]
    assert b"down" in terminal.run("link", "show", "middle-south").stdout
    assert terminal.run("link", "set", "middle-south", "--up").returncode == 0
    wait_for(lambda: hears(terminal, "hospital-b"), "the router to carry again")
    assert terminal.run("verify").returncode == 0
