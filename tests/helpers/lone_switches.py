"""Open vSwitch by itself: bridges whose ports are files, given rules as the controller gives them and one frame at a
time. It decides and rewrites as ever; there is only no network around it. Needs no namespace and touches no other."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from scapy.utils import rdpcap
from waiting import wait_for

from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.update.commands import updates
from helsewan.controller.update.rule_diff import difference
from helsewan.topology.model import TRUNK_PORT, Network

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_HEADER = struct.Struct("!BBHI")
_OPENFLOW13, _HELLO, _ERROR, _BARRIER_REPLY = 4, 0, 1, 21


class Traced(NamedTuple):
    """What ofproto/trace says: (table, priority, cookie) of the entries met, the buckets taken, whether the packet is
    looked at again later (which it does not follow), whether it is dropped."""

    entries: tuple[tuple[int, int, int], ...]
    buckets: tuple[int, ...]
    resumes: bool
    dropped: bool


@dataclass
class LoneSwitches:
    """A bridge for every router of a network. Files and sockets go under ``home``."""

    network: Network
    home: Path

    def __post_init__(self) -> None:
        self.env = {**os.environ, **{f"OVS_{n}": str(self.home) for n in ("RUNDIR", "DBDIR", "LOGDIR", "SYSCONFDIR")}}
        self._run("ovsdb-tool", "create", str(self.home / "conf.db"), SCHEMA)
        database = f"unix:{self.home}/db.sock"
        self.daemons = [self._start("ovsdb-server", str(self.home / "conf.db"), f"--remote=p{database}")]
        wait_for((self.home / "db.sock").exists, "the database")
        self._run("ovs-vsctl", f"--db={database}", "--no-wait", "init")
        control = f"--unixctl={self.home}/control"
        self.daemons.append(
            self._start("ovs-vswitchd", database, "--enable-dummy=override", "--disable-system", control)
        )
        commands = [part for router in self.network.router for part in self._bridge(router)]
        self._run("ovs-vsctl", f"--db={database}", *commands)

    def close(self) -> None:
        """Ends it."""
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()

    def program(self, router: str, rules: RuleSet) -> None:
        """Gives a switch its rules, in the controller's own bytes. An error it answers with fails the test."""
        (whole,) = updates(difference(RuleSet(), rules))
        frame = Encoder().encode(whole, first=1)
        with socket.socket(socket.AF_UNIX) as switch:
            switch.settimeout(20)
            switch.connect(str(self.home / f"{self.bridge(router)}.mgmt"))
            switch.sendall(_HEADER.pack(_OPENFLOW13, _HELLO, _HEADER.size, 0) + frame.data)
            for kind, xid, body in _messages(switch):
                assert kind != _ERROR, (router, frame.subjects[xid - 1], body.hex())
                if kind == _BARRIER_REPLY and xid == frame.barrier:
                    return
        raise AssertionError(f"{router} hung up")

    def set_port(self, router: str, port: int, up: bool) -> None:
        """Takes a port down or up, and waits until groups know."""
        self._control("netdev-dummy/set-admin-state", self.port(router, port), "up" if up else "down")

        def known() -> bool:
            shown = self._run("ovs-ofctl", "-OOpenFlow13", "dump-ports-desc", f"unix:{self._mgmt(router)}")
            state = re.search(rf"\({self.port(router, port)}\).*?state: +(\w+)", shown, re.DOTALL)
            return state is not None and (state[1] == "LIVE") is up

        wait_for(known, f"{router}'s port {port}")

    def trace(self, router: str, port: int, frame: bytes) -> Traced:
        """What the switch says it would do with a frame."""
        told = self._control("ofproto/trace", self.bridge(router), f"in_port={port}", frame.hex())
        entries = re.findall(r"^ *(\d+)\. .*?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$", told, re.MULTILINE)
        buckets = re.findall(r"-> using bucket (\d+)", told)
        actions = told.rpartition("Datapath actions: ")[2].strip()
        return Traced(
            tuple((int(table), int(priority), int(cookie or "0", 16)) for table, priority, cookie in entries),
            tuple(map(int, buckets)),
            "recirc" in actions,
            actions == "drop",
        )

    def receive(self, router: str, port: int, frame: bytes) -> None:
        """Lets a frame come in on a port."""
        self._control("netdev-dummy/receive", self.port(router, port), frame.hex())

    def sent(self, router: str) -> Iterator[tuple[int, bytes]]:
        """All that has left a switch so far: (port, frame)."""
        for port in self._ports(router):
            for packet in rdpcap(str(self._capture(router, port))):
                yield port, bytes(packet)

    def bridge(self, router: str) -> str:
        """A router's bridge."""
        return f"br{self.network.router[router].index}"

    def port(self, router: str, port: int) -> str:
        """A router's interface."""
        return f"r{self.network.router[router].index}-p{port}"

    def _ports(self, router: str) -> tuple[int, ...]:
        return TRUNK_PORT, *self.network.ports[router].values(), *self.network.access_link_ports[router].values()

    def _mgmt(self, router: str) -> Path:
        return self.home / f"{self.bridge(router)}.mgmt"

    def _capture(self, router: str, port: int) -> Path:
        return self.home / f"{self.port(router, port)}.pcap"

    def _bridge(self, router: str) -> Iterator[str]:
        bridge = self.bridge(router)
        yield from ("--", "add-br", bridge, "--", "set", "bridge", bridge, "fail_mode=secure", "protocols=OpenFlow13")
        for port in self._ports(router):
            name = self.port(router, port)
            yield from ("--", "add-port", bridge, name, "--", "set", "interface", name, "type=dummy")
            yield from (f"ofport_request={port}", f"options:tx_pcap={self._capture(router, port)}")

    def _control(self, *command: str) -> str:
        return self._run("ovs-appctl", "-t", str(self.home / "control"), *command)

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        name = argv[0]
        with (self.home / f"{name}.out").open("wb") as out:
            return subprocess.Popen([*argv, f"--log-file={self.home}/{name}.log"], env=self.env, stdout=out, stderr=out)

    def _run(self, *argv: str) -> str:
        done = subprocess.run(argv, capture_output=True, text=True, env=self.env, timeout=60, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout


def _messages(switch: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """OpenFlow messages as they come: (type, transaction, body)."""
    buffer = b""
    while True:
        while len(buffer) >= _HEADER.size and len(buffer) >= (length := _HEADER.unpack_from(buffer)[2]):
            _, kind, _, xid = _HEADER.unpack_from(buffer)
            yield kind, xid, buffer[_HEADER.size : length]
            buffer = buffer[length:]
        received = switch.recv(65536)
        if not received:
            return
        buffer += received
