"""Where the watch looks: the rig's parts, lines and counters under the names that people know them by."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing

import numpy as np

from emulation.counters import Records
from emulation.links import access_name
from emulation.nodes import NamespaceNode
from emulation.packet_sockets import PacketSockets
from emulation.procfs import TransmitDrops
from scenarios.rig import Rig
from scenarios.watch import Thread

LINK_ENGINE, TRAFFIC, CONTROLLER, RUN = "link engine", "traffic's clock", "controller", "traffic and timeline"
FORWARDER = "ovs-vswitchd"


class Lookout:
    """What ``Watch`` asks, answered of a running ``rig`` and the traffic's ``sender`` thread."""

    def __init__(self, rig: Rig, sender: threading.Thread) -> None:
        self._rig, self._sender = rig, sender
        self._doors = {switch.name: PacketSockets(switch.namespace) for switch in rig.net.switches}
        self._sent = {switch.name: TransmitDrops(switch.namespace) for switch in rig.net.switches}
        self._lines = dict(_line_names(rig))

    def threads(self) -> Mapping[str, Thread]:
        """The link engine, the traffic's clock, and every router that has power."""
        threads = {LINK_ENGINE: Thread(self._rig.engine.pid, self._rig.engine.pid)}
        if self._sender.native_id:
            threads[TRAFFIC] = Thread(os.getpid(), self._sender.native_id)
        for switch in self._rig.net.switches:
            if switch.is_on:
                pid = switch.daemon_pid(FORWARDER)
                threads[switch.name] = Thread(pid, pid)
        return threads

    def door(self, thread: str) -> PacketSockets | None:
        """A router's packet sockets."""
        return self._doors.get(thread)

    def processes(self) -> Mapping[str, int]:
        """The controller, and this process."""
        return {CONTROLLER: self._rig.controller.process.pid, RUN: os.getpid()}

    def line_names(self) -> Mapping[int, str]:
        """``from > to``, by pipe."""
        return self._lines

    def counters(self) -> tuple[Records, Records]:
        """The link engine's, live."""
        return self._rig.engine.engine_counters(), self._rig.engine.counters()

    def machine_drops(self) -> Mapping[str, int]:
        """Frames the link engine could not read or write in time, by line and by router's interface."""
        drops = self._pipe_drops()
        for switch in self._rig.net.switches:
            drops |= dict(self._undarkened(switch, self._sent[switch.name].read()))
        return drops

    def all_drops(self) -> Mapping[str, int]:
        """The same with the sites' interfaces, which are too many to be asked every second."""
        drops = dict(self.machine_drops())
        for node in self._rig.net.hosts:
            drops |= dict(self._undarkened(node, _read(node)))
        return drops

    def close(self) -> None:
        """Let go of doors and files."""
        for name, door in self._doors.items():
            door.close()
            self._sent[name].close()

    def _pipe_drops(self) -> dict[str, int]:
        pipes = self._rig.engine.counters()
        lost = pipes["drop_machine"] + pipes["drop_memory"]
        return {self._lines[int(pipe)]: int(lost[pipe]) for pipe in np.flatnonzero(lost)}

    def _undarkened(self, node: NamespaceNode, sent: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """What the node's interfaces dropped, those left out that ever lost light."""
        for name in {intf.name.partition(".")[0] for intf in node.intfList()}:
            if not self._rig.is_darkened(node.name, name):
                yield f"{node.name}'s {name}", sent[name]


def _read(node: NamespaceNode) -> dict[str, int]:
    with closing(TransmitDrops(node.namespace)) as drops:
        return drops.read()


def _line_names(rig: Rig) -> Iterator[tuple[int, str]]:
    for link in rig.network.links:
        line = rig.plant.lines[link.id]
        yield line.forward, f"{link.a} > {link.b}"
        yield line.back, f"{link.b} > {link.a}"
    for site in rig.network.sites:
        for number, access in enumerate(site.accesses):
            line = rig.plant.lines[access_name(site.id, number)]
            yield line.forward, f"{site.id} > {access.router}"
            yield line.back, f"{access.router} > {site.id}"
