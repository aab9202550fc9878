"""Captures of links to pcapng files, started and stopped while the network runs.

A frame is captured when it leaves the link, without the far trunk's tag, with its delivery time (CLOCK_REALTIME) as
timestamp; frames that the link dropped or lost are not captured. The engine copies frames into a ring in shared memory
(``linkengine/capture.h``) and never waits: frames for which the ring has no room are counted as missed, in an Interface
Statistics Block at the end of the file. A thread of this module writes the ring to the file.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import stat
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from helsewan.common.files import open_output
from helsewan.emulation.links import pcapng
from helsewan.emulation.links.engine import EngineError, EngineProcess

SNAP_BYTES = 262_144  # longer than any frame; tcpdump's default
RING_BYTES = 16 << 20  # 0.1 s of 1 Gbit/s
_RING_AT = 4096  # the rest mirrors struct capture_ring; places in 64-bit words
_HEAD, _FRAMES, _MISSED, _TAIL = 0, 1, 3, 8
_PERIOD_S = 0.02


@dataclass(frozen=True, slots=True)
class Captured:
    """Frame counts of one interface since the capture began: copied, and missed because the ring had no room."""

    frames: int
    missed: int


class Ring:
    """The reader's side of the shared memory that an engine copies frames into."""

    def __init__(self, size: int = RING_BYTES) -> None:
        """``size`` in bytes; a frame occupies its length plus 32 to 35 bytes."""
        self.fd = os.memfd_create("link-capture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.posix_fallocate(self.fd, 0, _RING_AT + size)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # the engine relies on the size
            self._memory = mmap.mmap(self.fd, _RING_AT + size)
        except OSError:
            os.close(self.fd)
            raise
        self._size = size
        self._words = memoryview(self._memory)[:_RING_AT].cast("Q")
        self._bytes = memoryview(self._memory)[_RING_AT:]

    def waiting(self) -> list[memoryview]:
        """The bytes written and not yet released: whole blocks, in one or two pieces."""
        tail, head = self._words[_TAIL], self._words[_HEAD]
        start, length = tail % self._size, head - tail
        first = self._bytes[start : start + length]
        return [first, self._bytes[: length - len(first)]]

    def take(self, length: int) -> None:
        """Release the oldest ``length`` bytes."""
        self._words[_TAIL] += length

    def captured(self, interface: int) -> Captured:
        """The count of one interface so far."""
        return Captured(self._words[_FRAMES + interface], self._words[_MISSED + interface])

    def close(self) -> None:
        """Unmap and close the shared memory."""
        self._words.release()
        self._bytes.release()
        self._memory.close()
        os.close(self.fd)


class Capture:
    """A capture that runs from construction to ``stop()``, or until the file cannot be written: then ``failure`` is
    the reason in one line, and the network keeps running."""

    def __init__(
        self,
        engine: EngineProcess,
        interfaces: Sequence[tuple[str, int]],
        file: Path,
        snap_bytes: int = SNAP_BYTES,
        ring_bytes: int = RING_BYTES,
    ) -> None:
        """Capture (name, pipe) of each of ``interfaces``, one or two, to ``file`` (mode 0600, overwritten).

        Raises OSError if the file cannot be created, EngineError if a pipe is already being captured."""
        self.file, self.failure = file, None  # type: Path, str | None
        self._engine = engine
        self._pipes = [pipe for _, pipe in interfaces]
        self._counts: list[Captured] = []
        self._began_ns = time.time_ns()
        self._stopping = threading.Event()
        self._written = 0
        self._fd = open_output(file)
        try:
            self._ring = Ring(ring_bytes)
        except OSError:
            os.close(self._fd)
            raise
        try:
            engine.start_capture(self._pipes, self._ring.fd, snap_bytes)
        except EngineError:  # what the file contained is still there
            self._ring.close()
            os.close(self._fd)
            raise
        try:
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, 0)
                os.fchmod(self._fd, 0o600)  # also if the file existed before
            head = [pcapng.interface(name, snap_bytes) for name, _ in interfaces]
            self._write(b"".join([pcapng.section_header("helsewan"), *head]))
        except OSError:
            self._release()
            self._ring.close()
            os.close(self._fd)
            raise
        self._thread = threading.Thread(target=self._pump, name=f"capture {file}", daemon=True)
        self._thread.start()

    def stop(self) -> list[Captured]:
        """End the capture and complete the file; returns the counts by interface. Idempotent."""
        self._stopping.set()
        self._thread.join()
        return self._counts

    def _pump(self) -> None:
        """Write blocks until stopped or until a write fails, then complete the file."""
        try:
            while not self._stopping.wait(_PERIOD_S):
                self._drain()
            self._release()
            self._drain()
            self._write(self._statistics())
        except OSError as error:
            self.failure = f"{self.file}: the capture ended: {error.strerror}"
            self._release()
            with suppress(OSError):
                os.ftruncate(self._fd, self._written)  # to the last whole block
        finally:
            self._counts = [self._ring.captured(number) for number in range(len(self._pipes))]
            self._ring.close()
            os.close(self._fd)

    def _release(self) -> None:
        """Stop the engine's copying; nothing to do if the engine has ended."""
        with suppress(EngineError):
            self._engine.stop_capture(self._pipes)

    def _drain(self) -> None:
        pieces = self._ring.waiting()
        self._write(*pieces)
        self._ring.take(sum(map(len, pieces)))

    def _statistics(self) -> bytes:
        counts = [self._ring.captured(number) for number in range(len(self._pipes))]
        now_ns = time.time_ns()
        return b"".join(
            pcapng.statistics(number, self._began_ns, now_ns, count.frames, count.missed)
            for number, count in enumerate(counts)
        )

    def _write(self, *pieces: bytes | memoryview) -> None:
        """Write all of the pieces, which are whole blocks. Raises OSError."""
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        self._written += sum(map(len, pieces))
