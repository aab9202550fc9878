"""``exchanges.parquet``: one row for each exchange of an application, in the order in which they ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from helsewan.lab.applications.records import Exchange
from helsewan.scenarios.results.files.parquet import Column, ParquetFile, schema_of

EXCHANGES = "exchanges.parquet"
ROWS = 100_000  # of a row group
COLUMNS = (
    Column("exchange", pa.uint32(), "the exchange's id, as in figures.parquet", "DELTA_BINARY_PACKED"),
    Column("begin_us", pa.float64(), "when the client began, us from the run's start", "PLAIN"),
    Column(
        "answered_us",
        pa.float64(),
        "when a call was answered or a transport receipt came, us from the run's start; null: of others",
        "PLAIN",
        nullable=True,
    ),
    Column("end_us", pa.float64(), "when it was complete or had failed, us from the run's start", "PLAIN"),
    Column("ok", pa.bool_(), "whether it was completed", "PLAIN"),
    Column("bytes", pa.uint64(), "bytes that the client received", "DELTA_BINARY_PACKED"),
    Column("error", pa.dictionary(pa.int32(), pa.string()), "why it failed; empty where it did not"),
)


def write_exchanges(directory: Path, done: Sequence[Exchange]) -> int:
    """Write ``exchanges.parquet``; returns the number of rows. Raises OSError."""
    with ParquetFile(directory / EXCHANGES, schema_of("exchanges", COLUMNS), COLUMNS) as file:
        for first in range(0, len(done), ROWS):
            part = done[first : first + ROWS]
            file.write(
                {
                    "exchange": [one.spec_id for one in part],
                    "begin_us": [one.begin_us for one in part],
                    "answered_us": pa.array([one.answered_us for one in part], from_pandas=True),  # NaN is null
                    "end_us": [one.end_us for one in part],
                    "ok": [one.ok for one in part],
                    "bytes": [one.received_bytes for one in part],
                    "error": pa.array([one.error for one in part]).dictionary_encode(),
                }
            )
    return file.rows
