"""``samples.parquet``: one row for each datagram of a run, in the order of flows and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from helsewan.lab.flows.flowspec import Endpoint, Expect, FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.arrivals import Batch, batches
from helsewan.scenarios.results.datagrams.schedules import Schedules
from helsewan.scenarios.results.files.parquet import Column, ParquetFile, schema_of

SAMPLES = "samples.parquet"


class Outcome(str, Enum):
    """What became of a datagram; the order is that of the codes in the file."""

    DELIVERED = "delivered"  # arrived at its socket
    LOST = "lost"  # never arrived
    DUPLICATE = "duplicate"  # a further arrival at its socket
    MISDELIVERED = "misdelivered"  # an arrival at another socket
    DENIED = "denied"  # never arrived, as the policy wants it
    LEAKED = "leaked"  # an arrival anywhere although the policy denies it


_CODES = {outcome: np.int8(code) for code, outcome in enumerate(Outcome)}
_NAMES = pa.array([outcome.value for outcome in Outcome])
COLUMNS = (
    Column("flow", pa.uint32(), "the flow's id, as in figures.parquet", "DELTA_BINARY_PACKED"),
    Column("seq", pa.uint32(), "the datagram's number in its flow, from 0", "DELTA_BINARY_PACKED"),
    Column("due_ns", pa.int64(), "when it was due, ns from the run's start", "DELTA_BINARY_PACKED"),
    Column("outcome", pa.dictionary(pa.int8(), pa.string()), "what became of it: docs/scenarios/results.md"),
    Column(
        "sent_ns",
        pa.int64(),
        "when it was sent, ns from the run's start; null: it never arrived, and only arrivals tell",
        "DELTA_BINARY_PACKED",
        nullable=True,
    ),
    Column("delay_ns", pa.int64(), "its one-way delay, ns; null: it never arrived", "DELTA_BINARY_PACKED", True),
    Column("bytes", pa.uint16(), "its UDP payload, bytes; null: it never arrived", nullable=True),
    Column("dscp", pa.uint8(), "its code point on arrival; null: it never arrived", nullable=True),
)


def write_samples(
    directory: Path, records: Array, flows: Sequence[FlowSpec], ends: Sequence[Endpoint], due: Array, epoch_ns: int
) -> int:
    """Write ``samples.parquet``; returns the number of rows. ``records`` are the engine's, ``ends[i]`` the socket whose
    receiver id is i, ``due[i]`` how many datagrams of flow i came due, ``epoch_ns`` the run's start on the records'
    clock. Some flows at a time: memory does not grow with the run. Raises OSError."""
    ids = {end: id_ for id_, end in enumerate(ends)}
    receiver = np.array([ids[flow.destination] for flow in flows], np.int64)
    denied = np.array([flow.expect is Expect.DENIED for flow in flows], bool)
    schedules = Schedules(flows)
    schema = schema_of("datagrams", COLUMNS, {"epoch_ns": str(epoch_ns)})
    with ParquetFile(directory / SAMPLES, schema, COLUMNS) as file:
        for batch in batches(records, len(flows)):
            file.write(_rows(batch, schedules, receiver, denied, np.asarray(due, np.int64), epoch_ns))
    return file.rows


def _rows(
    batch: Batch, schedules: Schedules, receiver: Array, denied: Array, due: Array, epoch_ns: int
) -> dict[str, Any]:
    here = slice(batch.first, batch.end)
    part = batch.records
    key = (batch.flow << 32) | part["seq"]
    right = part["receiver"] == receiver[here][batch.flow]
    right_key = np.where(right, key, -1 - np.arange(len(key)))  # a number of its own for each that is wrong
    _, first = np.unique(right_key, return_index=True)
    fresh = np.zeros(len(key), bool)
    fresh[first] = True
    code = np.where(right, np.where(fresh, _CODES[Outcome.DELIVERED], _CODES[Outcome.DUPLICATE]), 0)
    code = np.where(right, code, _CODES[Outcome.MISDELIVERED])
    leaked = denied[here][batch.flow]
    code = np.where(leaked, _CODES[Outcome.LEAKED], code)
    absent = _absent(due[here], key[(right & fresh) | leaked])
    absent_code = np.where(denied[here][absent >> 32], _CODES[Outcome.DENIED], _CODES[Outcome.LOST])
    all_keys = np.concatenate([key, absent])
    order = np.argsort(all_keys, kind="stable")
    all_keys = all_keys[order]
    number, seq = (all_keys >> 32) + batch.first, all_keys & 0xFFFFFFFF
    came = np.concatenate([np.ones(len(key), bool), np.zeros(len(absent), bool)])[order]

    def of_arrivals(values: Array, type_: pa.DataType) -> pa.Array:
        padded = np.concatenate([values, np.zeros(len(absent), values.dtype)])[order]
        return pa.array(padded, type_, mask=~came)

    codes = np.concatenate([code, absent_code]).astype(np.int8)[order]
    return {
        "flow": number.astype(np.uint32),
        "seq": seq.astype(np.uint32),
        "due_ns": schedules.due_ns(number, seq),
        "outcome": pa.DictionaryArray.from_arrays(codes, _NAMES),
        "sent_ns": of_arrivals(part["tx_ns"] - epoch_ns, pa.int64()),
        "delay_ns": of_arrivals(part["rx_ns"] - part["tx_ns"], pa.int64()),
        "bytes": of_arrivals(part["bytes"], pa.uint16()),
        "dscp": of_arrivals(part["tos"] >> 2, pa.uint8()),
    }


def _absent(due: Array, arrived: Array) -> Array:
    """Keys of the datagrams that came due and are not among ``arrived``."""
    begin = np.cumsum(due) - due
    flow, seq = arrived >> 32, arrived & 0xFFFFFFFF
    known = seq < due[flow]
    is_absent = np.ones(int(due.sum()), bool)
    is_absent[begin[flow[known]] + seq[known]] = False
    place = np.flatnonzero(is_absent)
    flow = np.searchsorted(begin + due, place, side="right")
    absent: Array = (flow << 32) | (place - begin[flow])
    return absent
