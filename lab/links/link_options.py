"""The options of ``helsewan link set`` as a request: units are parsed here, and all errors are reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names
from helsewan.common.units import UnitError, parse_duration_us, parse_rate_bps, parse_share, parse_size_bytes
from helsewan.emulation.links.pipe_model import (
    LAYER1_OVERHEAD_BYTES,
    LAYER2_OVERHEAD_BYTES,
    LAYER3_OVERHEAD_BYTES,
    Direction,
    Distribution,
    Loss,
)

NONE = "none"  # removes a setting
DIRECTIONS = {"both": tuple(Direction), "forward": (Direction.FORWARD,), "back": (Direction.BACK,)}
_OVERHEADS = {"layer1": LAYER1_OVERHEAD_BYTES, "layer2": LAYER2_OVERHEAD_BYTES, "layer3": LAYER3_OVERHEAD_BYTES}
_ORDERS = {"kept": False, "free": True}


def directions_of(text: str) -> list[str]:
    """The directions that a value of ``--direction`` means. Raises InputError for an unknown value."""
    if text not in DIRECTIONS:
        raise InputError(Problem("--direction", text, "is no direction", f"one of {', '.join(DIRECTIONS)}"))
    return [direction.value for direction in DIRECTIONS[text]]


def duration_us(option: str, text: str | None) -> int | None:
    """The duration in an option's text, in us; None if the option is not given. Raises InputError."""
    try:
        return None if text is None else parse_duration_us(text)
    except UnitError as error:
        raise InputError(Problem(option, text, error.reason, error.hint)) from error


def parsed_change(options: Mapping[str, str | None], by_class: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """The fields of a `link_change.LinkChange`, as JSON values.

    ``options``: texts by option name without dashes (None: not given). ``by_class``: values ``CLASS=VALUE`` of options
    that may be repeated. Raises InputError with a problem for each text that cannot be parsed."""
    problems: list[Problem] = []
    change: dict[str, Any] = {}
    for name, text in options.items():
        if name not in _READERS:
            problems.append(Problem(f"--{name}", None, f"no such setting{similar_names(name, _READERS)}"))
        elif text is not None:
            change |= _read(f"--{name}", text, _READERS[name], problems)
    queues: dict[str, dict[str, Any]] = {}
    for name, pairs in by_class.items():
        for pair in pairs:
            cls, _, text = pair.rpartition("=")
            if not cls:
                problems.append(Problem(f"--{name}", pair, "is not CLASS=VALUE", f"for example {_EXAMPLES[name]}"))
                continue
            queues.setdefault(cls, {}).update(_read(f"--{name}", text, _QUEUES[name], problems))
    if problems:
        raise InputError(*problems)
    return change | ({"queues": queues} if queues else {})


def _read(where: str, text: str, reader: Callable[[str], dict[str, Any]], problems: list[Problem]) -> dict[str, Any]:
    """The fields that ``reader`` returns for ``text``; none, and another entry in ``problems``, where it is invalid."""
    try:
        return reader(text)
    except UnitError as error:
        problems.append(Problem(where, text, error.reason, error.hint))
        return {}


def _loss(text: str) -> dict[str, Any]:
    if text == NONE:
        return {"loss": None}
    return {"loss": {"good": parse_share(text)}}


def _bursts(text: str) -> dict[str, Any]:
    """Gilbert-Elliott loss: p, r and, where other than 0 and 1, good and bad."""
    shares = [parse_share(part) for part in text.split(",")]
    if not 2 <= len(shares) <= 4:
        raise UnitError("is not p,r[,good[,bad]]", "write for example 1%,30%")
    return {"loss": dict(zip(("p", "r", "good", "bad"), shares, strict=False))}


def _correlated(text: str) -> dict[str, Any]:
    """Loss with a mean and a correlation of consecutive frames' losses."""
    mean, comma, correlation = text.partition(",")
    if not comma:
        raise UnitError("is not MEAN,CORRELATION", "write for example 1%,25%")
    share = parse_share(correlation)
    if share >= 1:
        raise UnitError("a correlation is below 100 %", "write for example 1%,25%")
    loss = Loss.correlated(parse_share(mean), share)
    return {"loss": {"p": loss.p, "r": loss.r, "good": loss.good, "bad": loss.bad}}


def _one_of(key: str, known: Mapping[str, Any]) -> Callable[[str], dict[str, Any]]:
    def read(text: str) -> dict[str, Any]:
        if text not in known:
            raise UnitError("is not a known value", "one of " + ", ".join(known))
        return {key: known[text]}

    return read


def _or_none(key: str, parse: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    return lambda text: {key: None if text == NONE else parse(text)}


def _limit(text: str) -> dict[str, Any]:
    """A queue's limit, in bytes or in us."""
    if text == NONE:
        return {"limit_bytes": None, "limit_us": None}
    try:
        return {"limit_bytes": parse_size_bytes(text), "limit_us": None}
    except UnitError:
        return {"limit_us": parse_duration_us(text), "limit_bytes": None}


def _weight(text: str) -> dict[str, Any]:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise UnitError("a weight is a whole number from 1 to 1000", "write for example 30")
    return {"weight": int(text)}


def _aqm(text: str) -> dict[str, Any]:
    """``none``, ``codel[:TARGET,INTERVAL]`` or ``red:LOWER,UPPER[,MOST]``."""
    name, _, rest = text.partition(":")
    parts = rest.split(",") if rest else []
    match name, len(parts):
        case "none", 0:
            return {"aqm": None}
        case "codel", 0 | 2:
            return {"aqm": ["codel", [parse_duration_us(part) for part in parts]]}
        case "red", 2 | 3:
            most = parse_share(parts[2]) if len(parts) == 3 else 0.1
            return {"aqm": ["red", [parse_size_bytes(parts[0]), parse_size_bytes(parts[1]), round(most * 1e6)]]}
    raise UnitError("is no active queue management", "none, codel, codel:5ms,100ms, red:30kB,90kB or red:30kB,90kB,10%")


_READERS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "rate": lambda text: {"rate_bps": parse_rate_bps(text)},
    "delay": lambda text: {"delay_us": parse_duration_us(text)},
    "jitter": _or_none("jitter_us", parse_duration_us),
    "jitter-distribution": _one_of("jitter_distribution", {kind.value: kind.value for kind in Distribution}),
    "order": _one_of("reorder", _ORDERS),
    "loss": _loss,
    "loss-bursts": _bursts,
    "loss-correlated": _correlated,
    "duplicate": lambda text: {"duplicate": parse_share(text)},
    "corrupt": lambda text: {"corrupt": parse_share(text)},
    "mtu": _or_none("mtu_bytes", parse_size_bytes),
    "buffer": _or_none("buffer_bytes", parse_size_bytes),
    "overhead": _one_of("overhead_bytes", _OVERHEADS),
}
_QUEUES: Mapping[str, Callable[[str], dict[str, Any]]] = {"weight": _weight, "limit": _limit, "aqm": _aqm}
_EXAMPLES = {"weight": "data=40", "limit": "voice=20ms", "aqm": "bulk=codel"}
