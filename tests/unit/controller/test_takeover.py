"""Two controllers on one plan, with switches simulated by the test: leader and standby."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from controller_process import (
    BARRIER_REQUEST,
    ERROR,
    LINK_DOWN,
    MASTER,
    MULTIPART_REQUEST,
    PORT_STATUS,
    ROLE_REQUEST,
    SLAVE,
    Controller,
    FakeSwitch,
    running,
)
from waiting import wait_for

ROLE_FAILED, STALE, BAD_REQUEST, IS_SLAVE = 11, 0, 1, 10


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Controller]:
    """The leader; at the end of the test its only error may be that it was ended."""
    controller = Controller(tmp_path)
    controller.start()
    controller.await_event("leading")
    yield controller
    controller.process.kill()
    controller.process.wait()


@pytest.fixture
def second(first: Controller) -> Iterator[Controller]:
    """A controller on standby."""
    controller = first.beside()
    controller.start()
    controller.await_event("standing-by")
    yield controller
    assert controller.process.poll() is None, controller.log_file.read_text()
    controller.process.kill()
    controller.process.wait()


def following(controller: Controller) -> FakeSwitch:
    """A switch that has made the controller its slave."""
    switch = controller.switch(1)
    while switch.role != SLAVE:
        switch.serve_until(ROLE_REQUEST)
    return switch


def test_a_standby_is_the_switches_slave_and_sends_no_commands(second: Controller) -> None:
    with closing(following(second)) as switch, pytest.raises(TimeoutError):
        switch.stream.settimeout(1)
        switch.serve_until(BARRIER_REQUEST)
    assert not second.events("switch-up")


@pytest.mark.parametrize("end", ["killed", "handed over"])
def test_the_other_goes_on_in_a_later_generation(first: Controller, second: Controller, end: str) -> None:
    with closing(following(second)) as switch:
        first.process.send_signal(signal.SIGKILL if end == "killed" else signal.SIGUSR1)
        switch.serve_until(ROLE_REQUEST)
        led, leading = first.await_event("leading"), second.await_event("leading")
        assert (switch.role, switch.generation) == (MASTER, leading["generation"])
        assert led["generation"] < leading["generation"] and leading["switches"] == 1
        switch.serve_until(BARRIER_REQUEST)
        assert second.await_event("switch-programmed")["router"] == "oslo1"
    if end == "handed over":
        wait_for(lambda: len(first.events("standing-by")) == 2, "the first to stand by")


def test_ports_that_change_before_the_takeover_are_known_after_it(first: Controller, second: Controller) -> None:
    with closing(following(second)) as switch:
        switch.send(PORT_STATUS, 0, struct.pack("!B7x", 2) + switch.port(2, LINK_DOWN))
        first.process.kill()
        switch.serve_until(BARRIER_REQUEST)
        second.await_event("switch-programmed")
        switch.send(PORT_STATUS, 0, struct.pack("!B7x", 2) + switch.port(2))
        assert second.await_event("port-up")["link"] == "oslo1-oslo2"


def test_the_standby_continues_with_the_latest_plan(first: Controller, second: Controller) -> None:
    with closing(following(second)) as switch:
        os.replace(_other_plan(first), first.plan_file)
        first.process.kill()
        switch.serve_until(BARRIER_REQUEST)
        assert len(second.events("rules-ready")) == 2


def _other_plan(controller: Controller) -> Path:
    """A file with the same plan under another name."""
    program = """
import pickle, sys
from dataclasses import replace
from pathlib import Path
path = Path(sys.argv[1])
other = path.with_name("other")
other.touch(mode=0o600)
other.write_bytes(pickle.dumps(replace(pickle.loads(path.read_bytes()), policy="another")))
"""
    subprocess.run([sys.executable, "-c", program, str(controller.plan_file)], check=True)
    return controller.plan_file.with_name("other")


@pytest.mark.parametrize(("kind", "code"), [(ROLE_FAILED, STALE), (BAD_REQUEST, IS_SLAVE)])
def test_a_leader_that_a_switch_no_longer_obeys_stands_by(tmp_path: Path, kind: int, code: int) -> None:
    """Like a leader that was stopped for a while, during which another took over."""
    with running(tmp_path) as controller:
        with closing(controller.switch(1)) as switch:
            xid = switch.serve_until(MULTIPART_REQUEST if kind == ROLE_FAILED else BARRIER_REQUEST)
            switch.send(ERROR, xid, struct.pack("!HH", kind, code))
            controller.await_event("standing-by")
        wait_for(lambda: len(controller.events("leading")) == 2, "it to lead again, for nobody else does")
