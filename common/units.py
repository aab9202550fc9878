"""Parses quantities with units from text to integers in a base unit (bit/s, us, bytes), and formats them.

A unit is mandatory, arithmetic is exact (decimal), and a value that does not fit the target's
resolution is refused rather than rounded. Every refusal is a ``UnitError`` (a ``ValueError``, so
that pydantic validators can raise it) with a reason and a hint.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Context, Decimal

_RATES = {
    "bit/s": 1,
    "kbit/s": 10**3,
    "Mbit/s": 10**6,
    "Gbit/s": 10**9,
    "Tbit/s": 10**12,
    "B/s": 8,
    "kB/s": 8 * 10**3,
    "MB/s": 8 * 10**6,
    "GB/s": 8 * 10**9,
}
_DURATIONS = {"us": 1, "µs": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6}
_SIZES = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_SHARES = {"%": 1}

# Other spellings of these units, in lower case; looked up for the hint when there is no exact match.
_OTHER_SPELLINGS = {
    "k": "kbit/s or kB",
    "kb": "kbit/s or kB/s",
    "m": "Mbit/s, min or ms",
    "mb": "Mbit/s or MB/s",
    "g": "Gbit/s or GB",
    "gb": "Gbit/s or GB/s",
    "kbit": "kbit/s",
    "mbit": "Mbit/s",
    "gbit": "Gbit/s",
    "bps": "bit/s",
    "kbps": "kbit/s",
    "mbps": "Mbit/s",
    "gbps": "Gbit/s",
    "msec": "ms",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "usec": "us",
    "minute": "min",
    "minutes": "min",
    "hour": "h",
    "hours": "h",
    "byte": "B",
    "bytes": "B",
    "percent": "%",
    "pct": "%",
}

RATE, DURATION, SIZE, SHARE = (
    rf"^\s*\d{{1,18}}(\.\d{{1,18}})?\s*({'|'.join(map(re.escape, units))})\s*$"
    for units in (_RATES, _DURATIONS, _SIZES, _SHARES)
)  # regular expressions of the texts that are read, as JSON Schema has them (ECMA-262)

# Input has at most 36 digits (below) and a factor 11, so that 60 digits never round.
_EXACT = Context(prec=60)
_QUANTITY = re.compile(r"\s*(?P<number>[+-]?\d{1,18}(?:\.\d{1,18})?)\s*(?P<unit>\D.*?)?\s*", re.ASCII)


class UnitError(ValueError):
    """A quantity that cannot be read: ``reason`` says why, ``hint`` what to write instead."""

    def __init__(self, reason: str, hint: str) -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(f"{reason} (hint: {hint})")


def parse_rate_bps(text: object) -> int:
    """A rate such as ``2 Mbit/s`` or ``300 bit/s`` in bit/s; decimal prefixes. Raises ``UnitError``."""
    return _parse_int(text, _RATES, "a rate", "2 Mbit/s", "bit/s")


def parse_duration_us(text: object) -> int:
    """A duration such as ``20 ms`` or ``2 min`` in microseconds. Raises ``UnitError``."""
    return _parse_int(text, _DURATIONS, "a duration", "20 ms", "us")


def parse_size_bytes(text: object) -> int:
    """A size such as ``64 kB`` or ``1 MiB`` in bytes; decimal and binary prefixes. Raises ``UnitError``."""
    return _parse_int(text, _SIZES, "a size", "64 kB", "B")


def parse_share(text: object) -> float:
    """A part of a whole such as ``30 %`` as a number from 0 to 1. Raises ``UnitError``."""
    percent = _parse(text, _SHARES, "a share", "30 %")
    if percent > 100:
        raise UnitError(f"a share of {percent} % is more than the whole", "write 0 % to 100 %")
    return float(percent / 100)


def format_rate(bps: int) -> str:
    """``bps`` bit/s for people, exactly: the largest unit that needs at most three decimals."""
    return _format(bps, {"Tbit/s": 10**12, "Gbit/s": 10**9, "Mbit/s": 10**6, "kbit/s": 10**3, "bit/s": 1})


def format_duration(us: int) -> str:
    """``us`` microseconds for people, exactly: the largest unit that needs at most three decimals."""
    return _format(us, {"s": 10**6, "ms": 10**3, "us": 1})


def format_size(size_bytes: int) -> str:
    """``size_bytes`` bytes for people, exactly: the largest unit that needs at most three decimals."""
    return _format(size_bytes, {"GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1})


def _parse_int(text: object, units: Mapping[str, int], what: str, example: str, base: str) -> int:
    value = _parse(text, units, what, example)
    if value != value.to_integral_value():
        raise UnitError(
            f"{value.normalize(_EXACT):f} {base} is not a whole number of {base}", f"{base} is the finest step"
        )
    return int(value)


def _parse(text: object, units: Mapping[str, int], what: str, example: str) -> Decimal:
    """The value in the base unit, exactly."""
    if isinstance(text, bool) or not isinstance(text, str | int | float | Decimal):
        raise UnitError(f"{what} is a number with a unit", f"write for example {example}")
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise UnitError(f"{what} is a number with a unit", f"write for example {example}")
    number, unit = Decimal(match["number"]), match["unit"]
    if unit is None:
        raise UnitError("unit is missing", f"write for example {example}")
    if unit not in units:
        raise UnitError(*_unknown_unit(unit, units))
    if number < 0:
        raise UnitError(f"{what} cannot be negative", f"write for example {example}")
    return _EXACT.multiply(number, Decimal(units[unit]))


def _unknown_unit(unit: str, units: Mapping[str, int]) -> tuple[str, str]:
    """Reason and hint for a unit that is not in ``units``."""
    meant = [name for name in re.split(r", | or ", _OTHER_SPELLINGS.get(unit.lower(), "")) if name in units]
    meant = meant or [name for name in units if name.lower() == unit.lower()]
    if len(meant) > 1:
        return f"unit {unit!r} is ambiguous", "write " + " or ".join(meant)
    return f"unit {unit!r} is unknown", "write " + (meant[0] if meant else "one of " + ", ".join(units))


def _format(value: int, units: Mapping[str, int]) -> str:
    for unit, factor in units.items():
        scaled = Decimal(value) / factor
        if abs(value) >= factor and scaled == round(scaled, 3):
            return f"{scaled.normalize():f} {unit}"
    return f"{value} {list(units)[-1]}"
