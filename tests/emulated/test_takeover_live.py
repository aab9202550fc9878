"""Two controllers on one network of real switches: whoever ends, hangs or gives way, traffic does not notice."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from controller_world import ControllerWorld, running
from waiting import wait_for

pytestmark = pytest.mark.emulated

BROKER = "10.4.0.2"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ControllerWorld]:
    """A programmed world with a second controller that stands by."""
    with contextmanager(running)(tmp_path) as made:
        made.start_controller(1)
        made.await_event("standing-by")
        wait_for(lambda: made.roles() == {"master", "slave"}, "the roles")
        yield made


def test_switches_know_who_leads(world: ControllerWorld) -> None:
    assert world.events("error") == []


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGUSR1])
def test_who_stands_by_goes_on_and_changes_nothing(world: ControllerWorld, end: signal.Signals) -> None:
    before = {router: world.flows_without_counters(router) for router in world.network.router}
    with world.popen(f"ping -n -i 0.01 -c 500 -W 1 {BROKER}", "st-olav") as ping:
        world.signal_controller(end)
        assert world.await_event("adopted")["rules"] == [0, 0, 0]
        world.await_event("all-programmed", 2)
        assert all(event["changed"] == 0 for event in world.events("switch-programmed")[len(before) :])
        assert ping.stdout is not None
        received = re.search(r"(\d+) received", ping.stdout.read())
    assert received is not None and int(received.group(1)) == 500
    assert {router: world.flows_without_counters(router) for router in world.network.router} == before
    world.set_link("oslo2-trondheim", "down")
    world.await_event("paths-switched")
    assert world.events("error") == []


def test_a_leader_that_was_stopped_for_a_while_stands_by_when_it_wakes(world: ControllerWorld) -> None:
    world.signal_controller(signal.SIGSTOP)
    world.await_event("leading", 2)
    world.await_event("adopted")
    world.set_link("bodo-tromso", "down")
    world.await_event("paths-switched")
    world.signal_controller(signal.SIGCONT)
    world.await_event("standing-by", 2)
    world.stop_controller(1)
    world.await_event("leading", 3)
    world.await_event("adopted", 2)
    assert world.ping("bodo-gp", BROKER)
    world.set_link("bodo-tromso", "up")
    world.await_event("paths-switched", 2)
    assert world.events("error") == []
