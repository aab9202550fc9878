"""Faults drawn by seed: the same for the same seed, from the stated distribution, in the file's own grammar."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_text import read
from small_network import DESCRIPTION

from helsewan.common.document import loads
from helsewan.scenarios.repetition.random_faults import DISTRIBUTION, PREFIX, draw_faults, with_random_faults
from helsewan.scenarios.run.kept_inputs import dumped, filled_in
from helsewan.scenarios.spec.spec import Scenario, read_scenario
from helsewan.scenarios.spec.timeline.targets import resolve_timeline
from helsewan.topology.importers import network_from
from helsewan.topology.model import MOST_SEED, Network
from helsewan.topology.national.generator import national_network


@cache
def network() -> Network:
    return national_network(120, 1)


def scenario(seed: int) -> Scenario:
    return read(network__seed=str(seed))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, MOST_SEED))
def test_a_drawn_timeline_is_a_scenario(seed: int) -> None:
    """It reads back from its own text, every target exists, nothing is failed twice, and it ends within the run."""
    drawn = with_random_faults(scenario(seed), network())
    again = read_scenario(loads(dumped(filled_in(drawn)).encode(), "drawn.yaml"))
    assert again.spec == drawn.spec
    resolve_timeline(drawn.spec, network(), drawn.document)
    faults = draw_faults(drawn.spec.model_copy(update={"timeline": {}}), network())
    assert 1 <= len(faults) <= DISTRIBUTION.most
    assert [fault.begin_us for fault in faults] == sorted(fault.begin_us for fault in faults)
    for fault in faults:
        assert 0 < fault.begin_us <= 0.7 * drawn.spec.duration + 10_000
        assert fault.begin_us + fault.lasts_us <= 0.9 * drawn.spec.duration + 10_000
        assert fault.lasts_us >= DISTRIBUTION.shortest_us


@settings(max_examples=20, deadline=None)
@given(st.integers(0, MOST_SEED))
def test_the_same_seed_draws_the_same(seed: int) -> None:
    first, second = (with_random_faults(scenario(seed), network()) for _ in range(2))
    assert first.spec == second.spec
    assert list(first.spec.timeline) == list(second.spec.timeline)


def test_the_scenarios_own_events_stay_and_are_left_alone() -> None:
    for seed in range(30):
        drawn = with_random_faults(scenario(seed), network())
        assert [name for name in drawn.spec.timeline if not name.startswith(PREFIX)] == ["failure", "repair"]
        entries = [event for name, event in drawn.spec.timeline.items() if name.startswith(PREFIX)]
        assert not any("trondheim" in str(event.fail or event.blackhole) for event in entries)


def test_kinds_numbers_and_simultaneous_faults_are_as_stated() -> None:
    """Over 600 seeds; bounds are four standard deviations of a binomial count."""
    spec = read().spec.model_copy(update={"timeline": {}})
    drawn = [
        draw_faults(spec.model_copy(update={"network": spec.network.model_copy(update={"seed": seed})}), network())
        for seed in range(600)
    ]
    kinds = Counter(fault.kind for faults in drawn for fault in faults)
    total, weights = sum(kinds.values()), sum(DISTRIBUTION.kinds.values())
    for kind, weight in DISTRIBUTION.kinds.items():
        share = weight / weights
        assert kinds[kind] / total == pytest.approx(share, abs=4 * (share * (1 - share) / total) ** 0.5), kind
    assert sum(len(faults) == 1 for faults in drawn) / 600 == pytest.approx(0.368, abs=0.08)  # e**-1 draw no more
    later = sum(len(faults) - 1 for faults in drawn)
    together = sum(len(faults) - len({fault.begin_us for fault in faults}) for faults in drawn)
    assert together / later == pytest.approx(0.25, abs=4 * (0.25 * 0.75 / later) ** 0.5 + 0.01)


def test_a_small_network_has_no_more_faults_than_parts() -> None:
    small = network_from(DESCRIPTION)
    spec = read().spec.model_copy(update={"timeline": {}})
    for seed in range(50):
        faults = draw_faults(spec.model_copy(update={"network": spec.network.model_copy(update={"seed": seed})}), small)
        assert len({(fault.kind, fault.target) for fault in faults}) == len(faults)
