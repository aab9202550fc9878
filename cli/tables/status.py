"""``helsewan status``: a running network's state as lines of text."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from helsewan.cli.tables.links import changed_links
from helsewan.common.counts import counted
from helsewan.common.terminal.screen import Screen

NAMED = 10  # sites at most


def print_lines(lines: Iterable[str]) -> None:
    """Print lines, whatever the terminal's width."""
    for line in lines:
        Screen().print(line, markup=False, soft_wrap=True)


def last_lines(facts: dict[str, Any]) -> list[str]:
    """How a network ended, one fact a line."""
    how, ended = facts["how"], _clock(facts.get("ended"))
    lines = [f"network    {facts['name']}"]
    if facts.get("policy"):
        lines.append(f"built of   {facts['network']}, policy {facts['policy']}")
    if facts.get("began"):
        up = f", up after {facts['up_after_s']:.0f} s" if facts.get("up_after_s") is not None else ", never up"
        lines.append(f"began      {_clock(facts['began'])}{up}")
    lines += [
        f"{each['what']:9}  {_clock(each['at'])}: {each['part']}: {each['reason']}"
        for each in facts.get("troubles", [])
    ]
    if how is None:
        lines.append(f"ended      not yet: {facts['reason']}")
    else:
        lines.append(f"ended      {f'{ended}, ' if ended else ''}{how}: {facts['reason']}")
    lines += [f"see        {facts['log']}"] if facts.get("log") else []
    return [*lines, f"directory  {facts['directory']}"]


def status_lines(facts: dict[str, Any]) -> list[str]:
    """The status, one fact a line."""
    lines = [
        f"network    {facts['name']}, {facts['state']} for {facts['uptime_s']:.0f} s"
        + (f": {facts['stage']}" if facts["stage"] else ""),
        f"built of   {facts['network']}, seed {facts['seed']}, policy {facts['policy']}",
    ]
    if facts["state"] == "up":
        lines += [f"{each['condition']:9}  {_trouble(each)}" for each in facts["troubles"]]
        lines += [f"off        {counted(len(off), 'site')}: {_some(off)}"] if (off := facts["sites_off"]) else []
        lines += [f"{_past(each):9}  {_trouble(each)}" for each in facts["past_troubles"]]
        lines += [f"busy       {facts['busy']}"] if "busy" in facts else _measured(facts)
    api = facts["api"]
    lines += [f"api        {api['address']}, token in {api['token_file']}"] if api else []
    lines += [f"unwritten  {facts['not_written']}"] if "not_written" in facts else []
    return [*lines, *_limits(facts), f"directory  {facts['directory']}"]


def _limits(facts: dict[str, Any]) -> list[str]:
    """When the network ends by itself, if ever."""
    lines = []
    if owner := facts.get("with_process"):
        lines.append(f"lives      as long as process {owner['pid']} ({owner['name']})")
    if lease := facts.get("lease"):
        lines.append(f"lease      {lease['seconds']:g} s, {lease['left_s']:.0f} s left unless `helsewan renew`")
    return lines


def _validity(facts: dict[str, Any]) -> list[str]:
    """How far results can be trusted, and the reasons, one a line."""
    if (validity := facts.get("validity")) is None:  # of a network that an earlier version started
        return []
    since_s = validity["since_s"]
    since = "it is up" if since_s is None else f"{datetime.fromtimestamp(since_s):%Y-%m-%d %H:%M:%S}"
    line = f"validity   {validity['grade']} since {since}, {validity['last_minute']} in the last minute"
    reasons = [f"           {reason['grade']}: {reason['text']}" for reason in validity["reasons"]]
    return [line, *reasons, *(f"           near a bound: {stall['text']}" for stall in validity.get("near", ()))]


def _why(facts: dict[str, Any]) -> str:
    """Why routers are private although nobody asked for that."""
    return f": {reason}" if (reason := facts.get("router_kind_reason")) else ""


def _measured(facts: dict[str, Any]) -> list[str]:
    """Sizes, lateness, losses, changed links and memory."""
    return [
        f"parts      {counted(facts['sites'], 'site')}, {counted(facts['routers'], 'router')}, "
        f"{counted(facts['lines'], 'link')}",
        *([f"routers    {facts['router_kind']}{_why(facts)}"] if "router_kind" in facts else []),
        *_validity(facts),
        *_lateness(facts),
        f"lost       {facts['machine_drops']:,} frames by the machine",
        *(f"changed    {line}" for line in changed_links(facts["changed"])),
        f"memory     {facts['memory_bytes'] / 2**20:,.0f} MiB",
    ]


def _past(trouble: dict[str, Any]) -> str:
    """What became of a part whose trouble is over."""
    return "restarted" if trouble["condition"] == "dead" else f"was {trouble['condition']}"


def _trouble(trouble: dict[str, Any]) -> str:
    """A part's trouble: which, when, how long, why, and where to read more."""
    is_dead, is_over = trouble["condition"] == "dead", trouble["until"] is not None
    when = f"{'from' if is_over else 'since'} {_clock(trouble['since'])} ({trouble['for_s']:.0f} s)"
    when = f"at {_clock(trouble['until'])}" if is_dead and is_over else when
    log = f" (see {trouble['log']})" if trouble["log"] and is_dead else ""
    return f"{trouble['part']} {when}: {trouble['reason']}{log}"


def _some(names: list[str]) -> str:
    """The names, at most NAMED of them."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _clock(at: float | None) -> str:
    """A time of day of this machine's time zone, with the date unless it is today."""
    if at is None:
        return ""
    then, now = time.localtime(at), time.localtime()
    return time.strftime("%H:%M:%S" if then[:3] == now[:3] else "%Y-%m-%d %H:%M:%S", then)


def _lateness(facts: dict[str, Any]) -> list[str]:
    """How late the link engine delivers; empty where the kernel carries the links."""
    if "deliveries" not in facts:
        return []
    p50_ms, p99_ms, most_ms = (facts[f"late_{which}_us"] / 1000 for which in ("p50", "p99", "max"))
    frames = f"{facts['deliveries']:,} frames"
    return [f"late by    {p50_ms:.3f} ms at the median, {p99_ms:.3f} ms for 99 % of {frames}, {most_ms:.1f} ms at most"]
