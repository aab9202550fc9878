"""The controller as a process for tests, and a switch that the test plays."""

from __future__ import annotations

import json
import pickle
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any

from controller_plan import small_plan
from waiting import wait_for

from helsewan.emulation.routers.certificate_authority import CertificateAuthority, Credentials

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PORT_STATUS, MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY = 12, 18, 19, 20, 21
ROLE_REQUEST, ROLE_REPLY, METER_MOD, PORTS = 24, 25, 29, 13
NOCHANGE, EQUAL, MASTER, SLAVE = range(4)
LINK_DOWN, LIVE = 1, 4


class Controller:
    """A controller process and its events."""

    def __init__(self, home: Path) -> None:
        self.home, self.events_file = home, home / "events.jsonl"
        self.log_file = home / "controller.log"
        self.plan_file = home / "plan.pickle"
        self.plan_file.touch(mode=0o600)
        self.plan_file.write_bytes(pickle.dumps(small_plan()))
        self.events_file.touch()
        self.authority, self._numbers = CertificateAuthority(home / "credentials"), count()
        shown = self.credentials = self.authority.for_controller()
        arguments = [f"--plan={self.plan_file}", "--listen=127.0.0.1:0", f"--events={self.events_file}"]
        arguments += [f"--key={shown.key}", f"--certificate={shown.certificate}", f"--authority={shown.authority}"]
        self.door, self.changes_file = home / "door", home / "changes.jsonl"
        arguments += [f"--door={self.door}", f"--changes={self.changes_file}"]
        self.argv = [sys.executable, "-m", "helsewan.controller.main", *arguments]

    def start(self) -> subprocess.Popen[bytes]:
        """Starts it and waits until it listens."""
        with self.log_file.open("wb") as log:
            process = self.process = subprocess.Popen(self.argv, cwd=REPOSITORY, stderr=log)
        listening = self.await_event("listening")
        self.address = listening["address"], listening["port"]
        return process

    def beside(self) -> Controller:
        """A second one on the same plan, with events of its own; not started yet."""
        second = copy(self)
        second.events_file, second.log_file = self.home / "events-2.jsonl", self.home / "controller-2.log"
        second.argv = [*self.argv, f"--events={second.events_file}"]
        second.events_file.touch()
        return second

    def switch(self, datapath_id: int) -> FakeSwitch:
        """A switch that connects, with a certificate of its own."""
        name = f"{datapath_id}-{next(self._numbers)}"
        return FakeSwitch(self.address, datapath_id, self.authority.for_switch(name, [datapath_id]))

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

    def __init__(self, address: tuple[str, int], datapath_id: int, shown: Credentials) -> None:
        self.datapath_id = datapath_id
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # as Open vSwitch does
        context.load_verify_locations(shown.authority)
        context.load_cert_chain(shown.certificate, shown.key)
        self.stream = context.wrap_socket(socket.create_connection(address, DEADLINE_S))
        self.role, self.generation = EQUAL, 0
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

    def port(self, number: int, state: int = LIVE) -> bytes:
        """A port description."""
        return struct.pack("!I4x6s2x16sII24x", number, bytes(6), b"p%d" % number, 0, state)

    def serve_until(self, last: int) -> int:
        """Answers as a switch would until a message of type ``last`` came, and was answered; its xid."""
        while True:
            kind, xid, body = self.receive()
            if kind == FEATURES_REQUEST:
                self.send(FEATURES_REPLY, xid, struct.pack("!QIBB2xII", self.datapath_id, 0, 254, 0, 0, 0))
            elif kind == MULTIPART_REQUEST:
                (wanted,) = struct.unpack_from("!H", body)
                told = b"".join(map(self.port, (1, 2, 3))) if wanted == PORTS else b""  # it holds no rules
                self.send(MULTIPART_REPLY, xid, struct.pack("!HH4x", wanted, 0) + told)
            elif kind == ROLE_REQUEST:
                role, generation = struct.unpack("!I4xQ", body)
                if role != NOCHANGE:
                    self.role, self.generation = role, generation
                self.send(ROLE_REPLY, xid, struct.pack("!I4xQ", self.role, self.generation))
            elif kind == ECHO_REQUEST:
                self.send(ECHO_REPLY, xid, body)
            elif kind == BARRIER_REQUEST:
                self.send(BARRIER_REPLY, xid)
            if kind == last:
                return xid


@contextmanager
def running(home: Path, *program: str) -> Iterator[Controller]:
    """A controller that runs, and must still run at the end; ``program`` are Python's arguments for another than
    the usual."""
    made = Controller(home)
    made.argv[1:3] = program or made.argv[1:3]
    process = made.start()
    try:
        yield made
        assert process.poll() is None, made.log_file.read_text()
    finally:
        process.kill()
        process.wait()
