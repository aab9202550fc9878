"""Shared routers: what all of them have in common ends, or one port breaks; what a router without power is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from mininet_client import Script
from short_run import outside, wait_until_gone
from terminal import DEADLINE_S, Terminal, events, hears, kill, running, status
from waiting import wait_for

RELAY = "helsewan.emulation.routers.management_relay"
STATE = "[net[{router!r}].ofctl(command) for command in ('dump-flows', 'dump-groups', 'dump-meters')]"
BROKEN = "[int(count) for count in emulation.testbed.engine.port_counters()['rings_broken']]"


@pytest.fixture(scope="module")
def do(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    """A script that holds a network."""
    script = Script(tmp_path_factory.mktemp("shared"))
    try:
        yield script
    finally:
        script.process.kill()
        script.process.communicate()


def rows(do: Script, router: str) -> list[int]:
    """How many flows, groups and meters a router has."""
    found = do(STATE.format(router=router))
    return [text.count(word) for text, word in zip(found, ("cookie=", "group_id=", "meter="), strict=True)]


def test_a_router_without_power_is_empty_and_silent(do: Script) -> None:
    """Its bridge has nothing left, forwards nothing, and the rest goes on; it comes back with all it had."""
    before = rows(do, "middle")
    assert min(before) > 0
    do("emulation.power_off('middle')")
    assert rows(do, "middle") == [0, 0, 0]
    assert do("[port.running for port in net['middle'].rings.values()]") == [False] * len(
        do("[str(port) for port in net['middle'].rings]")
    )
    assert do("net.ping([a, c], timeout='1')") == 100.0  # it is the only router of c
    do.until("net.ping([a, b], timeout='1') == 0.0")
    do("emulation.power_on('middle')")
    do.until("net.ping([a, b, c], timeout='1') == 0.0")
    assert rows(do, "middle") == before


def test_a_broken_ring_ends_one_port_only(do: Script) -> None:
    """Something writes nonsense into the memory of a port: the line is lost, and gone around; power mends it."""
    do("globals().update(port=net['north'].rings['link2'], os=__import__('os'))")
    do("globals().update(layout=__import__('helsewan.emulation._linkengine', fromlist=['*']).vring_layout(256)[1])")

    def broken() -> bool:
        do("os.pwrite(port.memory, b'\\x77\\x77', layout[2] + 2)")  # more frames than the ring has buffers
        return int(do(f"sum({BROKEN})")) > 0

    wait_for(broken, "the engine to see it")
    assert do(BROKEN).count(1) == 1 and do(f"sum({BROKEN})") == 1
    do.until("net.ping([a, b, c], timeout='1') == 0.0")  # by the other lines
    do.until("any(e['event'] == 'port-down' and e.get('link') == 'north-middle' for e in emulation.events)")
    assert do("emulation.status()['dead']") == []
    do("emulation.power_off('north')")
    do("emulation.power_on('north')")
    do.until("net.ping([a, b, c], timeout='1') == 0.0")
    assert do("net['north'].rings['link2'].running") is True
    assert do(f"sum({BROKEN})") == 1


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one at which a network stands."""
    terminal = Terminal(tmp_path_factory.mktemp("relay"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


def test_the_relay_of_control_connections_is_restarted_and_no_rule_is_lost(terminal: Terminal) -> None:
    """The routers forward without it; the controller finds their rules as they were."""
    programmed = len(events(terminal, "controller.switch-programmed"))
    was = kill(terminal, RELAY)
    assert hears(terminal, "hospital-b")
    wait_for(lambda: status(terminal)["past_troubles"], "the relay to be restarted")
    (trouble,) = status(terminal)["past_troubles"]
    assert (trouble["part"], trouble["reason"]) == ("the management relay", "was killed by SIGKILL")
    assert trouble["log"].endswith("logs/management-relay.log")
    wait_for(lambda: running(terminal, RELAY) not in ([], [was]), "the relay to run")
    wait_for(lambda: len(events(terminal, "controller.switch-programmed")) >= programmed + 3, "all routers to be back")
    again = events(terminal, "controller.switch-programmed")[programmed:]
    assert {each["router"] for each in again} == {"north", "middle", "south"}
    assert [each["changed"] for each in again] == [0] * len(again)
    assert status(terminal)["dead"] == [] and terminal.run("verify", "--live").returncode == 0


@pytest.mark.parametrize(
    ("daemon", "log"),
    [
        ("ovs-vswitchd", "switch.ovs-vswitchd.log"),
        pytest.param("ovsdb-server", "switch.ovsdb-server.log", marks=pytest.mark.exhaustive),
    ],
)
def test_a_daemon_of_all_routers_killed_ends_the_network_with_its_cause(tmp_path: Path, daemon: str, log: str) -> None:
    before = outside()
    terminal = Terminal(tmp_path)
    process = terminal.up()
    kill(terminal, f"/switch/{daemon}.ctl")
    assert process.wait(DEADLINE_S) == 3
    said = process.communicate()[1].decode()
    assert f"the routers' {daemon} was killed by SIGKILL, and no frame can pass without it" in said
    assert f"logs/{log}" in said
    wait_until_gone(tmp_path)
    assert outside() == before
    last = json.loads(terminal.run("status", "--last", "--json").stdout)
    assert last["how"] == "failed" and f"{daemon} was killed by SIGKILL" in last["reason"]
    assert last["log"].endswith(log)
