"""What a standing network's clients print for people."""

from __future__ import annotations

from typing import Any

from scenarios.line_tables import changes_told
from scenarios.screen import Screen


def print_status(facts: dict[str, Any]) -> None:
    """How a network stands, a line each."""
    for line in status_lines(facts):
        Screen().print(line, markup=False, soft_wrap=True)


def status_lines(facts: dict[str, Any]) -> list[str]:
    """The status as lines of text."""
    lines = [
        f"network    {facts['name']}, {facts['state']} for {facts['uptime_s']:.0f} s"
        + (f": {facts['stage']}" if facts["stage"] else ""),
        f"built of   {facts['network']}, seed {facts['seed']}, policy {facts['policy']}",
    ]
    if facts["state"] == "up":
        lines += [
            f"parts      {facts['sites']} sites, {facts['routers']} routers, {facts['lines']} lines",
            f"late by    {facts['late_p50_us'] / 1000:.3f} ms at the median, {facts['late_p99_us'] / 1000:.3f} ms for "
            f"99 % of {facts['deliveries']:,} frames, {facts['late_max_us'] / 1000:.1f} ms at most",
            f"lost       {facts['machine_drops']:,} frames by the machine",
            *(f"changed    {line}" for line in changes_told(facts["changed"])),
            f"memory     {facts['memory_bytes'] / 2**20:,.0f} MiB",
        ]
    return [*lines, f"directory  {facts['directory']}"]
