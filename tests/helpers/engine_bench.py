"""The link engine in virtual time, and frames for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helsewan.emulation._linkengine import Engine
from helsewan.emulation.links.counters import QUEUES, Counters, counters_bytes
from helsewan.emulation.links.model_rows import QueueTable, model_row
from helsewan.emulation.links.pipe_model import PipeModel

FOREVER = 1 << 62
PORTS, PIPES = 64, 64


@dataclass(frozen=True)
class Line:
    """What the model knows of a pipe; a quantum of 0 is a strict queue."""

    rate_bps: int
    delay_ns: int
    overhead_bytes: int
    limits: tuple[int, ...]
    quanta: tuple[int, ...]
    loss: float = 0.0

    @property
    def queues(self) -> list[tuple[int, None, int, None, None]]:
        """The queues' rows for the engine."""
        return [(limit, None, quantum, None, None) for limit, quantum in zip(self.limits, self.quanta, strict=True)]

    @property
    def row(self) -> tuple[object, ...]:
        """The model's row for the engine, with its queues as number 0."""
        loss = (0.0, 1.0, self.loss, 1.0)
        return (self.rate_bps, self.delay_ns, 0, self.overhead_bytes, None, None, None, loss, 0.0, 0.0)


class Bench:
    """A C engine with counters, for virtual time: port 0 is where frames come from."""

    def __init__(self, ports: int = 2, memory_bytes: int = 1 << 26) -> None:
        memory = np.zeros(counters_bytes(PORTS, PIPES) // 8, np.uint64)
        self.engine = Engine(memory, PORTS, PIPES, memory_bytes)
        self.counters = Counters(memory, PORTS, PIPES)
        for _ in range(ports):
            self.engine.add_port(-1)

    def configure(self, count: int) -> None:
        """Let the DSCP's three lowest bits name one of ``count`` queues, and the MPLS class; the rest goes to 0."""
        dscp = bytes(value & 7 if value & 7 < count else 0 for value in range(64))
        self.engine.configure(dscp, dscp[:8], 0)

    def add(self, line: Line, src: tuple[int, int] = (0, 0), dst: tuple[int, int] = (1, 0), seed: int = 0) -> int:
        """Add a pipe between (port, VLAN) ends."""
        return self.engine.add_pipes([line.queues], [(*src, *dst, seed, line.row)])[0]

    def change(
        self,
        at_ns: int,
        *pipes: int,
        line: Line | None = None,
        model: PipeModel | None = None,
        down: bool | None = None,
        blackhole: bool | None = None,
        paused: bool | None = None,
    ) -> None:
        """Have pipes (pipe 0 if none is given) become another line, or go down, become black holes or be paused."""
        table = QueueTable()
        lists, row = ([line.queues], line.row) if line else (table.rows, model and model_row(model, table))
        self.engine.set_pipes(lists, [(pipe, row, down, blackhole, paused) for pipe in pipes or (0,)], at_ns)

    def lay(self, model: PipeModel, seed: int = 0) -> int:
        """Add a pipe from port 0 to port 1."""
        table = QueueTable()
        row = model_row(model, table)
        return self.engine.add_pipes(table.rows, [(0, 0, 1, 0, seed, row)])[0]

    def run(self, arrivals: Sequence[tuple[int, bytes]], until_ns: int = FOREVER) -> list[tuple[int, bytes]]:
        """Deliveries of frames that arrive at port 0."""
        delivered = self.engine.simulate([(time, 0, frame) for time, frame in arrivals], until_ns)
        return [(due, frame) for due, _, frame in delivered]

    def drops(self, pipe: int = 0) -> dict[str, int]:
        """The drop counters of the pipe and, summed, of its classes, without those that are zero."""
        records = [self.counters.pipes[pipe], *self.counters.of_classes(pipe).values()]
        counts = Counter[str]()
        for record in records:
            counts.update({name: int(record[name]) for name in record.dtype.names if name.startswith("drop_")})
        return {name: count for name, count in counts.items() if count}

    def class_counts(self, name: str, pipe: int = 0) -> list[int]:
        """A counter of the pipe's classes, by queue number."""
        records = self.counters.of_classes(pipe)
        return [int(records[queue][name]) if queue in records else 0 for queue in range(QUEUES)]


def ipv4(length: int, dscp: int = 0, mark: int = 0) -> bytes:
    """An Ethernet frame of ``length`` bytes with an IPv4 header's first bytes and a ``mark`` to tell it by."""
    head = bytes(12) + b"\x08\x00" + bytes([0x45, dscp << 2])
    return (head + mark.to_bytes(4, "big")).ljust(length, b"\x00")[:length]


def plain_line(
    rate_bps: int = 10_000_000, delay_ns: int = 0, overhead_bytes: int = 0, limit: int = 1 << 30, loss: float = 0.0
) -> Line:
    """A line with one queue."""
    return Line(rate_bps, delay_ns, overhead_bytes, (limit,), (0,), loss)


def mark_of(frame: bytes) -> int:
    """The mark of a frame of ``ipv4``."""
    return int.from_bytes(frame[16:20], "big")
