"""Ends of links that are rings in shared memory, without a switch: a source and a sink work them from the device's side
(`ring_traffic.c`), so that a frame costs no system call at either end."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from helsewan.emulation._linkengine import vring_layout
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import End

ENTRIES = 1024
TO_ENGINE, FROM_ENGINE = 0, 1  # a port's rings
PAUSE_NS = 100_000  # between two rounds of source and sink: about the interval of the engine under load


class _Ring(ctypes.Structure):
    """``struct ring``."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("desc", ctypes.c_uint64),
        ("avail", ctypes.c_uint64),
        ("used", ctypes.c_uint64),
        ("entries", ctypes.c_uint16),
        ("taken", ctypes.c_uint16),
    )


class _Outcome(ctypes.Structure):
    """``struct outcome``."""

    _fields_ = (
        ("sent", ctypes.c_uint64),
        ("arrived", ctypes.c_uint64),
        ("wrong", ctypes.c_uint64),
        ("took_ns", ctypes.c_int64),
    )


class Sent(NamedTuple):
    """How many frames were sent and arrived, and how long sending took, s."""

    sent: int
    arrived: int
    seconds: float


class RingEnd:
    """A port of the engine, and its device."""

    def __init__(self) -> None:
        size, *self._places = vring_layout(ENTRIES)
        self.memory = os.memfd_create("ring-end", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, size)
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._mapping = mmap.mmap(self.memory, size)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._mapping))

    def ring(self, number: int) -> _Ring:
        """One of its rings, as after a reset."""
        return _Ring(self._address, *self._places[number], ENTRIES, 0)


class RingBackend(EngineBackend):
    """Links that may end in a `RingEnd`."""

    def ring_end(self) -> tuple[End, RingEnd]:
        """A new end, whose rings the engine works from now on."""
        made = RingEnd()
        (number,) = self.engine.add_rings([made.memory], ENTRIES)
        self.engine.set_rings([number], True)
        self._numbers.append(number)
        return End(len(self._numbers) - 1), made


class RingTraffic:
    """A source at one end and a sink at another."""

    def __init__(self, source: RingEnd, sink: RingEnd, call: int, frame: bytes, folder: Path) -> None:
        """``call``: the engine's descriptor to be told by. The program is compiled into ``folder``; raises
        CalledProcessError where there is no compiler."""
        self._run = _compiled(folder).run_traffic
        self._frame, self._call = frame, call
        self._ends = source, sink  # whose memory the program works on
        self._source, self._sink = source.ring(TO_ENGINE), sink.ring(FROM_ENGINE)

    def send_paced(self, seconds: float, frames_per_s: float, settle_s: float) -> Sent:
        """Send at a constant rate, and count what arrives until ``settle_s`` after that. Raises RuntimeError if a frame
        has arrived with another length. Other threads run meanwhile."""
        found = _Outcome()
        times_ns: Sequence[Any] = [ctypes.c_int64(round(s * 1e9)) for s in (seconds, settle_s)]
        ends = ctypes.byref(self._source), ctypes.byref(self._sink), ctypes.c_int(self._call)
        what = ctypes.c_char_p(self._frame), ctypes.c_uint32(len(self._frame)), ctypes.c_double(frames_per_s)
        self._run(*ends, *what, *times_ns, ctypes.c_int64(PAUSE_NS), ctypes.byref(found))
        if found.wrong:
            raise RuntimeError(f"{found.wrong} frames arrived with another length")
        return Sent(found.sent, found.arrived, found.took_ns / 1e9)


def _compiled(folder: Path) -> ctypes.CDLL:
    library = folder / "ring_traffic.so"
    source = Path(__file__).with_suffix("").with_name("ring_traffic.c")
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return ctypes.CDLL(str(library))
