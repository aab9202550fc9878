"""Client of the link engine, a separate process that carries frames between ports.

A port is a TAP's descriptor (or, in tests, a socket that keeps message boundaries), or a pair of virtqueues in shared
memory, whose device is a vhost-user back end; a pipe is one direction of a link from port to port. Either end of a pipe
may be a VLAN of a trunk port.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from helsewan.emulation.links.counters import Counters, Lateness, Records, counters_bytes
from helsewan.emulation.links.engine_protocol import receive_message, send_message
from helsewan.emulation.links.model_rows import QueueTable, model_row
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.links.trace import Trace

TOO_LONG_HEAD = struct.Struct("=II")  # of a report: the pipe's number, its MTU in bytes (struct le_loop_too_long)
RING_ENTRIES = 512  # of each ring of a port: 128 drop in bursts
_FDS_PER_MESSAGE = 200
_REPLY_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 10.0


class EngineError(RuntimeError):
    """The engine refused a request or has ended."""


@dataclass(frozen=True, slots=True)
class PipeSpec:
    """One direction of a link: frames read from ``src_port`` (with VLAN ``src_vlan``, which is removed; 0 = the port
    has one pipe only) pass through ``model`` and are written to ``dst_port`` (with VLAN ``dst_vlan`` added).

    A trunk's tag does not count towards a frame's length on the link. Random numbers come from a generator seeded with
    ``seed``. Classes beyond the model's last queue share that one."""

    src_port: int
    src_vlan: int
    dst_port: int
    dst_vlan: int
    model: PipeModel
    seed: int = 0


@dataclass(frozen=True, slots=True)
class PipeChange:
    """A change of a pipe's settings; None leaves a setting as it is.

    ``model``: queued frames stay queued, the frame being sent and frames in flight keep their times. ``down``: all
    frames in the pipe are dropped, as are arriving frames until it is up again. ``blackhole``: frames are sent and
    then lost. ``paused``: the pipe's time stops; arriving frames are queued up to the limits."""

    pipe: int
    model: PipeModel | None = None
    down: bool | None = None
    blackhole: bool | None = None
    paused: bool | None = None


class EngineProcess:
    """A link engine in a separate process, from ``start()`` to ``close()`` (or the end of a ``with``).

    Methods raise EngineError when the engine refuses or has ended; they may be called from any thread. The process
    also ends with this process. ``scheduling`` is the priority it was granted: ``rr`` (real time),
    ``nice`` or ``none``; ``memory_locked`` whether its memory is locked in RAM."""

    def __init__(self, max_ports: int = 20_000, max_pipes: int = 40_000, memory_bytes: int = 256 * 1024 * 1024) -> None:
        """``memory_bytes`` limits the memory of all frames in the engine together."""
        self._max_ports, self._max_pipes, self._memory_bytes = max_ports, max_pipes, memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = 0  # replies that did not arrive in time, and arrive before any later one
        self.scheduling = "none"
        self.memory_locked = False

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        counters_fd = os.memfd_create("link-engine-counters")
        self._control, theirs = socket.socketpair()
        try:
            os.ftruncate(counters_fd, counters_bytes(self._max_ports, self._max_pipes))
            main = int(threading.current_thread() is threading.main_thread())  # others may end before the network
            numbers = (theirs.fileno(), counters_fd, self._max_ports, self._max_pipes, self._memory_bytes, main)
            # Inherited by the engine, which ignores interrupts from the terminal once it has begun.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            self._process = subprocess.Popen(
                [sys.executable, "-m", "helsewan.emulation.links.engine_process", *map(str, numbers)],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), counters_fd),
            )
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            memory = mmap.mmap(counters_fd, 0, prot=mmap.PROT_READ)
        finally:
            theirs.close()
            os.close(counters_fd)
        self._counters = Counters(memory, self._max_ports, self._max_pipes)
        self._control.settimeout(_REPLY_TIMEOUT_S)
        granted, _ = self._receive()
        self.scheduling, self.memory_locked = granted["scheduling"], granted["memory_locked"]

    def close(self) -> None:
        """End the process. Its counters stay readable. Idempotent."""
        if self._process is None:
            return
        self._control.close()
        try:
            self._process.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> EngineProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the running engine."""
        if self._process is None:
            raise EngineError("the link engine is not running")
        return self._process.pid

    @property
    def is_started(self) -> bool:
        """Whether it was started and not closed; it runs, or has ended by itself."""
        return self._process is not None

    def exit_status(self) -> int | None:
        """Its exit status, minus the signal that killed it; None while it runs, and after ``close``."""
        return None if self._process is None else self._process.poll()

    def configure(self, dscp_to_queue: Sequence[int], tc_to_queue: Sequence[int], other_queue: int) -> None:
        """Set the classification, before any pipe is added: the queue of each DSCP (64), of each MPLS traffic class
        (8) and of other frames. By default all frames use one queue."""
        self._request("configure", dscp=list(dscp_to_queue), tc=list(tc_to_queue), other=other_queue)

    def add_ports(self, fds: Sequence[int]) -> list[int]:
        """Add ports; returns their numbers, counted from 0. The engine gets its own copies of the descriptors."""
        ports: list[int] = []
        for start in range(0, len(fds), _FDS_PER_MESSAGE):
            ports += self._request("add_ports", fds[start : start + _FDS_PER_MESSAGE])["ports"]
        return ports

    def add_rings(self, fds: Sequence[int], entries: int = RING_ENTRIES) -> list[int]:
        """Add ports over virtqueues (Virtio 1.1, split rings) of ``entries`` descriptors, a power of two; returns their
        numbers. Each of ``fds`` is a memfd, sealed with F_SEAL_SHRINK, of the size that ``vring_layout(entries)``
        names, in which the rings are and which the device maps; ring 0 leads to the engine, ring 1 to the device. The
        engine maps them: the descriptors may be closed. The ports are inactive, as after ``set_rings(…, False)``."""
        ports: list[int] = []
        for start in range(0, len(fds), _FDS_PER_MESSAGE):
            part = fds[start : start + _FDS_PER_MESSAGE]
            ports += self._request("add_rings", part, entries=entries)["ports"]
        return ports

    def set_rings(self, ports: Sequence[int], active: bool) -> None:
        """Empty the rings of ``ports`` and begin to work them, before their devices are told of them; or, once no
        device uses them, no longer. Frames for a port that is not active are counted as ``drop_dst_down``.

        A port whose device breaks the protocol ends by itself (``rings_broken`` in its counters) until it is activated
        again."""
        self._request("set_rings", ports=list(ports), active=active)

    def call_descriptor(self) -> int:
        """A new descriptor, to be closed by the caller, of the eventfd that devices write once they have put frames
        into a ring 0 (SET_VRING_CALL); one for all ports. The kick of the other way is not used: devices poll."""
        _, (descriptor,) = self._exchange("call_fd")
        return descriptor

    def add_pipes(self, specs: Sequence[PipeSpec]) -> list[int]:
        """Add pipes; returns their numbers, counted from 0. When one is refused, those before it were added."""
        table = QueueTable()
        rows = [
            (spec.src_port, spec.src_vlan, spec.dst_port, spec.dst_vlan, spec.seed, model_row(spec.model, table))
            for spec in specs
        ]
        pipes: list[int] = self._request("add_pipes", queues=table.rows, pipes=rows)["pipes"]
        return pipes

    def set_pipes(self, changes: Sequence[PipeChange]) -> int:
        """Change pipes, all at the same time or, if one change is refused, none. Returns that time (CLOCK_REALTIME,
        ns)."""
        table = QueueTable()
        rows = [
            (
                change.pipe,
                None if change.model is None else model_row(change.model, table),
                change.down,
                change.blackhole,
                change.paused,
            )
            for change in changes
        ]
        return int(self._request("set_pipes", queues=table.rows, changes=rows)["applied_at_ns"])

    def compensate_delay(self, early_us: Mapping[int, float]) -> None:
        """Let pipes, by number, deliver this much earlier than their model's delay, to compensate processing delay
        behind them; limited by the pipe's delay."""
        self._request("compensate_delay", early=[[pipe, round(us * 1000)] for pipe, us in early_us.items()])

    def follow_frames(self, origin_us: float) -> None:
        """From now on recognise frames that return from the node they were delivered to, and compute their delivery by
        the next pipe from the time at which they should have arrived: deviations are compensated as far as the pipe's
        delay allows. ``origin_us``: how long frames that come from no pipe have already been in transit.

        Requires that each IP packet differs from all others within some milliseconds, as real ones do."""
        self._request("follow_frames", origin_ns=round(origin_us * 1000))

    def start_capture(self, pipes: Sequence[int], ring: int, snap_bytes: int) -> None:
        """Copy the frames that leave one or two pipes, up to ``snap_bytes`` of each, into the shared memory of
        descriptor ``ring`` (see ``capture.py``). A pipe has one capture at a time."""
        self._request("start_capture", [ring], pipes=list(pipes), snap_bytes=snap_bytes)

    def stop_capture(self, pipes: Sequence[int]) -> None:
        """End the captures of ``pipes``; once this returns, nothing more is copied."""
        self._request("stop_capture", pipes=list(pipes))

    def report_too_long(self, fd: int) -> None:
        """Report frames longer than their pipe's MTU, at most one a millisecond of each pipe, on socket ``fd``, which
        keeps message boundaries: the pipe's number and its MTU (``TOO_LONG_HEAD``), then the frame. What the socket has
        no room for is not reported. Unread reports delay nothing."""
        self._request("report_too_long", [fd])

    def follow_trace(self, pipes: Sequence[int], trace: Trace | None) -> int:
        """Let pipes follow a trace from now on, or, with None, no longer. Returns the time of the change
        (CLOCK_REALTIME, ns).

        Each point of the trace replaces the model's values; a model that is set meanwhile holds until the next point.
        When the trace is removed, the values of the last point stay until a model is set. While a pipe is paused, its
        trace is paused too."""
        if trace is None:
            return int(self._request("follow_trace", pipes=list(pipes), columns=None)["applied_at_ns"])
        fd = os.memfd_create("link-engine-trace")
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(trace.packed())
            repeat_ns = 0 if trace.repeat_us is None else trace.repeat_us * 1000
            reply = self._request("follow_trace", [fd], pipes=list(pipes), columns=trace.columns, repeat_ns=repeat_ns)
        finally:
            os.close(fd)
        return int(reply["applied_at_ns"])

    def counters(self) -> Records:
        """A live view of the pipes' counters (``counters.PIPE_DTYPE``), by pipe number; copy to keep."""
        return self._counters.pipes

    def class_counters(self) -> Records:
        """A live view of the counters (``counters.CLASS_DTYPE``) of each class of each pipe that received a frame."""
        return self._counters.classes

    def of_classes(self, pipe: int) -> dict[int, np.void]:
        """The live records (``counters.CLASS_DTYPE``) of a pipe's classes that received frames, by queue number."""
        return self._counters.of_classes(pipe)

    def port_counters(self) -> Records:
        """A live view of the ports' counters (``counters.PORT_DTYPE``), by port number; copy to keep."""
        return self._counters.ports

    def engine_counters(self) -> Records:
        """A live view of the engine's own counters (``counters.ENGINE_DTYPE``), an array of one."""
        return self._counters.engine

    def lateness(self) -> Lateness:
        """Lateness of deliveries since the start or the last ``restart_lateness``."""
        return self._counters.lateness()

    def restart_lateness(self) -> None:
        """Reset all lateness statistics, including those of the pipes."""
        self._request("restart_lateness")

    def _request(self, op: str, fds: Sequence[int] = (), **arguments: Any) -> dict[str, Any]:
        return self._exchange(op, fds, **arguments)[0]

    def _exchange(self, op: str, fds: Sequence[int] = (), **arguments: Any) -> tuple[dict[str, Any], list[int]]:
        """Send a request; the reply and its descriptors."""
        with self._lock:
            if self._process is None:
                raise EngineError("the link engine is not running")
            try:
                send_message(self._control, {"op": op, **arguments}, fds)
            except OSError as error:
                raise EngineError(f"the link engine has ended: {error}") from error
            return self._receive()

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        self._unread += 1
        received: tuple[dict[str, Any], list[int]] | None = None
        try:
            while self._unread:
                for fd in received[1] if received else ():
                    os.close(fd)  # of a reply that came too late
                received = receive_message(self._control)
                self._unread -= 1
        except TimeoutError as error:
            raise EngineError(f"the link engine did not answer for {_REPLY_TIMEOUT_S:g} s") from error
        if received is None:
            status = self._process.poll() if self._process else None
            raise EngineError(f"the link engine has ended (exit status {status})")
        reply, _ = received
        if "error" in reply:
            raise EngineError(reply["error"])
        return received
