"""Link speeds from labels on network maps: ``10 Gbps``, ``< 2.5G``, ``155M``, ``OC-192``, ``2 x STM-16``, ``GigE``.

Parsing is lenient: prefixes are decimal, units are always bits. A bound (``< 2.5G``) gives the bound, a range
(``10-20Gbps``) its lower end, several channels (``4 x 10G``) their sum.
"""

from __future__ import annotations

import re
from decimal import Decimal

from helsewan.topology.model import MOST_BPS

MAX_LABEL = 200  # characters of a label that are parsed
OC_BPS = 51_840_000  # SONET OC-1 (Telcordia GR-253)
STM_BPS = 155_520_000  # SDH STM-1 (ITU-T G.707)
_NAMED = {  # ITU-T G.702, ANSI T1.102, IEEE 802.3
    "t1": 1_544_000, "ds1": 1_544_000, "t3": 44_736_000, "ds3": 44_736_000, "e1": 2_048_000, "e3": 34_368_000,
    "gige": 10**9, "gbe": 10**9, "ge": 10**9, "gigabitethernet": 10**9, "gigabit": 10**9,
    "fe": 10**8, "fastethernet": 10**8, "ethernet": 10**7,
}  # fmt: skip
_PREFIX = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}

_TIMES = r"(?:(?P<times>\d{1,3})\s*[x*×]\s*)?"
_UNIT = r"(?P<prefix>[kmgt])(?:igabit|egabit|ilobit|bits?|b|e|be|ig)?(?:ps|/s(?:ec)?|it/s|its/s)?"
_AMOUNT = re.compile(
    rf"(?<![\w.,]){_TIMES}(?P<number>\d{{1,9}}(?:[.,]\d{{1,9}})?)(?:\s*[kmgt]?\s*[-–]\s*[\d.,]+)?\s*{_UNIT}(?![a-z])"
)
_CARRIER = re.compile(rf"{_TIMES}(?P<system>oc|stm)[\s-]?(?P<level>\d{{1,4}})(?!\d)")
_NAME = re.compile(rf"{_TIMES}(?<!\w)(?P<name>{'|'.join(sorted(_NAMED, key=len, reverse=True))})(?!\w)")


def parse_speed_bps(label: str) -> int | None:
    """The rate in a label in bit/s; None if it has none between 1 and ``MOST_BPS``."""
    plain = " ".join(label.lower().split())[:MAX_LABEL]
    text = re.sub(r"(fast|gigabit)\s+ethernet", r"\1ethernet", re.sub(r"([ted]s?)-(?=[13]\b)", r"\1", plain))
    found = [match for match in (pattern.search(text) for pattern in (_AMOUNT, _CARRIER, _NAME)) if match]
    if not found:
        return None
    match = min(found, key=lambda match: match.start())
    part = match.groupdict()
    if "number" in part:
        rate = Decimal(match["number"].replace(",", ".")) * _PREFIX[match["prefix"]]
    elif "system" in part:
        rate = Decimal({"oc": OC_BPS, "stm": STM_BPS}[match["system"]]) * int(match["level"])
    else:
        rate = Decimal(_NAMED[match["name"]])
    rate *= int(match["times"] or 1)
    return int(rate) if 1 <= rate <= MOST_BPS else None
