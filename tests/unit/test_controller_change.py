"""Changes of policy, refusals, restarts and drift: what switches hold afterwards, and packets met meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
import test_controller_conductor as rig
from controller_plan import plan_with_choices
from controller_switch import ICMP

from controller.orders import Report
from controller.rules import FlowRule, Table
from policies.plan import Plan


def without_ping(plan: Plan) -> Plan:
    """A policy in which nobody may ping."""
    return replace(plan, policy="no ping", contracts=tuple(c for c in plan.contracts if c.service != "ping"))


def pings(stage: rig.Stage) -> bool:
    """Whether the broker can be pinged from Bodo."""
    address = str(rig.NETWORK.site["broker"].address4)
    return stage.fabric.send("bodo-gp", ipv4_dst=address, ip_proto=ICMP, icmpv4_type=8).vlan == 104


@pytest.fixture
def stage() -> rig.Stage:
    """All switches programmed."""
    stage = rig.Stage()
    stage.connect()
    stage.run()
    return stage


def held(stage: rig.Stage) -> dict[str, object]:
    """What every switch holds."""
    return {router: (dict(s.flows), dict(s.groups), dict(s.meters)) for router, s in stage.fabric.switches.items()}


def test_policy_changes_without_loss_and_is_kept(stage: rig.Stage) -> None:
    assert pings(stage)
    stage.take(stage.conductor.change_plan(without_ping(rig.PLAN), stage.now))
    stage.run(random.Random(1), watch=True)
    assert not pings(stage) and len(stage.said("policy-switched")) == 1
    assert [plan.policy for plan in stage.stored] == ["no ping"]
    stage.take(stage.conductor.change_plan(rig.PLAN, stage.now))
    stage.run(random.Random(1), watch=True)
    assert pings(stage)


@pytest.mark.parametrize("router", rig.NETWORK.router)
def test_policy_that_a_switch_refuses_is_undone_everywhere(stage: rig.Stage, router: str) -> None:
    stage.take(stage.conductor.change_plan(without_ping(rig.PLAN), stage.now))
    stage.run()
    before = held(stage)
    stage.fabric.switches[router].refuses = lambda e: isinstance(e, FlowRule) and e.table is Table.CONTRACT
    stage.take(stage.conductor.change_plan(rig.PLAN, stage.now))
    stage.run()
    (refused,) = stage.said("policy-refused")
    assert refused.details["router"] == router and "table contract" in refused.details["rule"]
    assert held(stage) == before and not pings(stage)
    assert stage.stored[-1].policy == "no ping"


@pytest.mark.parametrize("link", [None, "oslo2-trondheim", "bodo-tromso"])
def test_new_controller_converges_to_no_change(stage: rig.Stage, link: str | None) -> None:
    if link:
        stage.set_link(link, up=False)
        stage.run()
    before = held(stage)
    again = rig.Stage()
    again.fabric = stage.fabric
    again.connect()
    again.run(watch=True)
    (adopted,) = again.said("adopted")
    assert adopted.details["rules"] == [0, 0, 0] and held(again) == before
    assert len(again.said("all-programmed")) == 1


@pytest.mark.parametrize("moment", range(0, 30, 3))
def test_new_controller_finishes_what_the_last_began(stage: rig.Stage, moment: int) -> None:
    stage.set_link("oslo2-trondheim", up=False)
    for _ in range(moment):
        busy = sorted(router for router, queue in stage.queues.items() if queue)
        stage.carry_out(busy[0]) if busy else stage.pass_time(rig.SETTLE_S)
    again = rig.Stage()
    again.fabric = stage.fabric
    for switch in again.fabric.switches.values():
        switch.bundles.clear()
    again.connect()
    again.run(watch=True)
    again.expected(again.conductor.current.failures)


@pytest.fixture
def no_labels_left(stage: rig.Stage) -> Iterator[None]:
    """As many transport labels as are in use, and no more."""
    with patch("controller.core._END_OF_LABELS", max(stage.conductor.current.labels.hops) + 1):
        yield


@pytest.mark.usefixtures("no_labels_left")
def test_failure_for_which_no_labels_are_left_changes_nothing_and_is_told_once(stage: rig.Stage) -> None:
    before = held(stage)
    stage.set_link("bodo-tromso", up=False)
    stage.run()
    (refused,) = stage.said("paths-refused")
    assert "trees of paths' need a label each" in refused.details["reason"]
    assert held(stage) == before and not stage.said("paths-switched")
    stage.set_link("bodo-tromso", up=True)
    stage.run(watch=True)
    assert len(stage.said("paths-refused")) == 1


@pytest.mark.usefixtures("no_labels_left")
def test_policy_for_which_no_labels_are_left_changes_nothing(stage: rig.Stage) -> None:
    before, greedy = held(stage), replace(plan_with_choices("voice"), policy="greedy")
    stage.take(stage.conductor.change_plan(greedy, stage.now))
    stage.run(watch=True)
    (refused,) = stage.said("policy-refused")
    assert refused.details["policy"] == "greedy" and "need a label each" in refused.details["reason"]
    assert held(stage) == before and stage.stored == [rig.PLAN]


def test_drift_is_told_and_repaired(stage: rig.Stage) -> None:
    before = held(stage)
    switch = stage.fabric.switches["bergen"]
    switch.flows.pop(next(iter(switch.flows)))
    switch.known = None
    for _ in range(200):
        stage.pass_time(0.5)
        stage.run()
    assert [r.event for r in stage.reports if isinstance(r, Report) and r.event.startswith("drift")] == [
        "drift",
        "drift-repaired",
    ]
    assert held(stage) == before
