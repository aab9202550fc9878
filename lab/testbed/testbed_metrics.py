"""What the health monitor reads of a testbed: its threads, links and counters, under the names that users know."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from helsewan.emulation.routers.packet_sockets import PacketSockets
from helsewan.lab.health.health_monitor import LinkCounters, Thread
from helsewan.lab.testbed.testbed import Testbed

LINK_ENGINE, TRAFFIC, CONTROLLER, RUN = "link engine", "traffic's clock", "controller", "traffic and timeline"
FORWARDER = "ovs-vswitchd"


class TestbedMetrics:
    """Implements `health_monitor.Watched` for a running ``testbed`` and the traffic's ``sender`` thread."""

    def __init__(self, testbed: Testbed, sender: threading.Thread) -> None:
        self._testbed, self._sender = testbed, sender
        self._doors = {switch.name: PacketSockets(switch.namespace) for switch in testbed.net.switches}
        self._lines = testbed.pipe_names()

    def threads(self) -> Mapping[str, Thread]:
        """The link engine, the traffic's clock, and every router that carries: one that boots may wait."""
        threads = {}
        if self._testbed.has_engine:
            threads[LINK_ENGINE] = Thread(self._testbed.engine.pid, self._testbed.engine.pid)
        if self._sender.native_id:
            threads[TRAFFIC] = Thread(os.getpid(), self._sender.native_id)
        for switch in self._testbed.net.switches:
            if switch.is_on and switch.name not in self._testbed.failed_routers:
                pid = switch.daemon_pid(FORWARDER)
                threads[switch.name] = Thread(pid, pid)
        return threads

    def door(self, thread: str) -> PacketSockets | None:
        """A router's packet sockets."""
        return self._doors.get(thread)

    def processes(self) -> Mapping[str, int]:
        """The controller, and this process."""
        return {CONTROLLER: self._testbed.controllers.process.pid, RUN: os.getpid()}

    def pipe_names(self) -> Mapping[int, str]:
        """``from > to``, by pipe."""
        return self._lines

    def counters(self) -> LinkCounters | None:
        """The link engine's, live."""
        if not self._testbed.has_engine:
            return None
        engine = self._testbed.engine
        return LinkCounters(engine.engine_counters(), engine.counters(), engine.class_counters())

    def machine_drops(self) -> Mapping[str, int]:
        """The testbed's, without the sites: at a second's interval what they could lose shows at the engine first."""
        return self._testbed.machine_drops(sites=False)

    def close(self) -> None:
        """Let go of the doors."""
        for door in self._doors.values():
            door.close()
