"""The records of a replay, one for each packet sent, in a file that a process fills and others read afterwards.

The file is a numpy array of ``RECORD`` without a header. It is mapped, and what has been filled is not kept in memory.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

import numpy as np

from helsewan.common.ownership import create_file
from helsewan.lab.flows.records import Array

RECORD = np.dtype(
    [
        ("sent_ns", "i8"),  # CLOCK_REALTIME
        ("received_ns", "i8"),  # where it came out, the kernel's timestamp; 0: it did not
        ("flow", "u4"),  # ReplayFlow.id
        ("number", "u4"),  # of the captured packet in its file
        ("loop", "u4"),  # from 0
        ("duplicates", "u4"),  # arrivals beyond the first
    ]
)
_ROW = struct.Struct("=qqIIII")
_TIME, _COUNT = struct.Struct("=q"), struct.Struct("=I")
_RECEIVED_AT, _DUPLICATES_AT = 8, 28
_GROWTH = 1 << 18  # records: 8 MB
_KEPT_RECORDS = 1 << 20  # newer ones stay in memory: their packets may be under way


class RecordFile:
    """A file of records that grows. Raises OSError where it cannot be created, or not grow."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        os.close(create_file(path))
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.posix_fallocate(self._fd, 0, _GROWTH * _ROW.size)
            self._memory = mmap.mmap(self._fd, 0)
        except OSError:
            os.close(self._fd)
            raise

    def append(self, sent_ns: int, flow: int, number: int, loop: int) -> int:
        """Add the record of a packet sent; returns its index."""
        index = self.count
        if index and index % _GROWTH == 0:
            self._grow()
        _ROW.pack_into(self._memory, index * _ROW.size, sent_ns, 0, flow, number, loop, 0)
        self.count = index + 1
        return index

    def received(self, index: int, time_ns: int) -> None:
        """Record an arrival of packet ``index``."""
        at = index * _ROW.size
        if _TIME.unpack_from(self._memory, at + _RECEIVED_AT)[0]:
            (already,) = _COUNT.unpack_from(self._memory, at + _DUPLICATES_AT)
            _COUNT.pack_into(self._memory, at + _DUPLICATES_AT, already + 1)
        else:
            _TIME.pack_into(self._memory, at + _RECEIVED_AT, time_ns)

    def close(self) -> None:
        """Cut the file after the last record, and close it."""
        self._memory.close()
        os.ftruncate(self._fd, self.count * _ROW.size)
        os.close(self._fd)

    def _grow(self) -> None:
        size = (self.count + _GROWTH) * _ROW.size
        os.posix_fallocate(self._fd, 0, size)
        self._memory.resize(size)
        old = max(self.count - _KEPT_RECORDS, 0) * _ROW.size // mmap.PAGESIZE * mmap.PAGESIZE
        if old:
            self._memory.madvise(mmap.MADV_DONTNEED, 0, old)  # stays in the file


def read_records(path: Path) -> Array:
    """The records in a file, mapped."""
    if not path.exists() or not path.stat().st_size:
        return np.zeros(0, RECORD)
    return np.memmap(path, RECORD, "r")
