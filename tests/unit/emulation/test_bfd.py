"""BFD timers: the longest that meet the detection time, refused where their packets need too much processor time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.common.errors import InputError
from helsewan.emulation.routers.bfd import MOST_SHARE, MULTIPLIER, Timers, timers
from helsewan.policies.plan import DETECT_WITHIN_US
from helsewan.topology.national.generator import national_network


@given(goal_ms=st.integers(9, 3_000), links=st.integers(1, 200), cores=st.integers(1, 64))
def test_timers_keep_the_promise_within_their_share_or_are_refused(goal_ms: int, links: int, cores: int) -> None:
    """The end that learns it from its peer detects it one interval later."""
    try:
        chosen = timers(goal_ms, links, cores)
    except InputError as error:
        (problem,) = error.problems
        least_ms = int(problem.hint.split()[-2])
        assert least_ms > goal_ms
        assert timers(least_ms, links, cores).cores(links) <= MOST_SHARE * cores  # the hint is good advice
    else:
        assert goal_ms - MULTIPLIER <= chosen.interval_ms * (MULTIPLIER + 1) <= goal_ms or chosen.interval_ms == 1
        assert chosen.cores(links) <= MOST_SHARE * cores


def test_by_default_the_whole_country_takes_less_than_a_twentieth_of_a_core() -> None:
    links = len(national_network(sites=100, seed=1).links)
    assert timers(DETECT_WITHIN_US // 1000, links, 2).cores(links) < 0.05


def test_both_directions_get_the_same_timers() -> None:
    """Open vSwitch's default for min_rx is a second."""
    assert list(Timers(50, 3).settings()) == ["bfd:enable=true", "bfd:min_tx=50", "bfd:min_rx=50", "bfd:mult=3"]


def test_a_refusal_says_what_would_do() -> None:
    with pytest.raises(InputError) as caught:
        timers(30, links=55, cores=1)
    text = str(caught.value)
    assert text.startswith("repair.detect_within: '30 ms' takes 3.14 of 1 cores for 55 links; 0.2 are allowed"), text
    assert "hint: at least 4" in text
