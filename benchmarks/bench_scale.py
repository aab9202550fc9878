"""The national network with 2,500 and with 10,000 sites: time until every hospital is reachable, memory, and time until
nothing is left after the end."""

from __future__ import annotations

from benchmarks import Figure, beside
from benchmarks.sandboxed.launch import KINDS
from benchmarks.sandboxed.scale_watch import Outcome, bring_up_and_down

# By number of sites: targets for the seconds until all is up, the MiB, the seconds to compute and to install all rules.
SIZES = {2_500: ("< 10", "< 2253", "< 5", "< 10"), 10_000: ("< 30", "", "", "")}
PROCESSES_GONE, GONE = "< 2", "< 5"


def run() -> list[Figure]:
    """Measure each size in a sandbox with each kind of routers, one after the other; raises RuntimeError if one does
    not come up completely."""
    found = []
    for sites, targets in SIZES.items():
        found += beside(*(figures(bring_up_and_down(sites, kind), *targets) for kind in KINDS))
    return found


def figures(seen: Outcome, up: str, memory: str, computed: str, installed: str) -> list[Figure]:
    """The figures of one size, with the targets for its times and memory."""
    size = f"{seen.sites:,} sites"
    reached = f"{size}: up, programmed, {seen.answer['hospitals']} hospitals reached"
    found = [Figure(reached, seen.up_s, "s", up)]
    found += [Figure(f"{size}: of it {stage}", seconds, "s") for stage, seconds in seen.answer["stages_s"].items()]
    return [
        *found,
        Figure(f"{size}: memory, peak, as MemAvailable falls", seen.memory_mib, "MiB", memory),
        Figure(f"{size}: of it the processes' (PSS)", seen.processes_mib, "MiB"),
        Figure(f"{size}: all rules computed, as messages", seen.answer["computed_s"], "s", computed),
        Figure(f"{size}: all rules installed, from the first switch on", seen.answer["installed_s"], "s", installed),
        Figure(f"{size}: flows of all routers", seen.answer["flows"], ""),
        Figure(f"{size}: groups of all routers", seen.answer["groups"], ""),
        Figure(f"{size}: flows of the router with most", seen.answer["most_flows"], ""),
        Figure(f"{size}: processes gone after the kill", seen.processes_gone_s, "s", PROCESSES_GONE),
        Figure(f"{size}: nothing left after the kill", seen.gone_s, "s", GONE),
    ]
