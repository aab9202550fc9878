"""Calibration: the fit finds the machine's overhead, whatever the network's own delays are."""

from __future__ import annotations

import pytest

from helsewan.lab.calibration.calibration import (
    MOST_US,
    TRIES,
    Overhead,
    calibration_paths,
    fit,
    model_us,
    rest_us,
    short_links_us,
    undisturbed,
)
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.national.generator import national_network

PLAN = compile_policy(load_policy(library_path("national")), national_network(200, seed=1))
ROUTES = calibration_paths(PLAN, seed=1)


def test_ways_are_of_many_lengths_and_the_same_for_a_seed() -> None:
    """A line needs points apart: lengths differ, and a seed always gives the same ways."""
    assert len({len(way.links) for way in ROUTES}) >= 4
    assert calibration_paths(PLAN, seed=1) == ROUTES
    assert len(ROUTES) == 12


def test_a_way_leads_from_site_to_site() -> None:
    """Its links join the routers of both sites."""
    for way in ROUTES:
        router = way.a.homing[0]
        for link in way.links:
            assert router in (link.a, link.b)
            router = link.other(router)
        assert router == way.b.homing[0]


def test_fit_finds_the_overhead_that_was_put_in() -> None:
    """Delays made from the model and an overhead give that overhead back; outliers of a few datagrams do not show."""
    delays = [[model_us(way) + 2 * 80.0 + 250.0 * len(way.links)] * 9 + [50_000.0] * 3 for way in ROUTES]
    found = fit(ROUTES, delays)
    assert (found.core_us, found.access_us) == pytest.approx((250.0, 80.0))


def test_fit_without_anything_heard_takes_nothing_off() -> None:
    """Silence, or ways all of one length, say nothing about the machine."""
    assert fit(ROUTES, [[] for _ in ROUTES]) == Overhead()
    same = [way for way in ROUTES if len(way.links) == len(ROUTES[0].links)]
    assert fit(same, [[1e5] for _ in same]) == Overhead()


def test_fit_is_bounded() -> None:
    """Neither a machine that seems early nor one that is hopeless bends the lines."""
    assert fit(ROUTES, [[0.0] for _ in ROUTES]) == Overhead()
    hopeless = fit(ROUTES, [[model_us(way) + 1e6 * len(way.links)] for way in ROUTES])
    assert hopeless.core_us == MOST_US


@pytest.mark.parametrize(
    ("found_us", "taken_us", "measured"),
    [
        ([200.0], 200.0, 1),
        ([MOST_US, 210.0], 210.0, 2),
        ([MOST_US] * TRIES, MOST_US, TRIES),
    ],
    ids=["quiet", "disturbed once", "never quiet"],
)
def test_a_disturbed_calibration_is_done_again(found_us: list[float], taken_us: float, measured: int) -> None:
    left = list(found_us)
    assert undisturbed(lambda: Overhead(ends_us=left.pop(0))).ends_us == taken_us
    assert len(found_us) - len(left) == measured


def test_the_rest_is_the_ends_of_ways_that_have_a_core_link() -> None:
    """A way within one router has no line that could make up for it; silence says nothing."""
    longer = [way for way in ROUTES if way.links]
    assert rest_us(longer, [[model_us(way) + 60.0] * 5 + [9e4] for way in longer]) == pytest.approx(60.0)
    assert rest_us(longer, [[model_us(way) - 60.0] for way in longer]) == 0.0
    assert rest_us(longer, [[] for _ in longer]) == 0.0
    within = [way for way in ROUTES if not way.links]
    assert rest_us(within, [[1e5] for _ in within]) == 0.0


def test_lines_without_delay_to_spare_are_listed_with_what_they_lack() -> None:
    assert short_links_us({"oslo-1--oslo-2": 10, "a/wan0": 50, "bodo--fauske": 250}, 200.0) == {
        "oslo-1--oslo-2": 190.0,
        "a/wan0": 150.0,
    }
