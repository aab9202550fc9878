"""The flow engine (C, ``lab/flows/flowengine``)."""

from typing import Any

from numpy.typing import NDArray

HEADER_BYTES: int
RTP_BYTES: int
RTCP_BYTES: int
FORMAT_PLAIN: int
FORMAT_RTP: int
FORMAT_RTCP: int
LATENESS_STEP_NS: int

class Engine:
    """UDP senders, paced or on a schedule, and recording receivers in one loop, outside the GIL.

    The arrays are the engine's memory: records (40-byte items), senders (48), receivers (32) and
    lateness (u64 histogram, ``LATENESS_STEP_NS`` a bucket, the last one open) may be read while it runs.
    Their lengths bound what it takes. ``table``: the entries of all schedules (``schedule.ENTRY``), read while it runs.
    Datagrams of another ``cookie`` are counted as invalid.
    Sockets are borrowed and must stay open. Raises ``ValueError`` for arrays or values that do not fit,
    ``OSError`` for what the kernel refuses (``ENOSPC``: an array is full) and ``RuntimeError`` for
    changes while it runs.
    """

    def __init__(
        self,
        records: NDArray[Any],
        senders: NDArray[Any],
        receivers: NDArray[Any],
        lateness: NDArray[Any],
        *,
        cookie: int = 0,
        table: NDArray[Any] | None = None,
    ) -> None: ...
    def add_sender(
        self,
        fd: int,
        flow: int,
        address: str,
        port: int,
        start_ns: int,
        stop_ns: int,
        interval_ns: int,
        burst: int,
        payload_bytes: int,
        tos: int = 0,
        *,
        first: int = 0,
        count: int = 0,
        next: int = 0,
        period_ns: int = 0,
        offset_ns: int = 0,
        format: int = 0,
        payload_type: int = 0,
        clock_hz: int = 0,
        own: int = 0xFFFFFFFF,
        peer: int = 0xFFFFFFFF,
    ) -> int:
        """Send ``burst`` datagrams at ``start_ns`` (CLOCK_REALTIME) and every ``interval_ns`` until before
        ``stop_ns``; returns the sender's index in ``senders``. What is late is sent, and counted as late.

        With ``count`` above 0, one datagram at each of so many entries of the table from ``first`` on instead, counted
        from ``offset_ns`` before the start and beginning with the entry ``next`` of them; once, or again every
        ``period_ns`` if that is above 0. ``format`` is one of ``FORMAT_…``: RTP takes ``payload_type`` and
        ``clock_hz``, RTCP the indices of the senders of the RTP streams reported on, ``own`` and ``peer``. Reports of
        reception need RTP senders whose ``flow`` is their index."""

    def add_receiver(self, fd: int, receiver_id: int) -> int:
        """Record what arrives at a UDP socket; returns the receiver's index in ``receivers``."""

    def run(self, control_fd: int) -> None:
        """Send and receive until ``control_fd`` is readable. May be called again to go on."""

    @property
    def recorded(self) -> int:
        """Records in use; those are complete."""

    @property
    def unrecorded(self) -> int:
        """Valid datagrams that were not recorded because ``records`` was full."""

    @property
    def clock_step_ns(self) -> int:
        """How far CLOCK_REALTIME was stepped against CLOCK_MONOTONIC since the first ``run``."""
