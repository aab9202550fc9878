"""The controller as a process, with a switch played by the test: what os-ken's threads would let slip must not."""

from __future__ import annotations

import json
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from controller_plan import small_plan
from waiting import wait_for

from controller import framework
from controller.main import read_plan
from topology.errors import InputError

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 20.0
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PORT_STATUS, MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 12, 18, 19, 20, 21
METER_MOD = 29
LINK_DOWN = 1


class Controller:
    """A controller process and its events."""

    def __init__(self, home: Path) -> None:
        self.home, self.socket, self.events_file = home, home / "c.sock", home / "events.jsonl"
        self.plan_file = home / "plan.pickle"
        self.plan_file.touch(mode=0o600)
        self.plan_file.write_bytes(pickle.dumps(small_plan()))
        self.events_file.touch()
        arguments = [f"--plan={self.plan_file}", f"--listen={self.socket}", f"--events={self.events_file}"]
        self.argv = [sys.executable, "-m", "controller.main", *arguments]

    def start(self) -> subprocess.Popen[str]:
        """Starts it and waits until it listens."""
        process = subprocess.Popen(self.argv, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        self.await_event("listening")
        return process

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one kind so far."""
        found = [json.loads(line) for line in self.events_file.read_text().splitlines()]
        return [event for event in found if event["event"] == name]

    def await_event(self, name: str) -> dict[str, Any]:
        """The first event of one kind."""
        found: list[dict[str, Any]] = wait_for(lambda: self.events(name), name)
        return found[0]


class FakeSwitch:
    """Just enough of a switch: shakes hands, confirms barriers."""

    def __init__(self, path: Path, datapath_id: int) -> None:
        self.datapath_id = datapath_id
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(DEADLINE_S)
        self.stream.connect(str(path))
        self.send(HELLO, 1)

    def close(self) -> None:
        """Ends the connection."""
        self.stream.close()

    def send(self, kind: int, xid: int, body: bytes = b"") -> None:
        """Sends one message."""
        self.stream.sendall(struct.pack("!BBHI", 4, kind, 8 + len(body), xid) + body)

    def receive(self) -> tuple[int, int, bytes]:
        """The next message: type, xid, body."""
        header = self._exactly(8)
        _, kind, length, xid = struct.unpack("!BBHI", header)
        return kind, xid, self._exactly(length - 8)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += (part := self.stream.recv(count - len(data)))
            if not part:
                raise EOFError
        return data

    def port(self, number: int, state: int = 0) -> bytes:
        """A port description."""
        return struct.pack("!I4x6s2x16sII24x", number, bytes(6), b"p%d" % number, 0, state)

    def serve_until(self, last: int) -> int:
        """Answers as a switch would until a message of type ``last`` came, and was answered; its xid."""
        while True:
            kind, xid, body = self.receive()
            if kind == FEATURES_REQUEST:
                self.send(FEATURES_REPLY, xid, struct.pack("!QIBB2xII", self.datapath_id, 0, 254, 0, 0, 0))
            elif kind == MULTIPART_REQUEST:
                ports = b"".join(map(self.port, (1, 2, 3)))
                self.send(MULTIPART_REPLY, xid, struct.pack("!HH4x", 13, 0) + ports)
            elif kind == ECHO_REQUEST:
                self.send(ECHO_REPLY, xid, body)
            elif kind == BARRIER_REQUEST:
                self.send(BARRIER_REPLY, xid)
            if kind == last:
                return xid


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    """A running controller."""
    made = Controller(tmp_path)
    process = made.start()
    try:
        yield made
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def test_switch_is_programmed_and_its_loss_is_noticed_at_once(controller: Controller) -> None:
    with closing(FakeSwitch(controller.socket, 1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        event = controller.await_event("switch-programmed")
        assert event["router"] == "oslo1" and event["flows"] > 0
    left = time.monotonic()
    controller.await_event("switch-down")
    assert time.monotonic() - left < framework._ECHO_INTERVAL_S / 2  # long before an echo would be missed


def test_silent_switch_does_not_keep_others_waiting(controller: Controller) -> None:
    with closing(FakeSwitch(controller.socket, 1)), closing(FakeSwitch(controller.socket, 2)) as second:
        second.serve_until(BARRIER_REQUEST)
        assert controller.await_event("switch-programmed")["router"] == "oslo2"


def test_garbage_ends_one_connection_only(controller: Controller) -> None:
    with closing(FakeSwitch(controller.socket, 1)) as broken:
        broken.send(FEATURES_REPLY, 1, b"?")
        broken.stream.sendall(bytes(range(64)))
        with closing(FakeSwitch(controller.socket, 2)) as sound:
            sound.serve_until(BARRIER_REQUEST)
            assert controller.await_event("switch-programmed")["router"] == "oslo2"


def test_port_events_are_reported(controller: Controller) -> None:
    with closing(FakeSwitch(controller.socket, 1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        switch.send(PORT_STATUS, 0, struct.pack("!B7x", 2) + switch.port(2, LINK_DOWN))
        assert controller.await_event("port-down")["link"] == "oslo1-oslo2"
        switch.send(PORT_STATUS, 0, struct.pack("!B7x", 2) + switch.port(2))
        assert controller.await_event("port-up")["link"] == "oslo1-oslo2"


def test_refused_rule_is_named(controller: Controller) -> None:
    with closing(FakeSwitch(controller.socket, 4)) as switch:
        xid = switch.serve_until(METER_MOD)
        switch.send(ERROR, xid, struct.pack("!HH", 12, 1) + struct.pack("!BBHI", 4, METER_MOD, 8, xid))
        event = controller.await_event("error")
        assert (event["router"], event["rule"]) == ("trondheim", "delete all meters")


def test_stranger_is_turned_away(controller: Controller) -> None:
    with closing(FakeSwitch(controller.socket, 77)) as switch:
        assert "unknown datapath id 77" in _error_of(controller, switch)
        with pytest.raises((EOFError, ConnectionError)):
            while True:
                switch.receive()


def _error_of(controller: Controller, switch: FakeSwitch) -> str:
    switch.serve_until(MULTIPART_REQUEST)
    return str(controller.await_event("error")["message"])


def test_ends_when_told_though_switches_are_connected(tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    process = controller.start()
    with closing(FakeSwitch(controller.socket, 1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    if process.stderr:
        process.stderr.close()


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


def test_handlers_hand_their_exceptions_on() -> None:
    class App:
        def __init__(self) -> None:
            self.faults: list[BaseException] = []

        def fault(self, error: BaseException) -> None:
            self.faults.append(error)

        @framework.handles(framework.ofp_event.EventOFPBarrierReply, framework.MAIN_DISPATCHER)
        def broken(self, _: Any) -> None:
            raise ValueError("a defect")

    app = App()
    app.broken(None)
    assert [str(fault) for fault in app.faults] == ["a defect"]


def test_threads_hand_their_exceptions_on() -> None:
    faults: list[BaseException] = []

    def broken() -> None:
        raise ValueError("a defect")

    framework.spawn(broken, faults.append)
    wait_for(lambda: faults, "the fault")
    assert str(faults[0]) == "a defect"
