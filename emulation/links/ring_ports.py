"""Ports whose frames are exchanged in shared memory: the engine on one side, a port of a switch on the other.

The engine works the rings. This module has the conversation by which the switch gets to know them (`vhost_user`): a
switch connects to the Unix socket of each of its ports, and again after it has removed and added a port. A port that
goes down is stopped by a message over that connection, which takes the switch's port down at once; closing the
connection would do so too, but DPDK takes up to a second to connect again.
"""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from helsewan.emulation import _linkengine
from helsewan.emulation.links import vhost_user
from helsewan.emulation.links.engine import EngineError, EngineProcess
from helsewan.emulation.routers.packet_sockets import Backlog

ENTRIES = 256  # frames a ring holds: 128 dropped in bursts, and each doubles the memory of every port
_REPLY_DEADLINE_S = 5.0
_BROKEN = (OSError, vhost_user.ProtocolError)  # a conversation that cannot go on
_FIXED_SIZE = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW  # so that no access to a mapping can fail


class RingPort:
    """One port: its shared memory, and the socket at ``path`` to which the switch connects."""

    def __init__(self, path: Path) -> None:
        """Raises OSError if the memory or the socket cannot be created."""
        self.path = path
        self.size, *self.offsets = _linkengine.vring_layout(ENTRIES)
        self.memory = os.memfd_create("ring-port", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, self.size)
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, _FIXED_SIZE)
        self.number = -1  # the engine's, once it has the memory
        self.has_carrier = True  # as asked for
        self.has_power = True
        self.running = False  # whether the switch uses the rings
        self.connection: socket.socket | None = None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.listener.bind(str(path))
        self.listener.listen(1)

    @property
    def is_ready(self) -> bool:
        """Whether the switch is connected, and uses the rings if the port is up."""
        return self.connection is not None and self.running == self.is_wanted

    @property
    def is_wanted(self) -> bool:
        """Whether the switch is to use the rings."""
        return self.has_carrier and self.has_power


class RingPorts:
    """The ring ports of one engine. Methods may be called from any thread."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._ports: list[RingPort] = []
        self._changed = threading.Condition()  # locks all ports' states and conversations, and tells of changes
        self._selector = selectors.EpollSelector()
        self._kick = os.eventfd(0, os.EFD_CLOEXEC)
        self._closing = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._selector.register(self._closing, selectors.EVENT_READ)
        self._call = -1
        self._thread: threading.Thread | None = None

    def open(self, path: Path) -> RingPort:
        """Create a port. Raises OSError."""
        port = RingPort(path)
        self._ports.append(port)
        return port

    def hand_over(self, ports: Sequence[RingPort]) -> list[int]:
        """Give ports to the engine; returns their numbers there. From then on a switch may connect."""
        if self._call < 0:
            self._call = self._engine.call_descriptor()
            self._thread = threading.Thread(target=self._serve, name="ring-ports", daemon=True)
            self._thread.start()
        numbers = self._engine.add_rings([port.memory for port in ports], ENTRIES)
        for port, number in zip(ports, numbers, strict=True):
            port.number = number
            self._selector.register(port.listener, selectors.EVENT_READ, port)
        return numbers

    def set_carrier(self, ports: Iterable[RingPort], up: bool, apart_s: float = 0.0) -> None:
        """Let ports gain or lose carrier; returns when the switch does not use those without any more. A port that is
        not connected gains it when it is. ``apart_s``: how long before the port is up its ring from the switch is
        started."""
        with self._changed:
            found = list(ports)
            for port in found:
                port.has_carrier = up
            self._adapt(found, apart_s)

    def sent(self, ports: Iterable[RingPort]) -> list[int]:
        """How many frames the engine has put into the ring to the switch of each port so far."""
        counters = self._engine.port_counters()
        return [int(counters[port.number]["frames_out"]) for port in ports]

    def taken(self, ports: Iterable[RingPort]) -> list[int]:
        """How many of them the switch has taken, as of the engine's last round."""
        counters = self._engine.port_counters()
        return [int(counters[port.number]["frames_out"]) - int(counters[port.number]["waiting"]) for port in ports]

    def set_power(self, ports: Iterable[RingPort], on: bool) -> None:
        """Give ports power, or take it: without, they have no carrier either."""
        with self._changed:
            found = list(ports)
            for port in found:
                port.has_power = on
            self._adapt(found)

    def _adapt(self, ports: Sequence[RingPort], apart_s: float = 0.0) -> None:
        """Start and stop rings as wanted."""
        self._stop([port for port in ports if port.running and not port.is_wanted])
        self._start([port for port in ports if port.connection and not port.running and port.is_wanted], apart_s)
        self._changed.notify_all()

    def wait(self, ports: Iterable[RingPort], deadline_s: float) -> list[RingPort]:
        """Wait until the switch is connected to all ``ports``, and uses the rings of those that have carrier; returns
        the ports that are not so in time."""
        wanted = list(ports)
        with self._changed:
            self._changed.wait_for(lambda: all(port.is_ready for port in wanted), deadline_s)
            return [port for port in wanted if not port.is_ready]

    def close(self) -> None:
        """Accept no more connections. The ports stay as they are: they end with the engine."""
        os.eventfd_write(self._closing, 1)
        if self._thread is not None:
            self._thread.join()

    def release(self) -> None:
        """After `close`, and after the engine and the switch have ended: give up memory and sockets. Idempotent."""
        for port in self._ports:
            os.close(port.memory)
            port.listener.close()
            if port.connection:
                port.connection.close()
        for descriptor in (self._kick, self._closing, self._call) if self._ports else ():
            if descriptor >= 0:
                os.close(descriptor)
        self._ports.clear()
        self._selector.close()

    def _start(self, ports: Sequence[RingPort], apart_s: float = 0.0) -> None:
        """Start the rings of connected ports, the one from the switch first."""
        if not ports:
            return
        self._engine.set_rings([port.number for port in ports], True)
        left = self._start_each(ports, vhost_user.RECEIVE)
        if apart_s:
            time.sleep(apart_s)
        for port in self._start_each(left, vhost_user.TRANSMIT):
            port.running = True

    def _start_each(self, ports: Sequence[RingPort], queue: int) -> list[RingPort]:
        """Start a ring of each port; returns the ports where that was possible."""
        started = []
        for port in ports:
            assert port.connection
            try:
                offsets = port.offsets[queue]
                vhost_user.start_queue(port.connection, queue, ENTRIES, offsets, self._call, self._kick)
                started.append(port)
            except _BROKEN:  # the switch has removed the port meanwhile: it will connect again if it adds it
                self._disconnect(port)
        return started

    def _stop(self, ports: Sequence[RingPort]) -> None:
        """Stop the rings of running ports: the switch first, then the engine."""
        asked = []
        for port in ports:
            assert port.connection
            try:
                vhost_user.ask_to_stop(port.connection)
                asked.append(port)
            except _BROKEN:
                self._disconnect(port)
        for port in asked:
            assert port.connection
            try:
                vhost_user.await_stop(port.connection)
                port.running = False
            except _BROKEN:
                self._disconnect(port)
        if asked:
            self._engine.set_rings([port.number for port in asked], False)

    def _disconnect(self, port: RingPort) -> None:
        assert port.connection
        self._selector.unregister(port.connection)
        port.connection.close()
        port.connection = None
        if port.running:
            port.running = False
            with suppress(EngineError):  # it has ended: so do its ports
                self._engine.set_rings([port.number], False)

    def _serve(self) -> None:
        """Accept the switch's connections, and notice their ends."""
        while True:
            ready = self._selector.select()
            if any(key.fileobj == self._closing for key, _ in ready):
                return
            with self._changed:
                connected = []
                for key, _ in ready:
                    port: RingPort = key.data
                    if key.fileobj is port.listener:
                        if self._accept(port):
                            connected.append(port)
                    elif key.fileobj is port.connection and _has_ended(port.connection):
                        self._disconnect(port)
                with suppress(EngineError):
                    self._start([port for port in connected if port.is_wanted])
                self._changed.notify_all()

    def _accept(self, port: RingPort) -> bool:
        """Accept a connection in place of any other; whether it can be used."""
        try:
            connection, _ = port.listener.accept()
        except OSError:  # it has gone again
            return False
        if port.connection:
            self._disconnect(port)
        connection.settimeout(_REPLY_DEADLINE_S)
        try:
            vhost_user.begin(connection, port.memory, port.size)
        except _BROKEN:
            connection.close()  # DPDK connects again
            return False
        port.connection = connection
        self._selector.register(connection, selectors.EVENT_READ, port)
        return True


class RingBacklog:
    """The frames in all rings to the switch that it has not taken yet, as of the engine's last round."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine

    def backlog(self) -> Backlog:
        """The current backlog. Frames that find a ring full are counted by the links."""
        return Backlog(int(self._engine.port_counters()["waiting"].sum()))


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other side has closed ``connection``, or sends what nobody has asked for."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
