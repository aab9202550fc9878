"""The link model as rows of plain numbers, which is how the link engine takes it (``linkengine/rows.c``).

Units change here: microseconds of delay become nanoseconds, weights become deficit-round-robin quanta in bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulation.pipe_model import ClassQueue, Loss, PipeModel

FULL_FRAME_BYTES = 1664  # a core link's MTU of 1600 with Ethernet header, tag and line overhead


class QueueTable:
    """The class queues that models of one request have, each list of them once: ``rows``."""

    def __init__(self) -> None:
        self.rows: list[list[list[Any]]] = []
        self._number: dict[tuple[ClassQueue, ...], int] = {}
        self._seen: dict[int, int] = {}  # by identity: hashing the same tuple for thousands of pipes takes long

    def number(self, queues: tuple[ClassQueue, ...]) -> int:
        """The number of ``queues`` among the rows; the caller keeps the tuple alive."""
        number = self._seen.get(id(queues))
        if number is None:
            number = self._number.setdefault(queues, len(self.rows))
            if number == len(self.rows):
                self.rows.append(_queue_rows(queues))
            self._seen[id(queues)] = number
        return number


def model_row(model: PipeModel, table: QueueTable) -> tuple[Any, ...]:
    """The model's row, with its queues in the table."""
    if (model.buffer_bytes, model.mtu_bytes, model.jitter) != (None, None, None) or model.duplicate or model.corrupt:
        raise ValueError("the link engine does not yet do shared buffers, MTU, jitter, duplicates and corruption")
    return (
        model.rate_bps,
        model.delay_us * 1000,
        model.overhead_bytes,
        table.number(model.queues),
        _loss_row(model.loss),
    )


def quanta(strict: Sequence[bool], weights: Sequence[int]) -> list[int]:
    """Deficit-round-robin quanta in bytes, 0 for strict queues: in proportion to the weights, and such that the
    lightest weighted queue may send a full frame in every turn (Shreedhar and Varghese, SIGCOMM 1995)."""
    weighted = [weight for weight, first in zip(weights, strict, strict=True) if not first]
    if weighted and min(weighted) < 1:
        raise ValueError(f"weights {list(weights)}: a weighted queue's weight is at least 1")
    return [
        0 if first else weight * FULL_FRAME_BYTES // min(weighted)
        for weight, first in zip(weights, strict, strict=True)
    ]


def _queue_rows(queues: tuple[ClassQueue, ...]) -> list[list[Any]]:
    if any(queue.aqm for queue in queues):
        raise ValueError("the link engine does not yet do active queue management")
    shares = quanta([queue.strict for queue in queues], [queue.weight for queue in queues])
    return [[queue.limit_bytes, queue.limit_us, share] for queue, share in zip(queues, shares, strict=True)]


def _loss_row(loss: Loss | None) -> list[float] | None:
    return None if loss is None else [loss.p, loss.r, loss.good, loss.bad]
