"""Frames sent and received through rings that are shared with the kernel (packet_mmap, Linux).

Sending costs one system call a batch, and receiving none, so that the network under test gets the processor. Headers
are TPACKET_V2.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
import time
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from helsewan.emulation.sandbox.namespaces import Namespace

_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_VERSION, _PACKET_TX_RING, _PACKET_QDISC_BYPASS = 5, 10, 13, 20
_TPACKET_V2 = 1
_STATUS_USER = _STATUS_SEND_REQUEST = 1
_ETH_P_IP = 0x0800
_BLOCK_BYTES = 1 << 16
_RETRY_S = 0.0005
_PAUSE_S = 0.0001
_TX_DATA_AT = 32  # TPACKET2_HDRLEN without its sockaddr_ll
_HEADER = np.dtype(
    [("status", "<u4"), ("length", "<u4"), ("snap", "<u4"), ("mac", "<u2"), ("net", "<u2"), ("s", "<u4"), ("ns", "<u4")]
)
_RX_MAC_AT = 66  # where TPACKET_V2 puts a frame's first byte with SOCK_RAW: constant, checked on receipt


class _Ring:
    """A packet socket on an interface, and the slots that it shares with the kernel."""

    def __init__(self, namespace: Namespace, interface: str, protocol: int, ring: int, slots: int, bytes_: int) -> None:
        self.slots, self._slot_bytes = slots, bytes_
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
        blocks = slots * bytes_ // _BLOCK_BYTES
        self.socket.setsockopt(_SOL_PACKET, ring, struct.pack("4I", _BLOCK_BYTES, blocks, bytes_, slots))
        self._memory = mmap.mmap(self.socket.fileno(), slots * bytes_)
        self.headers = np.ndarray(slots, _HEADER, self._memory, strides=(bytes_,))
        self.socket.bind((interface, protocol))

    def octets(self, at: int, count: int) -> npt.NDArray[np.uint8]:
        """``count`` bytes from offset ``at`` of every slot, one row each."""
        octets: npt.NDArray[np.uint8] = np.ndarray(
            (self.slots, count), np.uint8, self._memory, at, (self._slot_bytes, 1)
        )
        return octets


class Source(_Ring):
    """Sends one frame repeatedly; its bytes ``number_at`` to +4 count up from 0 (big-endian)."""

    SLOTS = 512

    def __init__(self, namespace: Namespace, interface: str, frame: bytes, number_at: int | None = None) -> None:
        super().__init__(namespace, interface, 0, _PACKET_TX_RING, self.SLOTS, 2048)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        self.headers["length"] = len(frame)
        self.octets(_TX_DATA_AT, len(frame))[:] = np.frombuffer(frame, np.uint8)
        self._numbers = None if number_at is None else self.octets(_TX_DATA_AT + number_at, 4)
        self.sent = 0

    def send(self, count: int) -> None:
        """Send ``count`` frames (at most SLOTS)."""
        numbers = np.arange(self.sent, self.sent + count, dtype=np.uint32)
        slots = numbers % self.SLOTS
        if self._numbers is not None:
            self._numbers[slots] = numbers.astype(">u4").view(np.uint8).reshape(count, 4)
        self.headers["status"][slots] = _STATUS_SEND_REQUEST
        while not self._flush():
            time.sleep(_RETRY_S)
        self.sent += count

    def _flush(self) -> bool:
        """Make the kernel send the marked slots; False if the interface's queue is full."""
        try:
            self.socket.send(b"")
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return False
        return True

    def send_windowed(self, seconds: float, taken: Callable[[], int], window: int) -> None:
        """Send for ``seconds`` as fast as frames are ``taken()``, never more than ``window`` frames ahead."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            free = window - (self.sent - taken())
            if free >= window // 4:
                self.send(min(free, self.SLOTS))
            else:
                time.sleep(_PAUSE_S)

    def send_paced(self, seconds: float, frames_per_s: float, most: int = SLOTS, pause_s: float = _PAUSE_S) -> None:
        """Send at a constant rate, in bursts as small as the clock allows; late frames are sent up to ``most`` at a
        time."""
        start, before = time.monotonic(), self.sent
        while (elapsed := time.monotonic() - start) < seconds:
            due = int(elapsed * frames_per_s) - (self.sent - before)
            if due > 0:
                self.send(min(due, most))
            time.sleep(pause_s)


class Sink(_Ring):
    """Keeps the arrival time and the first bytes of every IPv4 frame that arrives on an interface, up to
    ``slots``."""

    SLOT_BYTES = 256

    def __init__(self, namespace: Namespace, interface: str, slots: int) -> None:
        per_block = _BLOCK_BYTES // self.SLOT_BYTES
        slots = -(-slots // per_block) * per_block
        super().__init__(namespace, interface, _ETH_P_IP, _PACKET_RX_RING, slots, self.SLOT_BYTES)

    @cached_property
    def count(self) -> int:
        """Frames that had arrived when this was first read; the other methods return only these."""
        return int(np.count_nonzero(self.headers["status"] & _STATUS_USER))

    def times_ns(self) -> npt.NDArray[np.int64]:
        """Arrival time of each (CLOCK_REALTIME)."""
        arrived = self.headers[: self.count]
        times_ns: npt.NDArray[np.int64] = arrived["s"].astype(np.int64) * 1_000_000_000 + arrived["ns"]
        return times_ns

    def bytes(self, at: int, count: int) -> npt.NDArray[np.uint8]:
        """Bytes ``at`` to ``at + count`` of each frame, one row each."""
        arrived = self.count
        assert (self.headers["mac"][:arrived] == _RX_MAC_AT).all()
        return self.octets(_RX_MAC_AT + at, count)[:arrived]
