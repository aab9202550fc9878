"""Calibration: the fit finds the machine's overhead, whatever the network's own delays are."""

from __future__ import annotations

import pytest

from helsewan.lab.calibration.calibration import (
    MAX_US,
    TRIES,
    Overhead,
    calibration_paths,
    fit,
    model_us,
    remaining_us,
    short_links_us,
    undisturbed,
)
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.national.generator import national_network

PLAN = compile_policy(load_policy(library_path("national")), national_network(200, seed=1))
PATHS = calibration_paths(PLAN, seed=1)


def test_paths_are_of_many_lengths_and_the_same_for_a_seed() -> None:
    """A fit needs different lengths, and a seed always gives the same paths."""
    assert len({len(path.links) for path in PATHS}) >= 4
    assert calibration_paths(PLAN, seed=1) == PATHS
    assert len(PATHS) == 12


def test_a_path_leads_from_site_to_site() -> None:
    """Its links join the routers of both sites."""
    for path in PATHS:
        router = path.a.homing[0]
        for link in path.links:
            assert router in (link.a, link.b)
            router = link.other(router)
        assert router == path.b.homing[0]


def test_fit_finds_the_overhead_that_was_put_in() -> None:
    """Delays made from the model and an overhead give that overhead back; outliers of a few datagrams do not show."""
    delays = [[model_us(path) + 2 * 80.0 + 250.0 * len(path.links)] * 9 + [50_000.0] * 3 for path in PATHS]
    found = fit(PATHS, delays)
    assert (found.core_us, found.access_us) == pytest.approx((250.0, 80.0))


def test_fit_without_measurements_is_no_overhead() -> None:
    """Without measurements, or with paths of one length only, the overhead is unknown."""
    assert fit(PATHS, [[] for _ in PATHS]) == Overhead()
    same = [path for path in PATHS if len(path.links) == len(PATHS[0].links)]
    assert fit(same, [[1e5] for _ in same]) == Overhead()


def test_fit_is_bounded() -> None:
    """Neither negative nor extreme excess changes the links' delays."""
    assert fit(PATHS, [[0.0] for _ in PATHS]) == Overhead()
    hopeless = fit(PATHS, [[model_us(path) + 1e6 * len(path.links)] for path in PATHS])
    assert hopeless.core_us == MAX_US


@pytest.mark.parametrize(
    ("found_us", "taken_us", "measured"),
    [
        ([200.0], 200.0, 1),
        ([MAX_US, 210.0], 210.0, 2),
        ([MAX_US] * TRIES, MAX_US, TRIES),
    ],
    ids=["quiet", "disturbed once", "never quiet"],
)
def test_a_disturbed_calibration_is_done_again(found_us: list[float], taken_us: float, measured: int) -> None:
    left = list(found_us)
    assert undisturbed(lambda: Overhead(ends_us=left.pop(0))).ends_us == taken_us
    assert len(found_us) - len(left) == measured


def test_the_remaining_overhead_is_that_of_paths_with_a_core_link() -> None:
    """A path within one router has no link that could compensate it; without measurements it is 0."""
    longer = [path for path in PATHS if path.links]
    assert remaining_us(longer, [[model_us(path) + 60.0] * 5 + [9e4] for path in longer]) == pytest.approx(60.0)
    assert remaining_us(longer, [[model_us(path) - 60.0] for path in longer]) == 0.0
    assert remaining_us(longer, [[] for _ in longer]) == 0.0
    within = [path for path in PATHS if not path.links]
    assert remaining_us(within, [[1e5] for _ in within]) == 0.0


def test_links_without_enough_delay_are_listed_with_the_difference() -> None:
    assert short_links_us({"oslo-1--oslo-2": 10, "a/wan0": 50, "bodo--fauske": 250}, 200.0) == {
        "oslo-1--oslo-2": 190.0,
        "a/wan0": 150.0,
    }
