"""What a plan asks of the machine, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scenario_case import FLOW, default_case

from helsewan.lab.flows.flowspec import Expect, TrafficPlan
from helsewan.lab.health.validity import Grade, assess, of_plan
from helsewan.scenarios.traffic.offered_load import OfferedLoad, offered_load

_, PLAN, TRAFFIC = default_case()
VOICE = next(flow for flow in TRAFFIC.flows if flow.kind is FLOW.kind and flow.expect is Expect.DELIVERED)


def test_a_flow_crosses_its_lines_and_routers_at_its_rate() -> None:
    """50 datagrams a second: each over two access lines and the links between, and one router more than links."""
    one = offered_load(TrafficPlan((replace(VOICE, id=0, start_us=0, stop_us=2_000_000),), ()), PLAN)
    links = one.visits_per_s / 50 - 1
    assert links == int(links) >= 0
    assert one.crossings_per_s == 50 * (links + 2)


def test_seconds_apart_do_not_add_up() -> None:
    early = replace(VOICE, id=0, start_us=0, stop_us=2_000_000)
    late = replace(VOICE, id=1, start_us=3_000_000, stop_us=5_000_000)
    alone = offered_load(TrafficPlan((early,), ()), PLAN)
    assert offered_load(TrafficPlan((early, late), ()), PLAN) == alone
    both = offered_load(TrafficPlan((early, replace(late, start_us=1_000_000)), ()), PLAN)
    assert both.visits_per_s == 2 * alone.visits_per_s


def test_what_is_denied_gets_as_far_as_the_first_router() -> None:
    denied = replace(VOICE, id=0, start_us=0, stop_us=1_000_000, expect=Expect.DENIED)
    assert offered_load(TrafficPlan((denied,), ()), PLAN) == OfferedLoad(50.0, 50.0)


def test_nothing_planned_asks_nothing() -> None:
    assert offered_load(TrafficPlan((), ()), PLAN) == OfferedLoad(0.0, 0.0)


@pytest.mark.parametrize(
    ("cores", "grade"), [(1.5, Grade.VALID), (1.7, Grade.SUSPECT), (7.9, Grade.SUSPECT), (8.1, Grade.VOID)]
)
def test_two_cores_and_what_is_asked_of_them(cores: float, grade: Grade) -> None:
    asked = OfferedLoad(crossings_per_s=0, visits_per_s=cores * 1e4).cores(link_us=5, hop_us=100)
    assert asked == pytest.approx(cores)
    assert assess(of_plan(asked, 2)).grade is grade


def test_routers_take_no_more_than_their_threads() -> None:
    load = OfferedLoad(crossings_per_s=1e5, visits_per_s=1e5)
    assert load.cores(link_us=5, hop_us=60) == pytest.approx(6.5)
    assert load.cores(link_us=5, hop_us=60, switching_threads=1) == pytest.approx(1.5)
    assert load.cores(link_us=5, hop_us=2, switching_threads=1) == pytest.approx(0.7)
