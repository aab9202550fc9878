"""What the health monitor reads of a testbed: its threads, links and counters, by the names that results show."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress

from helsewan.emulation.links.ring_ports import RingBacklog
from helsewan.emulation.routers.packet_sockets import FrameQueue, PacketSockets
from helsewan.emulation.routers.switches import RouterKind, Thread
from helsewan.lab.health.health import CONTROLLER, ROUTERS
from helsewan.lab.health.health_monitor import LinkCounters
from helsewan.lab.testbed.testbed import Testbed

LINK_ENGINE, TRAFFIC, RUN = "link engine", "traffic sender", "traffic and timeline"


class TestbedMetrics:
    """Implements `health_monitor.Monitored` for a running ``testbed`` and the traffic's ``sender`` thread (None: the
    traffic is not ours)."""

    def __init__(self, testbed: Testbed, sender: threading.Thread | None) -> None:
        self._testbed, self._sender = testbed, sender
        self._packet_sockets: dict[str, PacketSockets] = {}
        self._queues: dict[str, FrameQueue] = {}
        if testbed.forwarding.routers is RouterKind.SHARED:
            self._queues = {ROUTERS: RingBacklog(testbed.engine)}
        else:
            self._packet_sockets = {switch.name: PacketSockets(switch.namespace) for switch in testbed.net.switches}
            self._queues |= self._packet_sockets
        self._pipe_names = testbed.pipe_names()

    def threads(self) -> Mapping[str, Thread]:
        """The link engine, the traffic's sender, and all routers that carry traffic: one that boots may wait."""
        threads = {}
        if self._testbed.has_engine:
            threads[LINK_ENGINE] = Thread(self._testbed.engine.pid, self._testbed.engine.pid)
        if self._sender is not None and self._sender.native_id:
            threads[TRAFFIC] = Thread(os.getpid(), self._sender.native_id)
        for switch in self._testbed.net.switches:
            if switch.is_on and switch.name not in self._testbed.failed_routers:
                with suppress(OSError, KeyError):  # it has ended, which the process monitor reports
                    name = ROUTERS if switch.kind is RouterKind.SHARED else switch.name
                    threads[name] = switch.forwarding_thread()
        return threads

    def queue(self, thread: str) -> FrameQueue | None:
        """Where frames wait for a router, or for the thread that forwards for all; None for other threads."""
        return self._queues.get(thread)

    def processes(self) -> Mapping[str, int]:
        """Process ids of the controller and of this process."""
        return {CONTROLLER: self._testbed.controllers.process.pid, RUN: os.getpid()}

    def pipe_names(self) -> Mapping[int, str]:
        """Names ``from > to`` of the pipes, by number."""
        return self._pipe_names

    def counters(self) -> LinkCounters | None:
        """Live views of the link engine's counters; None where the kernel carries the links."""
        if not self._testbed.has_engine:
            return None
        engine = self._testbed.engine
        return LinkCounters(engine.engine_counters(), engine.counters(), engine.class_counters())

    def machine_drops(self) -> Mapping[str, int]:
        """Frames dropped by the machine, without the sites' interfaces, which are too many to read every second;
        overload there shows at the link engine first."""
        return self._testbed.machine_drops(sites=False)

    def close(self) -> None:
        """Close the netlink sockets that read the packet sockets' state."""
        for sockets in self._packet_sockets.values():
            sockets.close()
