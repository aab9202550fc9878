"""A second link engine, in Python and in exact fractions, to compare the C one with; and helpers around both."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

import numpy as np

from emulation._linkengine import Engine
from emulation.counters import Counters, counters_bytes

NS_PER_S = 1_000_000_000
FOREVER = 1 << 62
PORTS, PIPES = 64, 64
LINE_FREE, ARRIVAL = 0, 1  # what happens at one moment happens in this order


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
    def queues(self) -> list[tuple[int, None, int]]:
        """The queues' rows for the engine."""
        return [(limit, None, quantum) for limit, quantum in zip(self.limits, self.quanta, strict=True)]

    @property
    def row(self) -> tuple[object, ...]:
        """The model's row for the engine, with its queues as number 0."""
        return (self.rate_bps, self.delay_ns, self.overhead_bytes, 0, (0.0, 1.0, self.loss, 1.0))


@dataclass
class Model:
    """One line, event by event: what leaves it when, and what each queue dropped."""

    line: Line
    queues: list[deque[bytes]] = field(init=False)
    drops: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.queues = [deque() for _ in self.line.quanta]
        self.drops = [0] * len(self.queues)
        self._deficit = [0] * len(self.queues)
        self._turn = 0

    def run(self, arrivals: Sequence[tuple[int, int, bytes]]) -> list[tuple[int, bytes]]:
        """Deliveries (due_ns, frame) of arrivals (time_ns, queue, frame)."""
        events: list[tuple[Fraction, int, int]] = [
            (Fraction(time), ARRIVAL, number) for number, (time, _, _) in enumerate(arrivals)
        ]
        heapq.heapify(events)
        delivered: list[tuple[int, bytes]] = []
        busy = False

        def send(frame: bytes, start: Fraction) -> None:
            end = start + Fraction(self._cost(frame) * 8 * NS_PER_S, self.line.rate_bps)
            delivered.append((ceil(end) + self.line.delay_ns, frame))
            heapq.heappush(events, (end, LINE_FREE, -1))

        while events:
            now, kind, number = heapq.heappop(events)
            if kind == LINE_FREE:
                busy = any(self.queues)
                if busy:
                    send(self._pick(), now)
                continue
            _, queue, frame = arrivals[number]
            if not busy:
                busy = True
                self.queues[queue].append(frame)
                send(self._pick(), now)
            elif sum(map(len, self.queues[queue])) + len(frame) > self.line.limits[queue]:
                self.drops[queue] += 1
            else:
                self.queues[queue].append(frame)
        return delivered

    def _cost(self, frame: bytes) -> int:
        return len(frame) + self.line.overhead_bytes

    def _pick(self) -> bytes:
        for queue, quantum in zip(self.queues, self.line.quanta, strict=True):
            if not quantum and queue:
                return queue.popleft()
        while True:
            queue = self.queues[self._turn]
            if queue and self._cost(queue[0]) <= self._deficit[self._turn]:
                frame = queue.popleft()
                self._deficit[self._turn] = self._deficit[self._turn] - self._cost(frame) if queue else 0
                return frame
            self._turn = (self._turn + 1) % len(self.queues)
            if self.queues[self._turn]:
                self._deficit[self._turn] += self.line.quanta[self._turn]


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

    def change(self, at_ns: int, *pipes: int, line: Line | None = None, down: bool | None = None) -> None:
        """Have pipes (pipe 0 if none is given) become another line, or go down or up."""
        lists, row = ([line.queues], line.row) if line else ([], None)
        self.engine.set_pipes(lists, [(pipe, row, down, None, None) for pipe in pipes or (0,)], at_ns)

    def drops(self, pipe: int = 0) -> dict[str, int]:
        """The pipe's drop counters that are not zero."""
        record = self.counters.pipes[pipe]
        return {
            name: int(record[name].sum())
            for name in record.dtype.names
            if name.startswith("drop_") and record[name].any()
        }


def ipv4(length: int, dscp: int = 0, mark: int = 0) -> bytes:
    """An Ethernet frame of ``length`` bytes with an IPv4 header's first bytes and a ``mark`` to tell it by."""
    head = bytes(12) + b"\x08\x00" + bytes([0x45, dscp << 2])
    return (head + mark.to_bytes(4, "big")).ljust(length, b"\x00")[:length]


def plain_line(
    rate_bps: int = 10_000_000, delay_ns: int = 0, overhead_bytes: int = 0, limit: int = 1 << 30, loss: float = 0.0
) -> Line:
    """A line with one queue."""
    return Line(rate_bps, delay_ns, overhead_bytes, (limit,), (0,), loss)
