"""What emulates a line, behind one interface. Each backend says how exact its clock is and what it lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from decisions import Dice
from experiment import Experiment, Feature, Observation, Precision, Received
from loads import QUEUES, decode, encode, flipped_bits, queue_of_dscp
from reference import NS_PER_US, Cause, Change, Frame, Reference

from helsewan.emulation._linkengine import Engine
from helsewan.emulation.links.counters import Counters, counters_bytes
from helsewan.emulation.links.model_rows import QueueTable, model_row

FOREVER = 1 << 62
TC_TO_QUEUE = bytes(range(QUEUES))


class Backend(Protocol):
    """``lacks``: features it does not have, each with the reason. ``attempts``: how often a case is tried before it
    counts as failed, as what a busy machine did once is not what the line does."""

    name: str
    precision: Precision
    lacks: Mapping[Feature, str]
    attempts: int

    def run(self, experiment: Experiment) -> Observation: ...
    def close(self) -> None: ...


class ReferenceBackend:
    """The reference itself: that the table and the model agree with each other."""

    name = "reference"
    precision = Precision()
    lacks: Mapping[Feature, str] = {}
    attempts = 1

    def run(self, experiment: Experiment) -> Observation:
        """Play the experiment, chance by the reference's own dice."""
        line = Reference(experiment.model, Dice(experiment.seed))
        line.run(experiment.frames, experiment.changes, experiment.until_ns)
        return Observation(
            sent_ns=tuple(frame.time_ns for frame in experiment.frames),
            changed_ns=tuple(change.time_ns for change in experiment.changes),
            received=tuple(Received(one.due_ns, one.number, int(one.corrupted)) for one in line.deliveries),
            drops=Counter(line.drops.values()),
            inside=len(line.inside),
        )

    def close(self) -> None:
        """Nothing to close."""


class VirtualBackend:
    """The link engine's core in virtual time, through ``Engine.simulate``."""

    name = "virtual"
    precision = Precision()
    lacks: Mapping[Feature, str] = {}
    attempts = 1

    def __init__(self, prompt: bool = True) -> None:
        """Unless ``prompt``, the engine looks at its pipes only when it must."""
        self._prompt = prompt

    def run(self, experiment: Experiment) -> Observation:
        """Play the experiment in an engine of its own."""
        memory = np.zeros(counters_bytes(2, 1) // 8, np.uint64)
        engine, counters = Engine(memory, 2, 1, 1 << 28), Counters(memory, 2, 1)
        engine.configure(bytes(queue_of_dscp()), TC_TO_QUEUE, 0)
        ports = [engine.add_port(-1) for _ in range(2)]
        table = QueueTable()
        row = model_row(experiment.model, table)
        engine.add_pipes(table.rows, [(ports[0], 0, ports[1], 0, experiment.seed, row)])
        delivered = self._play(engine, experiment)
        record = counters.pipes[0]
        return Observation(
            sent_ns=tuple(frame.time_ns for frame in experiment.frames),
            changed_ns=tuple(change.time_ns for change in experiment.changes),
            received=tuple(received(time_ns, data, experiment.frames) for time_ns, _, data in delivered),
            drops=engine_drops(record, counters.of_classes(0)),
            inside=int(record["queued_frames"] + record["flight_frames"]),
        )

    def _play(self, engine: Engine, experiment: Experiment) -> list[tuple[int, int, bytes]]:
        arrivals = [(frame.time_ns, 0, encode(frame, number)) for number, frame in enumerate(experiment.frames)]
        delivered: list[tuple[int, int, bytes]] = []
        done = 0
        for change in experiment.changes:
            start = done
            while done < len(arrivals) and arrivals[done][0] < change.time_ns:
                done += 1
            delivered += engine.simulate(arrivals[start:done], change.time_ns, self._prompt)
            table = QueueTable()
            row = model_row(change.model, table)
            engine.set_pipes(table.rows, [(0, row, change.down, change.silent, change.frozen)], change.time_ns)
            self._follow(engine, change)
        until_ns = FOREVER if experiment.until_ns is None else experiment.until_ns
        return delivered + engine.simulate(arrivals[done:], until_ns, self._prompt)

    def _follow(self, engine: Engine, change: Change) -> None:
        if change.trace is None:
            engine.follow_trace([0], None, 0, False, False, False, change.time_ns)
        else:
            repeat_ns = (change.trace.repeat_us or 0) * NS_PER_US
            engine.follow_trace([0], change.trace.packed(), repeat_ns, *change.trace.columns, change.time_ns)

    def close(self) -> None:
        """Nothing to close."""


def received(time_ns: int, data: bytes, frames: tuple[Frame, ...]) -> Received:
    """What came out, compared with what was offered under its number."""
    number = decode(data)
    original = encode(frames[number], number) if number < len(frames) else b""
    return Received(time_ns, number, flipped_bits(data, original))


ENGINE_CAUSES = {
    Cause.MTU: "drop_mtu",
    Cause.DOWN: "drop_down",
    Cause.SILENT: "drop_silent",
    Cause.QUEUE: "drop_tail",
    Cause.BUFFER: "drop_buffer",
    Cause.RED: "drop_red",
    Cause.CODEL: "drop_codel",
    Cause.LOSS: "drop_loss",
}


def engine_drops(pipe: np.void, classes: Mapping[int, np.void]) -> dict[Cause, int]:
    """The drops that the link engine counted on a pipe and on its classes."""
    records = [pipe, *classes.values()]
    counts = {
        cause: sum(int(record[field]) for record in records if field in record.dtype.names)
        for cause, field in ENGINE_CAUSES.items()
    }
    return {cause: count for cause, count in counts.items() if count}
