"""``helsewan status``: a running network's state as lines of text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from helsewan.cli.tables.links import changed_links
from helsewan.common.screen import Screen


def print_status(facts: dict[str, Any]) -> None:
    """Print the status, whatever the terminal's width."""
    for line in status_lines(facts):
        Screen().print(line, markup=False, soft_wrap=True)


def status_lines(facts: dict[str, Any]) -> list[str]:
    """The status, one fact a line."""
    lines = [
        f"network    {facts['name']}, {facts['state']} for {facts['uptime_s']:.0f} s"
        + (f": {facts['stage']}" if facts["stage"] else ""),
        f"built of   {facts['network']}, seed {facts['seed']}, policy {facts['policy']}",
    ]
    if facts["state"] == "up":
        lines += [
            f"parts      {facts['sites']} sites, {facts['routers']} routers, {facts['lines']} links",
            *_validity(facts),
            *_lateness(facts),
            f"lost       {facts['machine_drops']:,} frames by the machine",
            *(f"changed    {line}" for line in changed_links(facts["changed"])),
            f"memory     {facts['memory_bytes'] / 2**20:,.0f} MiB",
        ]
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
    return [line, *(f"           {reason['grade']}: {reason['text']}" for reason in validity["reasons"])]


def _lateness(facts: dict[str, Any]) -> list[str]:
    """How late the link engine delivers; empty where the kernel carries the links."""
    if "deliveries" not in facts:
        return []
    p50_ms, p99_ms, most_ms = (facts[f"late_{which}_us"] / 1000 for which in ("p50", "p99", "max"))
    frames = f"{facts['deliveries']:,} frames"
    return [f"late by    {p50_ms:.3f} ms at the median, {p99_ms:.3f} ms for 99 % of {frames}, {most_ms:.1f} ms at most"]
