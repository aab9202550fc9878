"""``series.parquet``: datagrams of classes and entries of the traffic by 100 ms."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.scenarios.results.datagrams.samples import Samples
from helsewan.scenarios.results.files.parquet import Column, ParquetFile, schema_of
from helsewan.scenarios.results.groups import Level, groups_of
from helsewan.scenarios.results.series import series

SERIES = "series.parquet"
LEVELS = (Level.CLASS, Level.ENTRY)
_TEXT = pa.dictionary(pa.int32(), pa.string())
_DELAYS = {
    "delay_p50_us": "median one-way delay of those",
    "delay_p95_us": "one-way delay that 95 % of those keep",
    "delay_p99_us": "one-way delay that 99 % of those keep",
    "delay_max_us": "greatest one-way delay of those",
}
COLUMNS = (
    Column("level", _TEXT, "what the row is of: class or entry"),
    Column("name", _TEXT, "its name"),
    Column("start_us", pa.int64(), "begin of the 100 ms, us from the run's start", "DELTA_BINARY_PACKED"),
    Column("sent", pa.int64(), "datagrams that came due in it", "DELTA_BINARY_PACKED"),
    Column("received", pa.int64(), "of those: datagrams that arrived, then or later", "DELTA_BINARY_PACKED"),
    Column("lost", pa.int64(), "of those: datagrams that never arrived", "DELTA_BINARY_PACKED"),
    *(
        Column(name, pa.float64(), f"{meaning}, us; null: none arrived", "PLAIN", nullable=True)
        for name, meaning in _DELAYS.items()
    ),
)


def write_series(directory: Path, traffic: TrafficPlan, samples: Samples, duration_us: int) -> int:
    """Write ``series.parquet`` of a run of ``duration_us``; returns the number of rows. Raises OSError."""
    groups = groups_of(traffic)
    with ParquetFile(directory / SERIES, schema_of("series", COLUMNS), COLUMNS) as file:
        for level in LEVELS:
            name_of = {id_: name for name, group in groups[level].items() for id_ in group.flows}
            found = series(samples, name_of, duration_us)
            for row, name in enumerate(found.groups):
                count = found.sent.shape[1]
                texts = {"level": level.value, "name": name}
                numbers = {"sent": found.sent, "received": found.received, "lost": found.lost}
                file.write(
                    {
                        **{key: pa.array([text] * count).dictionary_encode() for key, text in texts.items()},
                        "start_us": found.start_us,
                        **{key: values[row] for key, values in numbers.items()},
                        **{key: pa.array(getattr(found, key)[row], from_pandas=True) for key in _DELAYS},
                    }
                )
    return file.rows
