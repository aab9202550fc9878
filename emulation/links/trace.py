"""Link traces: a recorded link's rate, delay and loss over time, read from a file and replayed by a pipe.

A trace file is CSV (RFC 4180 without quotes). Its first line names the columns: ``time_ms``, and at least one of
``rate_bps``, ``delay_us`` and ``loss``, in any order. Every other line is a point with a value for each column, which
holds from that time after the start of the trace. Times increase, in milliseconds with up to three decimals; loss is a
probability, 0 to 1. Quantities without a column keep the values of the link's model, as do all before the first point.
Empty lines and lines that begin with ``#`` are ignored.

    time_ms,rate_bps,delay_us,loss
    0,40000000,25000,0
    100,12500000,41000,0.002
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helsewan.common.document import read_bytes
from helsewan.common.errors import InputError, Problem

MAX_POINTS = 250_000  # the link engine checks and copies these in a few milliseconds
MAX_BYTES = 16_000_000
MAX_PROBLEMS = 20  # reported for one file
POINT_DTYPE = np.dtype([("at_ns", "<i8"), ("rate_bps", "<u8"), ("delay_ns", "<i8"), ("loss", "<f8")])  # trace.h
_TIME = "time_ms"
_MILLISECONDS = re.compile(r"\d{1,10}(\.\d{1,3})?", re.ASCII)
_INTEGER = re.compile(r"\d{1,14}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,3}(\.\d{1,18})?([eE]-?\d{1,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TracePoint:
    """A link's values from ``at_us`` after the start of the trace on; None: the value of its model. ``loss`` is the
    probability of losing a frame, independently of the others."""

    at_us: int
    rate_bps: int | None = None
    delay_us: int | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Trace:
    """Points in order of time, all with the same quantities set. Restarts every ``repeat_us``; without it, the last
    point holds indefinitely. Raises ValueError for an invalid trace."""

    points: tuple[TracePoint, ...]
    repeat_us: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.points) <= MAX_POINTS:
            raise ValueError(f"a trace has 1 to {MAX_POINTS} points, not {len(self.points)}")
        if len({_columns_of(point) for point in self.points}) > 1 or not any(self.columns):
            raise ValueError("all points of a trace set the same of rate, delay and loss, at least one of them")
        if any(after.at_us <= before.at_us for before, after in zip(self.points, self.points[1:], strict=False)):
            raise ValueError("the points of a trace are in order of time, no two at the same time")
        if self.repeat_us is not None and self.repeat_us <= self.points[-1].at_us:
            raise ValueError(f"a trace of {self.points[-1].at_us} us cannot restart every {self.repeat_us} us")

    @property
    def columns(self) -> tuple[bool, bool, bool]:
        """Whether the trace sets rate, delay and loss."""
        return _columns_of(self.points[0])

    def packed(self) -> bytes:
        """The points in the link engine's format (POINT_DTYPE); values that are not set are ignored by it."""
        points = np.zeros(len(self.points), POINT_DTYPE)
        points["at_ns"] = [point.at_us * 1000 for point in self.points]
        points["rate_bps"] = [point.rate_bps if point.rate_bps is not None else 1 for point in self.points]
        points["delay_ns"] = [(point.delay_us or 0) * 1000 for point in self.points]
        points["loss"] = [point.loss or 0.0 for point in self.points]
        return points.tobytes()


def _columns_of(point: TracePoint) -> tuple[bool, bool, bool]:
    return (point.rate_bps is not None, point.delay_us is not None, point.loss is not None)


def load_trace(path: Path, repeat_us: int | None = None) -> Trace:
    """Read a trace file. Raises InputError with a problem, ``file:line: column``, for each error found."""
    raw = read_bytes(path, MAX_BYTES)
    if len(raw) > MAX_BYTES:
        raise InputError(Problem(str(path), None, f"is larger than {MAX_BYTES} bytes", "split the file"))
    return parse_trace(raw, str(path), repeat_us)


def parse_trace(raw: bytes, name: str, repeat_us: int | None = None) -> Trace:
    """Parse the bytes of a trace file; ``name`` is used in error messages. Raises InputError."""
    reader = _Reader(name)
    points = reader.points(raw)
    if reader.problems:
        raise InputError(*reader.problems[:MAX_PROBLEMS])
    try:
        return Trace(tuple(points), repeat_us)
    except ValueError as error:
        raise InputError(Problem(name, None, str(error), "see the head of emulation/links/trace.py")) from None


class _Reader:
    """Reads one file; ``problems`` are the errors found in it."""

    def __init__(self, name: str) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._columns: list[str] = []
        self._last_us = -1

    def points(self, raw: bytes) -> list[TracePoint]:
        """The valid points of the file."""
        points = []
        for number, line in self._lines(raw):
            if not self._columns:
                if not self._read_columns(number, line):
                    break
            elif point := self._read_point(number, line):
                points.append(point)
            if len(points) > MAX_POINTS or len(self.problems) > MAX_PROBLEMS:
                break
        return points

    def _lines(self, raw: bytes) -> Iterator[tuple[int, str]]:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._complain(raw.count(b"\n", 0, error.start) + 1, "", None, "is not UTF-8", "save the file as UTF-8")
            return
        for number, line in enumerate(text.split("\n"), start=1):
            line = line.strip()
            if line and not line.startswith("#"):
                yield number, line

    def _read_columns(self, number: int, line: str) -> bool:
        columns = [cell.strip() for cell in line.split(",")]
        known = {_TIME, *_COLUMNS}
        if _TIME not in columns or len(columns) < 2 or len(set(columns)) < len(columns) or not set(columns) <= known:
            hint = f"begin with a line such as {','.join((_TIME, *_COLUMNS))}"
            self._complain(number, "", line, "does not name the columns", hint)
            return False
        self._columns = columns
        return True

    def _read_point(self, number: int, line: str) -> TracePoint | None:
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(self._columns):
            reason = f"has {len(cells)} values, not {len(self._columns)}"
            self._complain(number, "", line, reason, f"give {', '.join(self._columns)}")
            return None
        row = dict(zip(self._columns, cells, strict=True))
        at_us = self._read_time(number, row.pop(_TIME))
        values = {}
        for column, text in row.items():
            read, meant = _COLUMNS[column]
            values[column] = read(text)
            if values[column] is None:
                self._complain(number, column, text, f"is not {meant}", "")
        if at_us is None or None in values.values():
            return None
        return TracePoint(at_us, **values)  # type: ignore[arg-type]

    def _read_time(self, number: int, text: str) -> int | None:
        if not _MILLISECONDS.fullmatch(text):
            self._complain(number, _TIME, text, "is not a time in milliseconds with up to three decimals", "")
            return None
        whole, _, decimals = text.partition(".")
        at_us = int(whole) * 1000 + int(decimals.ljust(3, "0"))
        if at_us <= self._last_us:
            self._complain(number, _TIME, text, "is not later than the point before", "put the points in order of time")
        self._last_us = at_us
        return at_us

    def _complain(self, line: int, column: str, value: str | None, reason: str, hint: str) -> None:
        where = f"{self._name}:{line}: {column}" if column else f"{self._name}:{line}"
        self.problems.append(Problem(where, value, reason, hint))


def _rate_bps(text: str) -> int | None:
    value = int(text) if _INTEGER.fullmatch(text) else 0
    return value if 1 <= value <= 10**13 else None


def _delay_us(text: str) -> int | None:
    value = int(text) if _INTEGER.fullmatch(text) else -1
    return value if 0 <= value <= 3_600_000_000 else None


def _loss(text: str) -> float | None:
    value = float(text) if _DECIMAL.fullmatch(text) else -1.0
    return value if 0.0 <= value <= 1.0 else None


_COLUMNS: dict[str, tuple[Callable[[str], int | float | None], str]] = {
    "rate_bps": (_rate_bps, "a rate in bit/s, 1 to 10**13"),
    "delay_us": (_delay_us, "a delay in microseconds, up to an hour"),
    "loss": (_loss, "a probability, 0 to 1"),
}
