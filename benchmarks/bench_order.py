"""Differences of delay at changes of path in the national network: a shorter new path lets as many packets overtake as
the difference of the delays times the rate. Computed only: nothing is sent."""

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
class CorePath:
    """The delay of a path through the core, and whether a router diverts packets to a detour on it."""

    delay_us: int
    detour: bool


def run() -> list[Figure]:
    """Each link fails and returns, alone: the paths over it, from all routers to all egress sets."""
    plan = compile_policy(load_policy(library_path("open")), national_network(SITES, SEED))
    intact = _paths(plan, Failures())
    moved = np.array([gains for link in plan.network.links for gains in _gains_us(plan, intact, link.id)]) / 1000
    figures = []
    for name, gains_ms in zip(("re-optimisation", "return"), moved.T, strict=True):
        below = 100 * float((gains_ms < INTERVAL_MS).mean())
        figures.append(Figure(f"{name}: of {len(gains_ms)} paths, shorter by less than 1 ms", below, "%"))
        figures.append(Figure("  by, median", float(np.median(gains_ms)), "ms"))
        figures.append(Figure("  by, at most", float(gains_ms.max()), "ms"))
    return figures


def _gains_us(plan: Plan, intact: Paths, link: str) -> Iterator[tuple[int, int]]:
    """By how much the paths over a link get shorter at the re-optimisation after its failure, and at its return."""
    without = _paths(plan, Failures(frozenset({link})))
    for router in plan.network.routers:
        for egress in plan.egresses:
            key = router.id, egress.index
            before, after = _path(plan, intact, key, ""), _path(plan, without, key, "")
            repaired = _path(plan, intact, key, link)
            if before and after and repaired and repaired.detour:
                yield repaired.delay_us - after.delay_us, after.delay_us - before.delay_us


def _paths(plan: Plan, failures: Failures) -> Paths:
    return compute_paths(plan.network, plan.egresses, failures, plan.traffic)


def _path(plan: Plan, paths: Paths, key: tuple[str, int], failed: str) -> CorePath | None:
    """The path from a router to an egress set; None if there is none. At link ``failed`` the repair is used."""
    (router, egress), delay_us = key, 0
    while paths.target.get((router, egress)) != router:
        link = paths.primary.get((router, egress))
        if link is None:
            return None
        if link == failed:
            return _repaired(plan, paths, (router, egress), delay_us)
        delay_us += plan.network.link[link].delay_us
        router = plan.network.link[link].other(router)
    return CorePath(delay_us, detour=False)


def _repaired(plan: Plan, paths: Paths, key: tuple[str, int], delay_us: int) -> CorePath | None:
    repair = paths.repair.get(key)
    if repair is None:
        return None
    router = key[0]
    if repair.detour is not None:
        while router != paths.detours[repair.detour].end:
            link = plan.network.link[paths.detour_hops[repair.detour][router]]
            delay_us, router = delay_us + link.delay_us, link.other(router)
    return CorePath(delay_us, detour=True)
