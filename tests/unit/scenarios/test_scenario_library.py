"""The library's scenarios: each is valid, says where it comes from, and is planned the same way every time."""

from __future__ import annotations

import pytest

from helsewan.scenarios.run.preparation import Prepared, prepare
from helsewan.scenarios.spec.spec import SCENARIOS

MOST_US = 120_000_000  # of traffic: with the time to bring the network up, a run takes less than three minutes


@pytest.fixture(scope="module")
def once() -> dict[str, Prepared]:
    """Each of the library, prepared."""
    return {name: prepare(name, {}) for name in SCENARIOS.names}


@pytest.mark.parametrize("name", SCENARIOS.names)
def test_one_seed_gives_one_plan(name: str, once: dict[str, Prepared]) -> None:
    """Traffic, targets and the order of events; those of another seed differ in traffic."""
    first, again = once[name], prepare(name, {})
    assert (again.traffic.flows, again.traffic.exchanges) == (first.traffic.flows, first.traffic.exchanges)
    assert again.traffic.programs == first.traffic.programs
    assert again.timeline.targets == first.timeline.targets
    assert again.timeline.plan == first.timeline.plan
    other = prepare(name, {}, seed=first.scenario.network.seed + 1)
    assert (other.traffic.flows, other.traffic.exchanges) != (first.traffic.flows, first.traffic.exchanges)


@pytest.mark.parametrize("name", SCENARIOS.names)
def test_a_scenario_is_what_its_file_says(name: str, once: dict[str, Prepared]) -> None:
    scenario = once[name].scenario
    assert scenario.name == name
    assert scenario.spec.duration <= MOST_US
    assert 20 < len(scenario.spec.description) <= 120
    comment = SCENARIOS.path(name).read_text(encoding="utf-8").partition("\n\n")[0]
    assert comment.startswith("# ") and comment.count("\n") >= 1
