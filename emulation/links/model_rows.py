"""The link model as rows of plain numbers, the link engine's input format (``linkengine/py_convert.c``).

Units change here: microseconds of delay become nanoseconds, weights become deficit-round-robin quanta in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helsewan.emulation.links.pipe_model import ClassQueue, CoDel, Distribution, Jitter, Loss, PipeModel, Red

FULL_FRAME_BYTES = 1664  # a core link's MTU of 1600 with Ethernet header, tag and link overhead
NS_PER_US = 1000
_DISTRIBUTIONS = (Distribution.UNIFORM, Distribution.NORMAL, Distribution.PARETO)  # in the order of jitter.h


class QueueTable:
    """The distinct lists of class queues of one request's models: ``rows``."""

    def __init__(self) -> None:
        self.rows: list[list[list[Any]]] = []
        self._number: dict[tuple[ClassQueue, ...], int] = {}
        self._seen: dict[int, int] = {}  # by identity: hashing the same tuple for thousands of pipes takes long

    def number(self, queues: tuple[ClassQueue, ...]) -> int:
        """The index of ``queues`` in ``rows``; the caller keeps the tuple alive."""
        number = self._seen.get(id(queues))
        if number is None:
            number = self._number.setdefault(queues, len(self.rows))
            if number == len(self.rows):
                self.rows.append(_queue_rows(queues))
            self._seen[id(queues)] = number
        return number


def model_row(model: PipeModel, table: QueueTable) -> tuple[Any, ...]:
    """The model's row; adds its queues to the table. Raises ValueError for invalid weights."""
    return (
        model.rate_bps,
        model.delay_us * NS_PER_US,
        table.number(model.queues),
        model.overhead_bytes,
        model.buffer_bytes,
        model.mtu_bytes,
        _jitter_row(model.jitter),
        _loss_row(model.loss),
        model.duplicate,
        model.corrupt,
    )


def quanta(strict: Sequence[bool], weights: Sequence[int]) -> list[int]:
    """Deficit-round-robin quanta in bytes, 0 for strict queues: proportional to the weights, with at least one full
    frame per round for the lowest weight (Shreedhar and Varghese, SIGCOMM 1995)."""
    weighted = [weight for weight, first in zip(weights, strict, strict=True) if not first]
    if weighted and min(weighted) < 1:
        raise ValueError(f"weights {list(weights)}: a weighted queue's weight is at least 1")
    return [
        0 if first else weight * FULL_FRAME_BYTES // min(weighted)
        for weight, first in zip(weights, strict, strict=True)
    ]


def _queue_rows(queues: tuple[ClassQueue, ...]) -> list[list[Any]]:
    shares = quanta([queue.strict for queue in queues], [queue.weight for queue in queues])
    return [
        [
            queue.limit_bytes,
            queue.limit_us,
            share,
            _red_row(queue.aqm) if isinstance(queue.aqm, Red) else None,
            _codel_row(queue.aqm) if isinstance(queue.aqm, CoDel) else None,
        ]
        for queue, share in zip(queues, shares, strict=True)
    ]


def _red_row(red: Red) -> list[Any]:
    return [red.weight_shift, [[curve.min_bytes, curve.max_bytes, curve.most] for curve in red.curves]]


def _codel_row(codel: CoDel) -> list[int]:
    return [codel.target_us * NS_PER_US, codel.interval_us * NS_PER_US]


def _jitter_row(jitter: Jitter | None) -> list[Any] | None:
    if jitter is None:
        return None
    return [jitter.spread_us * NS_PER_US, _DISTRIBUTIONS.index(jitter.distribution), jitter.reorder]


def _loss_row(loss: Loss | None) -> list[float] | None:
    return None if loss is None else [loss.p, loss.r, loss.good, loss.bad]
