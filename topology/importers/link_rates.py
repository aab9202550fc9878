"""The rates of a map's links, from the attributes of its edges, with a remark on each that is not certain.

What people read on the map (``LinkLabel``) comes first: the Zoo's ``LinkSpeedRaw`` and ``LinkSpeed`` were extracted
from it by a program that overlooked multipliers and alternatives (``10GEx12``, ``34/45 Mbit/s``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite

from helsewan.common.errors import InputError, Problem
from helsewan.common.units import format_rate
from helsewan.topology.importers.raw import Attributes, Edge, Graph
from helsewan.topology.importers.speeds import ALIKE, Speed, read_speed
from helsewan.topology.model import MOST_BPS

DEFAULT_RATE_BPS = 1_000_000_000  # [A] as the national network's regional links
LABELS = ("linklabel", "label")  # what stands on the map
OTHERS = ("linktype", "linknote", "bandwidth", "capacity", "speed")  # read where no label stands
USED = frozenset({"linkspeedraw", "linkspeed", "linkspeedunits", *LABELS, *OTHERS})
_UNKNOWN = frozenset({"", "none", "nan", "null", "n/a", "?"})
_MOST_REMARKS = 8  # labels that are quoted; the rest are counted
_MOST_QUOTED = 40  # characters of a label


@dataclass(frozen=True)
class LinkRates:
    """The rate of each edge in bit/s, and remarks on those that were assumed."""

    bps: tuple[int, ...]
    remarks: tuple[str, ...]


def link_rates(graph: Graph, edges: Sequence[Edge]) -> LinkRates:
    """The rates of ``edges``. Raises ``InputError`` for a ``LinkSpeedRaw`` that is no rate of a link."""
    rates: list[int] = []
    assumed: Counter[tuple[int, str, str]] = Counter()  # by rate, label and what was assumed
    unread: Counter[str] = Counter()  # by label
    problems: list[Problem] = []
    for edge in edges:
        about = {key.lower(): value.strip() for key, value in edge.attributes.items()}
        try:
            derived = _derived(graph, edge, about)
        except InputError as error:
            problems += error.problems
            continue
        label, read = _read(about)
        speed = _agreed(label, read, derived)
        if speed.bps is None:
            unread[label] += 1
        elif speed.assumed:
            assumed[speed.bps, label, speed.assumed] += 1
        rates.append(speed.bps or DEFAULT_RATE_BPS)
    if problems:
        raise InputError(*problems)
    return LinkRates(tuple(rates), tuple(_remarks(assumed, unread, len(edges))))


def _derived(graph: Graph, edge: Edge, about: Attributes) -> int | None:
    """The rate by ``LinkSpeedRaw`` or ``LinkSpeed``; None if the file gives none."""
    raw = about.get("linkspeedraw", "")
    try:
        bps = float(raw)
    except ValueError:
        bps = float("nan")
    if raw.lower() in _UNKNOWN or bps == 0:
        return read_speed(about.get("linkspeed", "") + about.get("linkspeedunits", "")).bps
    if not (isfinite(bps) and 1 <= bps <= MOST_BPS):
        where = f"{graph.where(edge.line)}: edge {edge.source}-{edge.target}: LinkSpeedRaw"
        hint = f"write bit/s, {format_rate(MOST_BPS)} at most, or leave it out"
        raise InputError(Problem(where, raw, "is no rate of a link", hint))
    return round(bps)


def _read(about: Attributes) -> tuple[str, Speed]:
    """The label of an edge with its speed; without a label, the first other text that has a speed."""
    for name in LABELS:
        if about.get(name, "").lower() not in _UNKNOWN:
            return about[name], read_speed(about[name])
    texts = [about[name] for name in OTHERS if about.get(name, "").lower() not in _UNKNOWN]
    read = [(text, read_speed(text)) for text in texts]
    nothing = (texts[0] if texts else "", Speed(None))
    return next((found for found in read if found[1].bps is not None), nothing)


def _agreed(label: str, read: Speed, derived: int | None) -> Speed:
    """One speed from the label and the file's own number, which may contradict each other."""
    if read.bps is None or derived is None:
        return Speed(derived) if read.bps is None else read
    if abs(read.bps - derived) <= ALIKE * max(read.bps, derived):
        return Speed(derived, read.assumed)
    other = f"the file's LinkSpeed is {format_rate(derived)}"
    return Speed(read.bps, f"{read.assumed}; {other}" if read.assumed else other)


def _remarks(assumed: Counter[tuple[int, str, str]], unread: Counter[str], links: int) -> Iterable[str]:
    of_all = f"of {links} link{'' if links == 1 else 's'}"
    for (bps, label, why), count in islice(assumed.items(), _MOST_REMARKS):
        yield f"{format_rate(bps)} for {count} {of_all}: {_quoted(label)}: {why}"
    if len(assumed) > _MOST_REMARKS:
        yield f"the rates of {sum(assumed.values())} {of_all} by {len(assumed)} labels, of which the first are above"
    if unread:
        labels = [label for label in unread if label]
        named = ", ".join(map(_quoted, labels[:_MOST_REMARKS]))
        more = f" and {len(labels) - _MOST_REMARKS} more labels" if len(labels) > _MOST_REMARKS else ""
        which = f" ({named}{more})" if labels else ""
        rate = format_rate(DEFAULT_RATE_BPS)
        yield f"{rate} for {sum(unread.values())} {of_all}: the speed is missing or cannot be read{which}"


def _quoted(label: str) -> str:
    text = "".join(filter(str.isprintable, " ".join(label.split())))
    return repr(text if len(text) <= _MOST_QUOTED else text[: _MOST_QUOTED - 3] + "...")
