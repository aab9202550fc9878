"""The vocabulary of speed labels on network maps: numbers, units and names of technologies, with their rates.

Units of amounts are read as bits: prefixes are decimal. Names have the rate of their standard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

OC_BPS = 51_840_000  # SONET OC-1 (Telcordia GR-253)
STM_BPS = 155_520_000  # SDH STM-1 (ITU-T G.707)
PREFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
NAMED = {  # ITU-T G.702, ANSI T1.102, ITU-T G.709, IEEE 802.3, ISO 9314
    "ds0": 64_000, "e0": 64_000,
    "t1": 1_544_000, "ds1": 1_544_000, "t2": 6_312_000, "ds2": 6_312_000, "t3": 44_736_000, "ds3": 44_736_000,
    "e1": 2_048_000, "e2": 8_448_000, "e3": 34_368_000, "e4": 139_264_000,
    "odu0": 1_244_160_000, "odu1": 2_498_775_126, "odu2": 10_037_273_924, "odu3": 40_319_218_983,
    "odu4": 104_794_445_815, "otu1": 2_666_057_143, "otu2": 10_709_225_316, "otu3": 43_018_413_559,
    "otu4": 111_809_973_568, "fddi": 10**8,
    "gige": 10**9, "gbe": 10**9, "ge": 10**9, "gigabitethernet": 10**9, "gigaethernet": 10**9, "gigabit": 10**9,
    "gbit/s": 10**9, "gbps": 10**9, "gbit": 10**9, "fe": 10**8, "fastethernet": 10**8, "faste": 10**8,
    "tengige": 10**10, "tengigabitethernet": 10**10,
}  # fmt: skip
_LEVELS = {"oc": {1, 3, 9, 12, 18, 24, 36, 48, 96, 192, 768, 1920}, "stm": {0, 1, 4, 16, 64, 256}}
_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8, "ten": 10, "twelve": 12, "sixteen": 16,
    "forty": 40, "hundred": 100,
}  # fmt: skip
_FACTORS = {"single": 1, "dual": 2, "double": 2, "twin": 2, "triple": 3, "quad": 4, "quadruple": 4}

# A word ends here, or a multiplier follows at once: 10GEx12.
END = r"(?![A-Za-z0-9]|\.\d)|(?=[x×*]\s*\d)"
_SECOND = r"s(?:ec(?:ond[es]?|s)?|ek(?:und[ea]?)?|egundo)?"
_PER = rf"\s?(?:/|per|pr\.?|pro|par|por)\s?{_SECOND}"
UNIT = (
    rf"(?:(?P<spelled>kilo|mega|giga|tera)[\s-]?(?P<of>bit|byte|octet)s?(?:{_PER}|ps)?"
    r"|(?P<slang>gig|meg)(?:\s?e|s)?"
    rf"|(?P<prefix>[kmgt])(?P<binary>i(?=bit))?(?P<short>bits?|bytes?|b(?:\s?e(?!ven))?|e)?(?P<tail>{_PER}|ps|s|p/s|pbs)?"
    rf"|(?P<plain>bits?{_PER}|b/s|bps|bauds?|bd))(?:{END})"
)
NUMBER = r"\d{1,3}(?:[ ]\d{3})+(?:[.,]\d{1,6})?|\d[\d.,'’]{0,14}\d|\d"


@dataclass(frozen=True, slots=True)
class Part:
    """A rate in bit/s, or for numbers without a unit the number; ``doubt`` says what is assumed, empty if nothing."""

    value: Decimal
    doubt: str = ""


def plain(label: str) -> str:
    """``label`` without what is no speed (802.3ae, interface names, frequencies) and with numbers in digits."""
    text = re.sub(r"(?i)\b802\.\d+[a-z]*|\b(?:ge|xe|et|fe|fa|gi|te|so|hu)-?\d+/\d+(?:/\d+)*(?:[.:]\d+)?", " ", label)
    text = re.sub(r"(?i)\b\d[\d.,]*\s*(?:[kmgt]hz|nm|km|miles?|meters?|metres?)\b", " ", text)
    text = re.sub(r"(?i)\b(fast|giga|gigabit)\s+ethernet", r"\1ethernet", text)
    text = re.sub(r"(?i)\b(gig|fast)\s+e\b", r"\1e", text)
    text = re.sub(r"(?i)\b([ted]s?|o[dt]u)[-\s](?=[0-4]\b)", r"\1", text)
    return re.sub(r"(?i)\b([a-z]+)(?=[\s-]+[\w])", _digits, text)


def _digits(word: re.Match[str]) -> str:
    name = word[1].lower()
    if name in _WORDS:
        return str(_WORDS[name])
    return f"{_FACTORS[name]}x" if name in _FACTORS else word[1]


def number(text: str) -> Part | None:
    """The number in ``text``, with separators of thousands as any country writes them; None if it is none."""
    spaced = text.replace("’", "'").rstrip(".,'")
    if re.fullmatch(r"\d{1,3}( \d{3})+([.,]\d+)?", spaced):
        value = Decimal(spaced.replace(" ", "").replace(",", "."))
        return Part(value, f"its number is read as {value}")
    marks = sorted(set(spaced) & set(".,'"), key=spaced.rindex)
    whole, point, rest = spaced, "", ""
    if marks and not (spaced.count(marks[-1]) > 1 or marks[-1] == "'"):
        whole, point, rest = spaced.rpartition(marks[-1])
    if not re.fullmatch(r"\d{1,12}|\d{1,3}(?:([.,'])\d{3})(?:\1\d{3})*", whole):
        return None
    digits = re.sub(r"[.,']", "", whole)
    value = Decimal(f"{digits}.{rest}" if rest else digits)
    thousands = len(rest) == 3 and len(marks) == 1 and 1 <= len(whole) <= 3 and whole != "0"
    if thousands and (point == "," or rest == "000"):  # 1,000 and 10.000, but 1.544 and 2,5
        value = Decimal(digits + rest)
        return Part(value, f"its number is read as {value}")
    return Part(value)


def unit(match: re.Match[str], spaced: bool) -> Part | None:
    """Bits per second of the matched ``UNIT``; ``spaced``: a space precedes it. None for what is no unit of a rate."""
    if match["spelled"]:
        per_bit = 1 if match["of"].lower() == "bit" else 8
        value = Decimal(PREFIXES[match["spelled"][0].lower()] * per_bit)
        return Part(value, "bytes are 8 bits" if per_bit == 8 else "")
    if match["slang"]:
        return Part(Decimal(PREFIXES[match["slang"][0].lower()]))
    if match["plain"]:
        return Part(Decimal(1), "bauds are read as bits" if match["plain"][1:2] in "aAdD" else "")
    prefix, short, tail = match["prefix"], match["short"] or "", match["tail"] or ""
    value = Decimal(2 ** (10 * "kmgt".index(prefix.lower()) + 10) if match["binary"] else PREFIXES[prefix.lower()])
    if short.lower().startswith("byte"):
        return Part(value * 8, "bytes are 8 bits")
    if short == "B" and not (tail and tail.upper() == tail):  # maps mean bits: GB/s, MB
        return Part(value, f"{prefix}B{tail} is read as bits")
    if not short and not tail and prefix in "mgt":
        return None if spaced else Part(value, f"{prefix} is read as {prefix.upper()}bit/s")
    return None if not short and tail.lower() == "s" else Part(value)


def carrier(system: str, level: int) -> Part | None:
    """The rate of OC-n, STS-n or STM-n; None where no such level exists."""
    base = "stm" if system.lower() == "stm" else "oc"
    if level not in _LEVELS[base]:
        return None
    if base == "stm":
        return Part(Decimal(STM_BPS * level if level else OC_BPS))
    return Part(Decimal(OC_BPS * level))
