"""Runs planned flows with the flow engine, on sockets in the sites' namespaces; returns records of received
datagrams."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from helsewan.lab.flows._flows import FORMAT_RTCP, FORMAT_RTP, LATENESS_STEP_NS, Engine
from helsewan.lab.flows.flowspec import Endpoint, FlowSpec, RtcpFormat, RtpFormat, endpoints
from helsewan.lab.flows.records import RECEIVER, RECORD, SENDER, Array, due_so_far
from helsewan.lab.flows.schedule import joined
from helsewan.lab.flows.sender_health import SenderHealth

__all__ = ["FlowEngine", "SenderHealth", "SocketIn"]

SocketIn = Callable[[str, int, int], socket.socket]
"""Creates a socket in a site's namespace: (site id, family, type) -> socket."""

RECEIVE_BUFFER_BYTES = 4 << 20  # holds what arrives while the engine is delayed
LATENESS_BUCKETS = 5_000  # of 20 us: up to 100 ms
SPARE_RECORDS = 1.25  # duplicates must not fill the buffer


class FlowEngine:
    """One run of flows: opens and binds all sockets in the constructor, sends and receives from ``start`` to ``stop``.

    Uses two file descriptors per flow. If the constructor raises (OSError: address in use, too many open files), all
    sockets are closed."""

    def __init__(self, flows: Sequence[FlowSpec], socket_in: SocketIn, cookie: int = 0) -> None:
        self._flows = flows
        self._planned = _planned(flows)
        self._records = np.zeros(int(self._planned.sum() * SPARE_RECORDS) + 1_000, RECORD)
        self._table, self._table_first = joined([flow.schedule for flow in flows if flow.schedule is not None])
        self._lateness = np.zeros(LATENESS_BUCKETS, np.uint64)
        self.endpoints = endpoints(flows)
        self.senders = np.zeros(max(len(flows), 1), SENDER)
        self.receivers = np.zeros(max(len(self.endpoints), 1), RECEIVER)
        self._engine = Engine(
            self._records, self.senders, self.receivers, self._lateness, cookie=cookie, table=self._table
        )
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._sockets: dict[Endpoint, socket.socket] = {}
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            self._stop_reader, self._stop_writer = socket.socketpair()
            for id_, end in enumerate(self.endpoints):
                family = socket.AF_INET if end.address.version == 4 else socket.AF_INET6
                self._sockets[end] = socket_in(end.site, family, socket.SOCK_DGRAM)
                _prepare(self._sockets[end], end)
                self._engine.add_receiver(self._sockets[end].fileno(), id_)
            undo.pop_all()

    def start(self, epoch_ns: int) -> None:
        """Start the thread; the flows' time 0 is ``epoch_ns`` (CLOCK_REALTIME)."""
        ids = {flow.name: flow.id for flow in self._flows if isinstance(flow.format, RtpFormat)}
        for flow in self._flows:
            self._engine.add_sender(
                fd=self._sockets[flow.source].fileno(),
                flow=flow.id,
                address=str(flow.destination.address),
                port=flow.destination.port,
                start_ns=epoch_ns + flow.start_us * 1000,
                stop_ns=epoch_ns + (flow.stop_us if self._planned[flow.id] else flow.start_us) * 1000,
                interval_ns=flow.interval_ns,
                burst=flow.burst,
                payload_bytes=flow.payload_bytes,
                tos=flow.sent_dscp << 2,
                **self._schedule(flow),
                **_format(flow, ids),
            )
        self._thread = threading.Thread(target=self._run, name="flows", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending and receiving. Raises the OSError that ended the engine before, if any."""
        if self._thread is not None:
            self._stop_writer.send(b"x")
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Stop, and close all sockets."""
        with contextlib.suppress(OSError):
            self.stop()
        for opened in self._sockets.values():
            opened.close()
        self._sockets.clear()
        for end in (getattr(self, "_stop_reader", None), getattr(self, "_stop_writer", None)):
            if end is not None:
                end.close()

    @property
    def records(self) -> Array:
        """A view of the records (``records.RECORD``) of the datagrams received so far."""
        return self._records[: self._engine.recorded]

    @property
    def due(self) -> Array:
        """Number of datagrams of each flow that were due so far."""
        return due_so_far(self.senders)[: len(self._flows)]

    @property
    def sender(self) -> threading.Thread:
        """The thread that sends and receives. Raises RuntimeError before ``start``."""
        if self._thread is None:
            raise RuntimeError("the flow engine was not started")
        return self._thread

    @property
    def lateness(self) -> tuple[Array, Array]:
        """Live histogram of sends by lateness, and the upper limits of its bins (ns; the last bin is open)."""
        return self._lateness, np.arange(1, len(self._lateness) + 1) * LATENESS_STEP_NS

    def keeping_up(self) -> SenderHealth:
        """How well the engine kept its schedule so far."""
        return SenderHealth(
            lateness_p50_us=_percentile_us(self._lateness, 50),
            lateness_p99_us=_percentile_us(self._lateness, 99),
            worst_late_us=float(self.senders["worst_late_ns"].max()) / 1000,
            unrecorded=self._engine.unrecorded,
            dropped=int(self.receivers["dropped"].sum()),
            not_sent=int(self.senders["full"].sum()),
            untimed=int((self.records["timed"] == 0).sum()),
            clock_step_us=self._engine.clock_step_ns / 1000,
            unfinished=int((self._planned - self.due).clip(min=0).sum()),
            mute=int(((self.senders["sent"][: len(self._flows)] == 0) & (self._planned > 0)).sum()),
        )

    def _schedule(self, flow: FlowSpec) -> dict[str, int]:
        """The engine's arguments for a flow's schedule, none without one. The engine begins in the schedule's first
        round: whole periods of an offset are left out, and an offset behind the last entry counts from the next round
        on."""
        if flow.schedule is None or not self._planned[flow.id]:
            return {}
        count, period_ns = len(flow.schedule.table), flow.schedule.period_ns
        rounds, place = divmod(flow.first_entry, count)
        return {
            "first": self._table_first[id(flow.schedule)],
            "count": count,
            "next": place,
            "period_ns": period_ns,
            "offset_ns": flow.offset_ns - rounds * period_ns,
        }

    def _run(self) -> None:
        set_realtime(LINKS)
        try:
            self._engine.run(self._stop_reader.fileno())
        except OSError as error:
            self._error = error


def _prepare(opened: socket.socket, end: Endpoint) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:  # limited by net.core.rmem_max then
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    opened.bind((str(end.address), end.port))


_SO_RCVBUFFORCE = 33  # not in the socket module (asm-generic/socket.h)


def _format(flow: FlowSpec, ids: Mapping[str, int]) -> dict[str, int]:
    """The engine's arguments for the format of a flow's datagrams; ``ids``: RTP flows by name."""
    if isinstance(flow.format, RtpFormat):
        return {
            "format": FORMAT_RTP,
            "payload_type": flow.format.payload_type,
            "clock_hz": flow.format.clock_hz,
        }
    if isinstance(flow.format, RtcpFormat):
        return {"format": FORMAT_RTCP, "own": ids[flow.format.own], "peer": ids[flow.format.peer]}
    return {}


def _planned(flows: Sequence[FlowSpec]) -> Array:
    """Number of datagrams that each flow sends in all."""
    return np.array([flow.due_before(flow.stop_us) for flow in flows], np.int64)


def _percentile_us(histogram: Array, percent: float) -> float:
    """Upper limit (us) of the bin that contains a percentile."""
    total = np.cumsum(histogram)
    if not total[-1]:
        return 0.0
    return float((np.searchsorted(total, total[-1] * percent / 100) + 1) * LATENESS_STEP_NS / 1000)
