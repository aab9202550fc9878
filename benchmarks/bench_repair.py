"""Disruption of established flows of 1,000 packets/s by failures and returns, with our routers and, over the same
links, with FRRouting's OSPF and with Ryu's spanning tree."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import Figure, beside
from benchmarks.sandboxed.launch import KINDS, in_sandbox
from helsewan.emulation.routers.bfd import MULTIPLIER, PACKET_US, Timers
from helsewan.policies.plan import DETECT_WITHIN_US
from helsewan.topology.national.generator import national_network

RYU = Path(".venv-ryu/bin/python")
INTERVAL_MS = 100  # of BFD, for all routers
PORT_DOWN, SILENT = ("next", "beyond"), ("silent", "silent-forth", "silent-back")
WORDS = {
    "next": "port down, the sender's router's",
    "beyond": "port down, on the way",
    "silent": "silent, on the way",
    "silent-forth": "silent, one direction",
    "silent-back": "silent, the other direction",
}
OURS = {"next": 25, "beyond": 25, "silent": 6, "silent-forth": 3, "silent-back": 3}
LOADED = {"next": 25, "beyond": 25}
LOAD = {"shared": 5_000, "private": 1_000}  # packets/s: of the default scenario, and what private routers carry
OSPF = {"next": 6, "beyond": 6, "silent": 6}
SPANNING_TREE = {"next": 1, "beyond": 1, "silent": 1}  # the duration of each is determined by the timers
LONGER_US = (0, 1_000, 2_000, 4_000, 8_000)  # of the alternative path, before the return
WIDTH = 130
DIFFERENCE_US = 600  # by which it is longer in any case


def run() -> list[Figure]:
    """Measure in a sandbox each, one after the other; raises RuntimeError if one cannot be created."""
    ours = [_measured("helsewan", OURS, LONGER_US, kind) for kind in KINDS]
    found = [*ours, _measured("ospf", OSPF, LONGER_US), _measured("spanning-tree", SPANNING_TREE, (0,))]
    under_load = [_measured("helsewan", LOADED, (0,), kind, LOAD[kind]) for kind in KINDS]
    console = Console(width=WIDTH)
    console.print(comparison(found))
    console.print(orders(found))
    loads = " and ".join(f"{LOAD[kind]:,}/s ({kind})" for kind in KINDS)
    return [
        *(Figure(f"known silence, {each['version']}: error", each["known_silence_error_ms"], "ms") for each in found),
        *beside(*(_ours(each) for each in ours)),
        *beside(*([_gap(f"port down, {loads}: gap", each["rows"], PORT_DOWN, 1, "ms", "< 20")] for each in under_load)),
    ]


def _ours(measured: dict[str, Any]) -> list[Figure]:
    """The figures of one kind of our routers."""
    rows = measured["rows"]
    cut = [row for row in rows if row["kind"] in PORT_DOWN]
    longer = [row for row in rows if row["longer_us"]]
    cores = Timers(DETECT_WITHIN_US // 1000 // (MULTIPLIER + 1)).cores(len(national_network(400, seed=1).links))
    share = 100 * cores * measured["bfd_packet_us"] / PACKET_US
    return [
        _gap("port down: gap", rows, PORT_DOWN, 1, "ms", "< 10"),
        _gap("silent: gap", rows, SILENT, INTERVAL_MS, "BFD intervals", "< 3.5"),
        Figure("  longest silence, nothing lost in it or not", max(row["longest_silence_ms"] for row in cut), "ms"),
        Figure("re-optimisation and return: lost", _sum(rows, "lost_"), "packets", "<= 0"),
        Figure("  reordered, re-optimisation", _sum(rows, "reordered_reoptimising"), "packets", "<= 0"),
        Figure("  reordered, return by 0.6 ms", _sum(_without(rows, longer), "reordered_returning"), "packets", "<= 0"),
        Figure("  reordered, return by 1.6 to 8.6 ms", _sum(longer, "reordered_returning"), "packets"),
        Figure("a control packet of BFD, from end to end", measured["bfd_packet_us"], "us", f"<= {PACKET_US}"),
        Figure("  all links of the national network by default", share, "% of a core", "< 5"),
    ]


def comparison(found: Iterable[dict[str, Any]]) -> Table:
    """The disruption of the flows by each kind of failure, for each kind of routers."""
    table = Table("failure", "routers", "trials", "gap, median", "99 %", "most, ms", "lost", "lost after", "reordered")
    for kind, words in WORDS.items():
        for each in found:
            rows = [row for row in each["rows"] if row["kind"] == kind]
            if not rows:
                continue
            gaps = [f"{ms:.1f}" for ms in np.percentile([row["gap_ms"] for row in rows], (50, 99, 100))]
            lost = f"{np.mean([row['lost'] for row in rows]):.1f}"
            equal = [row for row in rows if not row["longer_us"]]
            after = (str(_sum(rows, "lost_")), str(_sum(equal, "reordered_")))
            table.add_row(words, each["version"], str(_trials(rows, kind)), *gaps, lost, *after)
    return table


def orders(found: Iterable[dict[str, Any]]) -> Table:
    """Packets overtaken at a return, by the difference of the delays."""
    table = Table("returning path shorter by", "routers", "returns of a flow", "overtaken: mean", "most", "lost: mean")
    for longer_us in LONGER_US:
        for each in found:
            rows = [row for row in each["rows"] if row["longer_us"] == longer_us]
            if not rows:
                continue
            overtaken, lost = ([row[f"{what}_returning"] for row in rows] for what in ("reordered", "lost"))
            figures = (f"{np.mean(overtaken):.2f}", str(max(overtaken)), f"{np.mean(lost):.2f}")
            table.add_row(f"{(DIFFERENCE_US + longer_us) / 1000} ms", each["version"], str(len(rows)), *figures)
    return table


def _trials(rows: list[dict[str, Any]], kind: str) -> int:
    return len(rows) if kind in ("silent-forth", "silent-back") else len(rows) // 2


def _measured(
    name: str, wanted: dict[str, int], longer_us: tuple[int, ...], routers: str = "", load: int = 0
) -> dict[str, Any]:
    """The figures from the sandbox; raises RuntimeError if the number of trials is not the wanted one. ``routers``: the
    kind of ours; ``load``: other traffic in packets/s."""
    steps, kinds = ",".join(map(str, longer_us)), [f"{kind}={trials}" for kind, trials in wanted.items()]
    with tempfile.TemporaryDirectory() as logs:
        arguments = [logs, name, str(INTERVAL_MS), str(RYU.absolute()), str(load), steps, *kinds]
        found: dict[str, Any] = in_sandbox("repair", *arguments, routers=routers)
    made = {kind: _trials([row for row in found["rows"] if row["kind"] == kind], kind) for kind in wanted}
    if made != wanted:
        raise RuntimeError(f"{name}: {made} trials were made, not {wanted}")
    return found


def _sum(rows: Iterable[dict[str, Any]], prefix: str) -> int:
    return sum(count for row in rows for name, count in row.items() if name.startswith(prefix))


def _without(rows: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row not in others]


def _gap(name: str, rows: list[dict[str, Any]], kinds: tuple[str, ...], unit_ms: int, unit: str, target: str) -> Figure:
    """The 99th percentile of the flows' longest silences, in units of ``unit_ms``."""
    silences_ms = [row["gap_ms"] for row in rows if row["kind"] in kinds]
    trials = sum(_trials([row for row in rows if row["kind"] == kind], kind) for kind in kinds)
    return Figure(f"{name}, 99 % of {trials}", float(np.percentile(silences_ms, 99)) / unit_ms, unit, target)
