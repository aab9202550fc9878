"""The flow engine's arrays as numpy types, which mirror the structs of ``lab/flows/flowengine/flowengine.h``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

RECORD = np.dtype(
    [
        ("tx_ns", "i8"),
        ("rx_ns", "i8"),
        ("flow", "u4"),
        ("seq", "u4"),
        ("receiver", "u4"),
        ("source", "u4"),  # IPv4 address as a number; 0 over IPv6
        ("bytes", "u2"),  # UDP payload
        ("tos", "u1"),
        ("timed", "u1"),  # 1: rx_ns is the kernel's timestamp
        ("reserved", "u4"),
    ]
)
SENDER = np.dtype(
    [
        ("sent", "u8"),
        ("unreachable", "u8"),  # ENETUNREACH, EHOSTUNREACH and the like
        ("refused", "u8"),  # ECONNREFUSED
        ("full", "u8"),  # EAGAIN, ENOBUFS
        ("failed", "u8"),  # any other error
        ("worst_late_ns", "i8"),
    ]
)
RECEIVER = np.dtype(
    [
        ("received", "u8"),
        ("invalid", "u8"),  # not of this run
        ("dropped", "u8"),  # the socket's buffer was full
        ("errors", "u8"),  # ICMP errors reported on it
    ]
)
SEND_ERRORS = ("unreachable", "refused", "full", "failed")


def due_so_far(senders: Array) -> Array:
    """Number of datagrams of each sender that were due: sent, or refused by the kernel."""
    return np.asarray(sum((senders[name] for name in SEND_ERRORS), start=senders["sent"]).astype(np.int64))
