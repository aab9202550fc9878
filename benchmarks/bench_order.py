"""How far changes of path move packets in the national network: what a shorter way overtakes is the difference of the
delays times the rate. Pure: nothing is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import Figure
from helsewan.controller.rules.paths import Failures, Paths, compute_paths
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network

SITES, SEED = 400, 1
INTERVAL_MS = 1.0  # between the packets of a flow of 1,000 a second


@dataclass(frozen=True)
class Way:
    """How long a packet is under way in the core, and whether a router turned it on to a detour."""

    delay_us: int
    detour: bool


def run() -> list[Figure]:
    """Every fibre fails and returns, alone: all routers' ways to all egress sets that led over it."""
    plan = compile_policy(load_policy(library_path("open")), national_network(SITES, SEED))
    intact = _paths(plan, Failures())
    moved = np.array([gains for link in plan.network.links for gains in _gains_us(plan, intact, link.id)]) / 1000
    figures = []
    for name, gains_ms in zip(("re-optimisation", "return"), moved.T, strict=True):
        still = 100 * float((gains_ms < INTERVAL_MS).mean())
        figures.append(Figure(f"{name}: of {len(gains_ms)} ways, shorter by less than 1 ms", still, "%"))
        figures.append(Figure("  by, median", float(np.median(gains_ms)), "ms"))
        figures.append(Figure("  by, at most", float(gains_ms.max()), "ms"))
    return figures


def _gains_us(plan: Plan, intact: Paths, link: str) -> Iterator[tuple[int, int]]:
    """By how much the ways over a fibre get shorter when it has failed and paths are computed anew, and when it is
    back."""
    without = _paths(plan, Failures(frozenset({link})))
    for router in plan.network.routers:
        for egress in plan.egresses:
            key = router.id, egress.index
            before, after = _way(plan, intact, key, ""), _way(plan, without, key, "")
            repaired = _way(plan, intact, key, link)
            if before and after and repaired and repaired.detour:
                yield repaired.delay_us - after.delay_us, after.delay_us - before.delay_us


def _paths(plan: Plan, failures: Failures) -> Paths:
    return compute_paths(plan.network, plan.egresses, failures, plan.traffic)


def _way(plan: Plan, paths: Paths, key: tuple[str, int], dead: str) -> Way | None:
    """The way from a router to an egress set; None where there is none. At fibre ``dead`` its repair is taken."""
    (router, egress), delay_us = key, 0
    while paths.target.get((router, egress)) != router:
        link = paths.primary.get((router, egress))
        if link is None:
            return None
        if link == dead:
            return _repaired(plan, paths, (router, egress), delay_us)
        delay_us += plan.network.link[link].delay_us
        router = plan.network.link[link].other(router)
    return Way(delay_us, detour=False)


def _repaired(plan: Plan, paths: Paths, key: tuple[str, int], delay_us: int) -> Way | None:
    repair = paths.repair.get(key)
    if repair is None:
        return None
    router = key[0]
    if repair.detour is not None:
        while router != paths.detours[repair.detour].end:
            link = plan.network.link[paths.detour_hops[repair.detour][router]]
            delay_us, router = delay_us + link.delay_us, link.other(router)
    return Way(delay_us, detour=True)
