"""Links of a running network: state, settings and counters as text."""

from __future__ import annotations

from typing import Any

from helsewan.common.terminal.screen import Screen
from helsewan.common.units import format_duration, format_rate


def print_link(link: dict[str, Any]) -> None:
    """Print a link's state, and the settings and counters of each direction."""
    first, second = link["ends"]
    states = f"  [{', '.join(link['states'])}]" if link["states"] else ""
    rows = [f"{link['line']}{states}"]
    for direction, ends in (("forward", f"{first} > {second}"), ("back", f"{second} > {first}")):
        rows += [f"  {direction:8} {ends}", f"    {_settings(link[direction]['model'])}"]
        if counters := link[direction]["counters"]:
            rows.append(f"    {_counters(counters)}")
    for row in rows:
        Screen().print(row, markup=False, soft_wrap=True)


def changed_links(changed: list[dict[str, Any]]) -> list[str]:
    """The links that are not as built, one a line, each with its changes."""
    lines = []
    for link in changed:
        words = [*link["states"]]
        both = link["changes"].get("forward") == link["changes"].get("back")
        for direction, changes in link["changes"].items():
            if not (both and direction == "back"):
                words += [f"{'' if both else direction + ' '}{_setting(key, value)}" for key, value in changes.items()]
        lines.append(f"{link['line']}: {', '.join(words)}")
    return lines


def _settings(model: dict[str, Any]) -> str:
    keys = ("rate_bps", "delay_us", "jitter", "loss", "duplicate", "corrupt", "mtu_bytes", "buffer_bytes")
    settings = [_setting(key, model[key]) for key in keys if model[key] not in (None, 0.0) or key == "delay_us"]
    return ", ".join([*settings, f"{model['overhead_bytes']:+d} bytes a frame"])


def _setting(key: str, value: Any) -> str:
    """A setting as a user would write it."""
    if value is None:
        return f"no {key.rpartition('_')[0] or key}"
    match key:
        case "rate_bps":
            return f"rate {format_rate(value)}"
        case "delay_us":
            return f"delay {format_duration(value)}"
        case "jitter":
            order = ", order free" if value["reorder"] else ""
            return f"jitter {format_duration(value['spread_us'])} {value['distribution']}{order}"
        case "loss" if not value["p"]:
            return f"loss {value['good']:.4%}"
        case "loss":
            return "loss " + " ".join(f"{name} {value[name]:.4%}" for name in ("p", "r", "good", "bad"))
        case "duplicate" | "corrupt":
            return f"{key} {value:.4%}"
        case "queues":
            return "queues"
    return f"{key.rpartition('_')[0]} {value} bytes"


def _counters(counters: dict[str, Any]) -> str:
    drops = {key.removeprefix("drop_"): value for key, value in counters.items() if key.startswith("drop_")}
    lost = {cause: sum(value) if isinstance(value, list) else value for cause, value in drops.items()}
    causes = ", ".join(f"{cause} {number:,}" for cause, number in lost.items() if number)
    return (
        f"{counters['frames_in']:,} frames in, {counters['frames_out']:,} out, "
        f"{counters['queued_frames']:,} queued" + (f"; dropped: {causes}" if causes else "")
    )
