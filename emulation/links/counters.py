"""The link engine's counters, read from shared memory: numpy views of the structs of ``linkengine/stats.h``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from helsewan.emulation import _linkengine

STATS_LAYOUT = 5
QUEUES = 8
LATENESS_BINS = 160
CLASS_BINS = 88
CLASS_UNIT_NS = 1024

Records: TypeAlias = npt.NDArray[np.void]


def _words(*fields: str | tuple[str, int]) -> np.dtype[np.void]:
    """A struct of 64-bit words; a field with a number is an array."""
    return np.dtype([(field, "<u8") if isinstance(field, str) else (field[0], "<u8", (field[1],)) for field in fields])


ENGINE_DTYPE = _words(
    "layout",
    "ports",
    "pipes",
    "memory_bytes",
    "rounds",
    "rests",
    "longest_round_ns",
    "lateness_max_ns",
    "lateness_max_at_ns",
    "lateness_max_pipe",
    "classes",
    ("lateness", LATENESS_BINS),
    ("long_rounds", LATENESS_BINS),
)
PORT_DTYPE = _words(
    "frames_in",
    "bytes_in",
    "frames_out",
    "bytes_out",
    "drop_runt",
    "drop_vlan",
    "retired",
    "waiting",
    "rings_broken",
    ("reserved", 7),
)
PIPE_DTYPE = _words(
    "frames_in",
    "bytes_in",
    "frames_out",
    "bytes_out",
    ("class_record", QUEUES),
    "duplicated",
    "corrupted",
    "drop_mtu",
    "drop_loss",
    "drop_silent",
    "drop_down",
    "drop_memory",
    "drop_machine",
    "drop_dst_down",
    "queued_frames",
    "queued_bytes",
    "flight_frames",
    "lateness_max_ns",
    "lateness_max_at_ns",
    ("reserved", 6),
)
CLASS_DTYPE = _words(
    "frames_in",
    "bytes_in",
    "frames_sent",
    "bytes_sent",
    "drop_tail",
    "drop_buffer",
    "drop_red",
    "drop_codel",
    "queue_ns",
    "queue_max_ns",
    ("reserved", 6),
    ("queue_delay", CLASS_BINS),
    ("lateness", CLASS_BINS),
)
_built = (
    _linkengine.STATS_LAYOUT,
    _linkengine.ENGINE_STATS_BYTES,
    _linkengine.PORT_STATS_BYTES,
    _linkengine.PIPE_STATS_BYTES,
    _linkengine.CLASS_STATS_BYTES,
)
_mirrored = (ENGINE_DTYPE, PORT_DTYPE, PIPE_DTYPE, CLASS_DTYPE)
if _built != (STATS_LAYOUT, *(dtype.itemsize for dtype in _mirrored)):
    raise ImportError("the link engine was built from other sources: build it again (python setup.py build_ext -i)")


def counters_bytes(max_ports: int, max_pipes: int) -> int:
    """Size in bytes of the counters of ``max_ports`` ports and ``max_pipes`` pipes; only used records are touched."""
    pipe_bytes = PIPE_DTYPE.itemsize + QUEUES * CLASS_DTYPE.itemsize
    return ENGINE_DTYPE.itemsize + max_ports * PORT_DTYPE.itemsize + max_pipes * pipe_bytes


def bin_limits_ns(bins: int = LATENESS_BINS, unit_ns: int = 1) -> npt.NDArray[np.uint64]:
    """The upper limit (exclusive) of every bin of a histogram over times in ``unit_ns``: exact below 4 units, then
    four bins per octave. The last bin holds all longer times."""
    edges = np.arange(1, bins + 1, dtype=np.uint64)
    octave = np.maximum(edges >> np.uint64(2), np.uint64(1)) - np.uint64(1)
    units = np.where(edges < 4, edges, (np.uint64(4) + (edges & np.uint64(3))) << octave)
    limits: npt.NDArray[np.uint64] = units * np.uint64(unit_ns)
    return limits


CLASS_LIMITS_NS = bin_limits_ns(CLASS_BINS, CLASS_UNIT_NS)  # of a class's queue-delay and lateness histograms


def quantile_us(histogram: npt.ArrayLike, share: float, limits_ns: npt.NDArray[np.uint64] = CLASS_LIMITS_NS) -> float:
    """The upper limit of the bin below or in which ``share`` of the histogram lies, microseconds: at most a quarter
    (or one unit) above the true quantile; 0 for an empty histogram."""
    cumulative = np.cumsum(np.asarray(histogram))
    if not cumulative[-1]:
        return 0.0
    return float(limits_ns[np.searchsorted(cumulative, share * cumulative[-1])]) / 1000


@dataclass(frozen=True)
class Lateness:
    """How much later than due frames were delivered. Percentiles are upper limits of histogram bins
    (at most a quarter above the true value); ``max_at_ns`` is CLOCK_REALTIME, ``max_pipe`` where it was."""

    deliveries: int
    p50_us: float
    p99_us: float
    max_us: float
    max_at_ns: int
    max_pipe: int
    longest_round_us: float
    histogram: tuple[int, ...]

    def share_above(self, limit_us: float) -> float:
        """The share of deliveries whose bin lies wholly above ``limit_us``."""
        lower = np.concatenate(([0], bin_limits_ns()[:-1]))
        late = int(np.asarray(self.histogram)[lower >= limit_us * 1000].sum())
        return late / self.deliveries if self.deliveries else 0.0


@dataclass(frozen=True)
class Latest:
    """A copy of the counters from which the latest delivery of every pipe is derived."""

    max_ns: npt.NDArray[np.int64]  # by pipe: greatest lateness of all its deliveries so far
    class_record: npt.NDArray[np.int64]  # pipe x queue: numbers of class records, counted from 1
    histograms: npt.NDArray[np.int64]  # class record x bin

    @classmethod
    def of(cls, pipes: Records, classes: Records) -> Latest:
        """Copy from the live records ``pipes`` (PIPE_DTYPE) and ``classes`` (CLASS_DTYPE)."""
        record = pipes["class_record"].astype(np.int64)  # copied before the classes, so every number in it has a record
        found = cls(pipes["lateness_max_ns"].astype(np.int64), record, classes["lateness"].astype(np.int64))
        found.class_record[record > len(found.histograms)] = 0
        return found

    def since(self, before: Latest) -> npt.NDArray[np.int64]:
        """By pipe, the greatest lateness of a delivery since ``before``, ns: exact where it is the greatest so far,
        else the lower limit of its bin, at most a fifth below; 0 where nothing was delivered."""
        grown = self.histograms.copy()
        grown[: len(before.histograms)] -= before.histograms
        last = CLASS_BINS - 1 - np.argmax(grown[:, ::-1] > 0, axis=1)
        lower_ns = np.concatenate(([0], CLASS_LIMITS_NS[:-1])).astype(np.int64)
        of_class = np.concatenate(([0], np.where(grown.any(axis=1), lower_ns[last], 0)))  # 0: no record
        seen = of_class[self.class_record].max(axis=1)
        risen = self.max_ns.copy()
        risen[: len(before.max_ns)] *= self.max_ns[: len(before.max_ns)] > before.max_ns
        late_ns: npt.NDArray[np.int64] = np.maximum(seen, risen)
        return late_ns


class Counters:
    """Live views of the counters in ``memory``. The arrays change while the engine runs: copy to keep."""

    def __init__(self, memory: Any, max_ports: int, max_pipes: int) -> None:
        """``memory``: the engine's counters buffer, of ``counters_bytes(max_ports, max_pipes)``."""
        ports_at = ENGINE_DTYPE.itemsize
        pipes_at = ports_at + max_ports * PORT_DTYPE.itemsize
        self._engine: Records = np.frombuffer(memory, ENGINE_DTYPE, count=1)
        self._ports: Records = np.frombuffer(memory, PORT_DTYPE, count=max_ports, offset=ports_at)
        classes_at = pipes_at + max_pipes * PIPE_DTYPE.itemsize
        self._pipes: Records = np.frombuffer(memory, PIPE_DTYPE, count=max_pipes, offset=pipes_at)
        self._classes: Records = np.frombuffer(memory, CLASS_DTYPE, count=QUEUES * max_pipes, offset=classes_at)

    @property
    def engine(self) -> Records:
        """The engine's own record (ENGINE_DTYPE), an array of one."""
        return self._engine

    @property
    def ports(self) -> Records:
        """One record (PORT_DTYPE) per port, by number."""
        return self._ports[: int(self._engine["ports"][0])]

    @property
    def pipes(self) -> Records:
        """One record (PIPE_DTYPE) per pipe, by number."""
        return self._pipes[: int(self._engine["pipes"][0])]

    @property
    def classes(self) -> Records:
        """One record (CLASS_DTYPE) for each class of each pipe that received a frame, in order of the first frames.
        ``pipes["class_record"]`` has their numbers, counted from 1; 0 where there is none."""
        return self._classes[: int(self._engine["classes"][0])]

    def of_classes(self, pipe: int) -> dict[int, np.void]:
        """The records (CLASS_DTYPE) of a pipe's classes that received frames, by queue number."""
        numbers = self._pipes[pipe]["class_record"].tolist()
        return {queue: self._classes[number - 1] for queue, number in enumerate(numbers) if number}

    def lateness(self) -> Lateness:
        """The lateness of all deliveries so far."""
        record = self._engine[0]
        histogram = record["lateness"].copy()
        deliveries = int(histogram.sum())
        return Lateness(
            deliveries=deliveries,
            p50_us=quantile_us(histogram, 0.50, bin_limits_ns()),
            p99_us=quantile_us(histogram, 0.99, bin_limits_ns()),
            max_us=int(record["lateness_max_ns"]) / 1000,
            max_at_ns=int(record["lateness_max_at_ns"]),
            max_pipe=int(record["lateness_max_pipe"]),
            longest_round_us=int(record["longest_round_ns"]) / 1000,
            histogram=tuple(histogram.tolist()),
        )
