"""Link speeds from labels on network maps: ``10 Gbps``, ``< 2.5G``, ``155M``, ``OC-192``, ``2 x STM-16``, ``10GEx12``.

A label is read in two steps: ``_TOKEN`` finds numbers, amounts, names, multipliers and separators, ``_Reader``
combines them. Everything that is not certain is said in ``Speed.assumed``: of a range the lower end is used, of a bound
the bound, of several speeds the lowest; a sum is the sum. A label with a number that cannot be explained is never
silent.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal

from helsewan.topology.importers.speed_terms import END, NAMED, NUMBER, UNIT, Part, carrier, number, plain, unit
from helsewan.topology.model import MOST_BPS

MAX_LABEL = 200  # characters of a label that are parsed
ALIKE = Decimal("0.06")  # two names of one speed differ by less: 2.5G and OC-48, 45 Mbps and DS-3
_MOST_CHANNELS = 1000

_NAMES = "|".join(re.escape(name) for name in sorted(NAMED, key=len, reverse=True))
_NOUN = r"(?:λ|lambdas?|ch(?:an(?:nels?)?)?\.?|wavelengths?|links?|circuits?|lines?|waves?|pairs?)"
_TOKEN = re.compile(
    rf"""(?P<base>(?<![A-WYZa-wyz_\d.,])(?P<base_n>\d+(?:\.\d)?)(?P<base_g>g?)base-?[a-z0-9]*)
    |(?P<carrier>(?<![A-WYZa-wyz])(?P<system>oc|sts|stm)[\s-]*(?P<level>\d{{1,4}})(?:[ceno](?={END}))?(?:{END}))
    |(?P<name>(?<![A-WYZa-wyz\d])(?P<named>{_NAMES})s?(?:{END}))
    |(?P<times>(?<![A-WYZa-wyz_\d.,])(?:(?P<n>\d{{1,4}})|n|multi)\s*(?:-(?=\s*g)|{_NOUN}?\s*(?:[x×*@]|\bof\b|\btimes\b)))
    |(?P<after>[x×*]\s*(?P<m>\d{{1,3}})(?![\w.,]|\s*[-/]?\s*(?:[kmgt]i?b|gig|meg|[kmgt]\b|g?e\b|stm|oc|[te]\d)))
    |(?P<amount>(?<![A-WYZa-wyz_\d.,])(?P<value>{NUMBER})(?P<gap>[\s-]?){UNIT})
    |(?P<atm>\b(?:atm|sdh|sonet|pos)[\s-]?(?P<mega>34|45|155|622|2488)(?![\w.]))
    |(?P<ethernet>(?<![A-WYZa-wyz_\d.,])(?P<mbit>10|100|1000|10000)[\s-]?(?:mb)?ethernet)
    |(?P<number>(?<![A-Za-z]-)(?<![A-WYZa-wyz_\d.,])(?:{NUMBER})(?![\w]))
    |(?P<glue>\s*(?:-+>?|–|—|→|…|\.{{2,3}}|/|~|\bto\b|\bor\b|\bbis\b)\s*)
    |(?P<plus>\s*(?:\+|&|\band\b|\bund\b|\bog\b|\bplus\b)\s*)
    |(?P<digits>\d+)
    |(?P<other>[A-Za-z]+|[^\sA-Za-z\d])""",
    re.IGNORECASE | re.VERBOSE,
)
_BOUND_BEFORE = re.compile(
    r"(?:[<>≤≥~≈]=?|\b(?:up ?to|max(?:imum|\.)?|less than|below|under|at least|min(?:imum|\.)?|more than|over|above"
    r"|about|approx(?:imately|\.)?|around|circa|ca\.?|nearly|bis zu|jusqu.a|hasta|fractional|frac\.?|partial"
    r"|half))\s*\(?$",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r"\s*\)?\s*(?:\+(?!\s*\w)|(?:and|or|og)\s+(?:more|below|less|above|higher|lower|up)\b|max|min)", re.I
)
_MOBILE = re.compile(r"\b(?:lte|mobile|cellular|modem|umts|gsm|edge|gprs|backup|wireless|router)\b", re.IGNORECASE)
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True)
class Speed:
    """The speed in a label: ``bps`` (None: none can be read) and what was ``assumed``, empty if nothing was."""

    bps: int | None
    assumed: str = ""


def read_speed(label: str) -> Speed:
    """The speed in a label between 1 and ``MOST_BPS`` bit/s."""
    whole = " ".join(unicodedata.normalize("NFKC", label).split())
    text = plain(whole[:MAX_LABEL])
    reader = _Reader(text)
    for match in _TOKEN.finditer(text):
        reader.take(match)
    speed = reader.result()
    if speed.bps is not None and len(whole) > MAX_LABEL:
        return Speed(speed.bps, speed.assumed or "its end is not read")
    return speed


@dataclass
class _Group:
    """An amount, or several joined by ``/`` or a range: the rates, where the group begins and ends, its multiplier."""

    rates: list[Decimal]
    start: int
    end: int
    times: int = 1


@dataclass
class _Reader:
    text: str
    groups: list[_Group] = field(default_factory=list)
    sums: int = 0  # groups that a plus joins to the one before
    doubts: list[str] = field(default_factory=list)
    waiting: list[Part] = field(default_factory=list)  # numbers whose unit comes later
    times: int = 1
    start: int | None = None  # where the multiplier or the waiting numbers begin
    last: str = ""  # kind of the last token
    until: int = 0  # where it ends
    joint: tuple[str, int, int] = ("", -1, -1)  # the last glue or plus: kind, begin and end
    broken: bool = False

    def take(self, match: re.Match[str]) -> None:
        """Handle one token."""
        kind = match.lastgroup or ""
        getattr(self, f"_{kind}")(match)
        self.last, self.until = kind, match.end()

    def _times(self, match: re.Match[str]) -> None:
        self._drop_waiting()
        self.start = match.start() if self.start is None else self.start
        if match["n"] is None:
            self.doubts.append("how many there are is not said")
        else:
            self.times *= int(match["n"])
        if self.times == 0 or self.times > _MOST_CHANNELS:
            self.broken = True

    def _after(self, match: re.Match[str]) -> None:
        joined = self.groups and not self.waiting and self.text[self.groups[-1].end : match.start()].strip(" (") == ""
        if joined and int(match["m"]):
            self.groups[-1].times *= int(match["m"])
            self.groups[-1].end = match.end()
        else:
            self.doubts.append("a number in it is not read")

    def _amount(self, match: re.Match[str]) -> None:
        value, per = number(match["value"]), unit(match, bool(match["gap"].strip(" -") or match["gap"] == " "))
        if value is None or per is None:
            self._unread(match["value"])
            return
        if re.fullmatch(r"[2345]G", match[0]) and not match["gap"]:
            if _MOBILE.search(self.text):  # a generation of mobile networks
                self._unread(match["value"])
                return
            self.doubts.append(f"{match[0]} is read as {match['value']} Gbit/s")
        self.doubts += [part.doubt for part in (value, per) if part.doubt]
        self._rate(value.value * per.value, match, per.value)

    def _base(self, match: re.Match[str]) -> None:
        scale = Decimal(10**9 if match["base_g"] else 10**6)
        self._rate(Decimal(match["base_n"]) * scale, match, scale)

    def _carrier(self, match: re.Match[str]) -> None:
        part = carrier(match["system"], int(match["level"]))
        if part is None:
            self._unread(match["level"])
        else:
            self._technology(part.value, match)

    def _name(self, match: re.Match[str]) -> None:
        self._technology(Decimal(NAMED[match["named"].lower()]), match)

    def _atm(self, match: re.Match[str]) -> None:
        self.doubts.append(f"{match['mega']} is read as Mbit/s")
        self._rate(Decimal(match["mega"]) * 10**6, match, Decimal(10**6))

    def _ethernet(self, match: re.Match[str]) -> None:
        self.doubts.append(f"{match['mbit']} is read as Mbit/s")
        self._rate(Decimal(match["mbit"]) * 10**6, match, Decimal(10**6))

    def _number(self, match: re.Match[str]) -> None:
        value = number(match[0])
        if value is None:
            self.doubts.append("a number in it is not read")
            return
        if self.waiting and self.last != "glue":
            self._drop_waiting()
        self.start = match.start() if self.start is None else self.start
        self.waiting.append(value)

    def _digits(self, match: re.Match[str]) -> None:
        """Digits inside a word (GEANT2, TAT-14) are part of a name."""
        self._drop_waiting()

    def _glue(self, match: re.Match[str]) -> None:
        self.joint = "glue", match.start(), match.end()

    def _plus(self, match: re.Match[str]) -> None:
        self._drop_waiting()
        self.joint = "plus", match.start(), match.end()

    def _other(self, match: re.Match[str]) -> None:
        if match[0] not in "()":
            self._drop_waiting()

    def _technology(self, rate: Decimal, match: re.Match[str]) -> None:
        """A name or carrier; a number just before it is how many there are, or the rate in other words."""
        if len(self.waiting) == 1 and self.last == "number":
            count = self.waiting[0].value
            if any(_alike(count * scale, rate) for scale in (10**6, 10**9)):
                self.waiting.clear()
            elif count == int(count) and 1 <= count <= _MOST_CHANNELS:
                self.waiting.clear()
                if rate != 10**9:  # of GigE it is the rate and the number at once
                    self.doubts.append(f"{int(count)} is read as their number")
                self.times *= int(count)
        self._rate(rate, match, rate)

    def _rate(self, rate: Decimal, match: re.Match[str], per: Decimal) -> None:
        """A rate; the numbers that wait for a unit have ``per``, and a range or slash joins it to what is before."""
        rates = [part.value * per for part in self.waiting]
        self.doubts += [part.doubt for part in self.waiting if part.doubt]
        self.waiting.clear()
        start = match.start() if self.start is None else self.start
        kind, begin, end = self.joint
        joint = kind if self.groups and (self.groups[-1].end, start) == (begin, end) else ""
        if joint == "glue" and self.times == self.groups[-1].times == 1:
            self.groups[-1].rates += [*rates, rate]
            self.groups[-1].end = match.end()
        else:
            self.groups.append(_Group([*rates, rate], start, match.end(), self.times))
            self.sums += joint == "plus"
            if joint == "plus" and "+" not in self.text[begin:end]:
                self.doubts.append("its speeds are added")
        self.times, self.start = 1, None

    def _unread(self, digits: str) -> None:
        self._drop_waiting()
        if not _YEAR.fullmatch(digits):
            self.doubts.append("a number in it is not read")
        self.times, self.start = 1, None

    def _drop_waiting(self) -> None:
        """Numbers without a unit: years and parts of names say nothing, others are not explained."""
        if any(not _is_year(part.value) for part in self.waiting):
            self.doubts.append("a number in it is not read")
        if self.waiting:
            self.waiting.clear()
            self.times, self.start = 1, None

    def result(self) -> Speed:
        """The speed, after the last token."""
        self._drop_waiting()
        if self.start is not None and self.times > 1 and self.groups:  # STM-16 (2x)
            self.groups[-1].times *= self.times
            self.groups[-1].end = len(self.text)
        if not self.groups or self.broken:
            return Speed(None)
        lowest = [min(group.rates) * group.times for group in self.groups]
        if any(not _alike(min(group.rates), max(group.rates)) for group in self.groups):
            self.doubts.insert(0, "of a range or a choice the lowest is used")
        else:
            lowest = [group.rates[0] * group.times for group in self.groups]
        if self.sums == len(self.groups) - 1:
            total = sum(lowest, Decimal(0))
        elif _alike(min(lowest), max(lowest)):
            total = lowest[0]
        else:
            total = min(lowest)
            self.doubts.insert(0, "of several speeds the lowest is used")
        if any(self._bounded(group) for group in self.groups):
            self.doubts.insert(0, "it is a bound")
        if not 1 <= total <= MOST_BPS:
            return Speed(None)
        return Speed(int(total), "; ".join(dict.fromkeys(self.doubts)))

    def _bounded(self, group: _Group) -> bool:
        before, after = self.text[: group.start].rstrip(), self.text[group.end :]
        return bool(_BOUND_BEFORE.search(before) or _BOUND_AFTER.match(after))


def _alike(a: Decimal, b: Decimal) -> bool:
    return abs(a - b) <= ALIKE * max(a, b)


def _is_year(value: Decimal) -> bool:
    return value == int(value) and _YEAR.fullmatch(str(int(value))) is not None
