"""``links.parquet``: what each direction of each link carried and dropped, by 100 ms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.files.parquet import Column, ParquetFile, schema_of

LINKS = "links.parquet"
_TEXT = pa.dictionary(pa.int32(), pa.string())
_DELTA = "DELTA_BINARY_PACKED"

# What the link engine counts: by pipe, of its classes together, and gauges. The names are the engine's.
COUNTED: Mapping[str, str] = {
    "frames_in": "frames that arrived at the link",
    "bytes_in": "their bytes, from the Ethernet header on",
    "frames_out": "frames that were delivered",
    "bytes_out": "their bytes",
    "duplicated": "frames that the link duplicated",
    "corrupted": "frames that had a bit flipped",
    "drop_mtu": "frames dropped for being longer than the link's MTU",
    "drop_loss": "frames lost in transit by the loss model",
    "drop_silent": "frames lost in a black hole",
    "drop_down": "frames dropped because the link was down",
    "drop_memory": "frames dropped because the engine had no memory left: the machine, not the link",
    "drop_machine": "frames that the engine could not deliver: the machine, not the link",
    "drop_dst_down": "frames whose far end was down",
}
COUNTED_BY_CLASS: Mapping[str, str] = {
    "drop_tail": "frames dropped because their class's queue was full",
    "drop_buffer": "frames dropped because the link's buffer was full",
    "drop_red": "frames dropped by RED",
    "drop_codel": "frames dropped by CoDel",
}
GAUGES: Mapping[str, str] = {
    "queued_frames": "frames that wait in the link's queues, at the end of the interval",
    "queued_bytes": "their bytes",
}
NUMBERS = (*COUNTED, *COUNTED_BY_CLASS, *GAUGES)
COLUMNS = (
    Column("start_us", pa.int64(), "begin of the interval, us from the run's start", _DELTA),
    Column("length_us", pa.int64(), "its length, us: 100 ms unless the reader was late", _DELTA),
    Column("link", _TEXT, "the link's id"),
    Column("direction", _TEXT, "forward (from the link's first end) or back"),
    Column("from", _TEXT, "the node that the frames come from"),
    Column("to", _TEXT, "the node that they go to"),
    *(
        Column(name, pa.int64(), meaning, _DELTA)
        for part in (COUNTED, COUNTED_BY_CLASS, GAUGES)
        for name, meaning in part.items()
    ),
)


class LinksFile:
    """``links.parquet`` while it is being written: a row for a direction of a link and an interval in which anything
    was counted or waited there. Raises OSError where the directory takes no file."""

    def __init__(self, directory: Path, pipes: Mapping[int, tuple[str, str, str, str]]) -> None:
        """``pipes``: by number, the link's id, the direction, and the nodes at its begin and end."""
        self._file = ParquetFile(directory / LINKS, schema_of("links", COLUMNS), COLUMNS)
        count = max(pipes, default=-1) + 1
        table = [pipes.get(number, ("", "", "", "")) for number in range(count)]
        self._names = [pa.array([row[column] for row in table], pa.string()) for column in range(4)]

    @property
    def rows(self) -> int:
        """The number of rows written."""
        return self._file.rows

    def write(self, pipe: Array, start_us: Array, length_us: Array, numbers: Array) -> None:
        """Write a row group; ``numbers`` has a column for each of ``NUMBERS``. Raises OSError."""
        index = pa.array(pipe)
        texts = (names.take(index).dictionary_encode() for names in self._names)
        self._file.write(
            {
                "start_us": start_us,
                "length_us": length_us,
                **dict(zip(("link", "direction", "from", "to"), texts, strict=True)),
                **{name: np.ascontiguousarray(numbers[:, column]) for column, name in enumerate(NUMBERS)},
            }
        )

    def close(self) -> None:
        """Complete the file. Raises OSError."""
        self._file.close()
