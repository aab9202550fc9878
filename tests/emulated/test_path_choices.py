"""Classes on paths of their own, in real switches: which fibres they take, and what a failure there does to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from controller_world import ControllerWorld, running  # first: it says where the next one is

from controller_plan import plan_with_choices  # isort: skip

pytestmark = pytest.mark.emulated

AROUND = {("bergen", "oslo1"), ("oslo1", "oslo2"), ("oslo2", "trondheim")}
BACK = {(there, here) for here, there in AROUND}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ControllerWorld]:
    """Echoes are best effort, which goes round the busy fibre between Bergen and Trondheim."""
    yield from running(tmp_path, plan_with_choices("best-effort"))


def test_class_goes_round_and_is_repaired_on_its_own_paths(world: ControllerWorld) -> None:
    assert world.hops("bergen-gp", "10.1.0.2") == AROUND | BACK
    assert world.events("error") == []
    world.stop_controller()
    world.set_link("oslo1-oslo2", "down")
    repaired = world.hops("bergen-gp", "10.1.0.2")
    assert {("bergen", "trondheim"), ("trondheim", "bergen")} <= repaired
    assert not {("oslo1", "oslo2"), ("oslo2", "oslo1")} & repaired
