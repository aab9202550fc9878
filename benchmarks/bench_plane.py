"""Processor time of the data plane: of a datagram over six routers, everything counted, and of an idle network."""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks import Figure, beside
from benchmarks.sandboxed.launch import KINDS, in_sandbox

SITES, RATES = 500, (1_000, 20_000)  # datagrams a second
STANDING_SITES = 260
ROUTERS = 6  # that each datagram passes
SHARE = 1 / 15  # of the processor time with private routers
CORES = "< 1.3"  # at the highest rate
LIMIT_S = 240
REASONS = 3  # printed at most


def run() -> list[Figure]:
    """Measure in sandboxes; raises RuntimeError if one cannot be created."""
    loaded = {kind: _measured(kind, SITES, 0, *RATES) for kind in KINDS}
    standing = {kind: _measured(kind, STANDING_SITES, 0) for kind in KINDS}
    found = []
    for place, rate in enumerate(RATES, 1):
        own = [_figures(loaded[kind]["rows"][place], loaded[kind]["rows"][0], rate) for kind in KINDS]
        found += beside(*own)
        for figure, words in ((own[0][0], "everything"), (own[0][1], "added")):
            other = own[1][own[0].index(figure)].value
            share = figure.value / other
            found.append(Figure(f"  {words}: share of private routers' time", share, "", f"<= {SHARE:.4f}"))
    found += beside(*([Figure("up and programmed", each["up_s"], "s", "< 4")] for each in standing.values()))
    found += beside(*(_idle(each["rows"][0]) for each in standing.values()))
    return found


def _remark(kind: str, row: dict[str, Any]) -> None:
    """Print why a row is not graded valid."""
    if row.get("grade", "valid") != "valid":
        reasons = "; ".join(row["reasons"][:REASONS])
        print(f"{row['datagrams_per_s']:,} datagrams/s, {kind} routers: {row['grade']}: {reasons}")


def _figures(row: dict[str, Any], idle: dict[str, Any], rate: int) -> list[Figure]:
    """The figures at one rate."""
    cores, each = sum(row["cores"].values()), 1e6 * _seconds(row) / max(row["arrived"], 1) / ROUTERS
    at, most = f"{rate:,} datagrams/s over {ROUTERS} routers, {SITES} sites", rate == max(RATES)
    added = each * (cores - sum(idle["cores"].values())) / cores
    return [
        Figure(f"{at}: processor time of a datagram and router, everything", each, "us"),
        Figure("  more than the idle network takes", added, "us"),
        Figure("  cores, everything", cores, "", CORES if most else ""),
        *(Figure(f"  of them {part}", used, "") for part, used in row["cores"].items()),
        Figure("  arrived", 100 * row["arrived"] / max(row["due"], 1), "%", ">= 99"),
        Figure("  graded valid", float(row["grade"] == "valid"), "", ">= 1" if most else ""),
    ]


def _seconds(row: dict[str, Any]) -> float:
    """Processor time in the measured interval."""
    return float(sum(row["cores"].values()) * row["seconds"])


def _idle(row: dict[str, Any]) -> list[Figure]:
    """The figures of the idle network."""
    total = Figure(f"idle, 39 routers, {STANDING_SITES} sites: cores", sum(row["cores"].values()), "", "< 0.25")
    return [total, *(Figure(f"  of them {part}", used, "") for part, used in row["cores"].items())]


def _measured(kind: str, sites: int, *rates: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as logs:
        found: dict[str, Any] = in_sandbox("plane", logs, str(sites), *map(str, rates), routers=kind, limit_s=LIMIT_S)
    for row in found["rows"]:
        _remark(kind, row)
    return found
