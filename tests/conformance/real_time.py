"""Playing an experiment on interfaces, in real time: what a backend of real packets needs besides a line."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import numpy as np
from experiment import Experiment, Observation, Precision, expected
from loads import encode, steady
from reference import NS_PER_S, NS_PER_US, Change

from helsewan.common.run_clock import RunClock
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.sandbox.namespaces import Namespace

PATIENCE_S = 10.0
LEAD_NS = 2_000_000  # from laying out an experiment to its first frame
NAP_NS = 1_000_000  # what a sleep may be late: the rest of a wait is spent looking at the clock
STEPPED_NS = 10_000_000  # an adjusted clock runs at most 0.05 % fast or slow
BUFFER_BYTES = 64 << 20
LONGEST_FRAME = 1 << 16
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 32, 33, 35  # asm-generic/socket.h; not in the module socket
_TIMESPEC = struct.Struct("@ll")


class Ends:
    """Packet sockets at both ends of a line: one that sends into ``source``, one that hears what ``target`` receives,
    each in its namespace. All times are CLOCK_REALTIME, those of arrival the kernel's."""

    def __init__(self, source: tuple[Namespace, str], target: tuple[Namespace, str]) -> None:
        self._out = source[0].socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._out.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER_BYTES)  # or a line's queue makes it wait
        self._out.bind((source[1], 0))
        self._in = target[0].socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))  # ETH_P_ALL
        self._in.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
        self._in.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._in.bind((target[1], 0))
        self._in.setblocking(False)
        self._clock = RunClock()

    def play(self, experiment: Experiment, change: Callable[[Change], int]) -> tuple[list[int], list[int]]:
        """Send all frames and make all changes at their times; when each frame was sent, and each change made, which
        ``change`` returns."""
        events: list[tuple[int, int, Change | bytes]] = [(one.time_ns, -1, one) for one in experiment.changes]
        frames = enumerate(experiment.frames)
        events += [(frame.time_ns, number, encode(frame, number)) for number, frame in frames]
        events.sort(key=lambda event: event[:2])
        sent_ns: list[int] = []
        changed_ns: list[int] = []
        self._clock = RunClock()
        start_ns = time.monotonic_ns() + LEAD_NS
        for time_ns, _, event in events:
            wait_until(start_ns + time_ns)
            if isinstance(event, Change):
                changed_ns.append(change(event))
            else:
                sent_ns.append(time.time_ns())
                self._out.send(event)
        return sent_ns, changed_ns

    def received(self) -> list[tuple[int, bytes]]:
        """(time, frame) of all that came in so far and was not read yet."""
        if abs(time.time_ns() - self._clock.now_ns()) > STEPPED_NS:
            raise RuntimeError("the wall clock was set meanwhile, by which the kernel stamps what comes in: try again")
        result = []
        while True:
            try:
                data, ancillary, _, (_, _, kind, _, _) = self._in.recvmsg(LONGEST_FRAME, 64)
            except BlockingIOError:
                return result
            if kind != socket.PACKET_OUTGOING:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                result.append((seconds * NS_PER_S + nanoseconds, data))

    def close(self) -> None:
        """Close both sockets."""
        self._out.close()
        self._in.close()


def measured(run: Callable[[Experiment], Observation]) -> Precision:
    """The precision of a backend that plays experiments with ``run``: what the project promises, a delay off by at most
    0.1 ms in the median and 0.5 ms in the 99th percentile, once the way through the machine is taken off. That is
    measured on frames that meet no others. A backlog inherits the lateness of its first frame, one of those, so their
    99th percentile is added."""
    lone = Experiment(PipeModel(1_000_000_000, delay_us=1_000), tuple(steady(300, 1_000_000, 200)))
    seen = run(lone)
    due = {one.number: one.due_ns for one in expected(lone, seen).deliveries}
    late_us = [(one.time_ns - due[one.number]) / NS_PER_US for one in seen.received]
    median_us, p99_us = np.percentile(late_us, [50, 99])
    spread_us = p99_us - median_us
    return Precision(offset_us=median_us, median_us=100 + spread_us, p99_us=500 + spread_us)


def wait_until(time_ns: int) -> None:
    """Return at that time (CLOCK_MONOTONIC), a few microseconds late at best."""
    while (left_ns := time_ns - time.monotonic_ns()) > 0:
        if left_ns > 2 * NAP_NS:
            time.sleep((left_ns - NAP_NS) / NS_PER_S)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; raises TimeoutError when it does not within PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S:g} s: {what}")
        time.sleep(0.001)
