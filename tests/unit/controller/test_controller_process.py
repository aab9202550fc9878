"""The controller as a process, with a switch simulated by the test: errors in os-ken's threads must not be lost."""

from __future__ import annotations

import pickle
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
    DEADLINE_S,
    ERROR,
    LINK_DOWN,
    METER_MOD,
    MULTIPART_REQUEST,
    PORT_STATUS,
    REPOSITORY,
    Controller,
    FakeSwitch,
    running,
)
from waiting import wait_for

from helsewan.common.errors import InputError
from helsewan.controller.plan_file import read_plan


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    """A running controller."""
    with running(tmp_path) as made:
        yield made


def test_switch_is_programmed(controller: Controller) -> None:
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        event = controller.await_event("switch-programmed")
        assert event["router"] == "oslo1" and event["flows"] > 0


def test_silent_switch_does_not_keep_others_waiting(controller: Controller) -> None:
    with closing(controller.switch(1)), closing(controller.switch(2)) as second:
        second.serve_until(BARRIER_REQUEST)
        assert controller.await_event("switch-programmed")["router"] == "oslo2"


def test_port_events_are_reported(controller: Controller) -> None:
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        switch.send(PORT_STATUS, 0, struct.pack("!B7x", 2) + switch.port(2, LINK_DOWN))
        assert controller.await_event("port-down")["link"] == "oslo1-oslo2"
        switch.send(PORT_STATUS, 0, struct.pack("!B7x", 2) + switch.port(2))
        assert controller.await_event("port-up")["link"] == "oslo1-oslo2"


def test_refused_rule_is_named(controller: Controller) -> None:
    with closing(controller.switch(4)) as switch:
        xid = switch.serve_until(METER_MOD)
        switch.send(ERROR, xid, struct.pack("!HH", 12, 10) + struct.pack("!BBHI", 4, METER_MOD, 8, xid))
        switch.serve_until(BARRIER_REQUEST)
        event = controller.await_event("error")
        assert event["router"] == "trondheim" and event["rule"].startswith("meter ")
        assert "refused: the meter table is full" in event["message"]


def test_unknown_switch_is_rejected(controller: Controller) -> None:
    with closing(controller.switch(77)) as switch:
        assert "unknown datapath id 77" in _error_of(controller, switch)
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                switch.receive()


def _error_of(controller: Controller, switch: FakeSwitch) -> str:
    switch.serve_until(MULTIPART_REQUEST)
    return str(controller.await_event("error")["message"])


def test_ends_on_sigterm_though_switches_are_connected(tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    process = controller.start()
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_ends_with_its_parent(tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    program = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", program, *controller.argv]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        controller.await_event("listening")
        parent.kill()
    wait_for(lambda: not _runs(child), "the controller to end")


def _runs(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_plan_that_others_can_write_is_refused(tmp_path: Path, mode: int) -> None:
    controller = Controller(tmp_path)
    controller.plan_file.chmod(mode)
    with pytest.raises(InputError, match="is not this user's alone"):
        read_plan(controller.plan_file)
    done = subprocess.run(controller.argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


def test_pickle_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.touch(mode=0o600)
    path.write_bytes(pickle.dumps({"not": "a plan"}))
    with pytest.raises(InputError, match="holds no plan"):
        read_plan(path)
