"""Changes of policy, refusals, restarts and drift: switches' rules afterwards, and forwarding meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

import pytest
import reconciler_stage as testbed
from controller_plan import plan_with_choices
from reconciler_policies import held, pings, without_ping

from helsewan.controller.openflow.entries import FlowRule, Table
from helsewan.controller.update.commands import Event, Read
from helsewan.controller.update.rollout import ANSWER_S
from helsewan.controller.update.rollout import Stage as Turn
from helsewan.policies.plan import Plan


def with_other_labels(plan: Plan) -> Plan:
    """The same policy with VPNs of other names, and therefore of other labels."""
    return replace(
        plan,
        policy="other labels",
        vpns=tuple(replace(vpn, name=f"{vpn.name}-2") for vpn in plan.vpns),
        roles=tuple(replace(role, vpn=f"{role.vpn}-2") for role in plan.roles),
        attachments=tuple(replace(line, vpn=f"{line.vpn}-2") for line in plan.attachments),
        routes=tuple(replace(route, vpn=f"{route.vpn}-2") for route in plan.routes),
    )


def advance(stage: testbed.Stage) -> None:
    """Carries out one command, or, where none is queued, lets time pass."""
    busy = sorted(router for router, queue in stage.queues.items() if queue)
    stage.carry_out(busy[0]) if busy else stage.pass_time(testbed.SETTLE_S)


def knows(stage: testbed.Stage, router: str, label: int) -> bool:
    """Whether a switch has an entry for a VPN's label."""
    flows = stage.fabric.switches[router].flows.values()
    return any(flow.table is Table.VPN and dict(flow.match).get("mpls_label") == label for flow in flows)


@pytest.fixture
def stage() -> testbed.Stage:
    """All switches programmed."""
    stage = testbed.Stage()
    stage.connect()
    stage.run()
    return stage


def test_policy_changes_without_loss_and_is_kept(stage: testbed.Stage) -> None:
    assert pings(stage)
    stage.take(stage.reconciler.change_plan(without_ping(testbed.PLAN), stage.now))
    stage.run(random.Random(1), watch=True)
    assert not pings(stage) and len(stage.said("policy-switched")) == 1
    assert [plan.policy for plan in stage.stored] == ["no ping"]
    stage.take(stage.reconciler.change_plan(testbed.PLAN, stage.now))
    stage.run(random.Random(1), watch=True)
    assert pings(stage)


@pytest.mark.parametrize("router", testbed.NETWORK.router)
def test_policy_that_a_switch_refuses_is_undone_everywhere(stage: testbed.Stage, router: str) -> None:
    stage.take(stage.reconciler.change_plan(without_ping(testbed.PLAN), stage.now))
    stage.run()
    before = held(stage)
    stage.fabric.switches[router].refuses = lambda e: isinstance(e, FlowRule) and e.table is Table.CONTRACT
    stage.take(stage.reconciler.change_plan(testbed.PLAN, stage.now))
    stage.run()
    (refused,) = stage.said("policy-refused")
    assert refused.details["router"] == router and "table contract" in refused.details["rule"]
    assert held(stage) == before and not pings(stage)
    assert stage.stored[-1].policy == "no ping"


@pytest.mark.parametrize("link", [None, "oslo2-trondheim", "bodo-tromso"])
def test_new_controller_converges_to_no_change(stage: testbed.Stage, link: str | None) -> None:
    if link:
        stage.set_link(link, up=False)
        stage.run()
    before = held(stage)
    again = testbed.Stage()
    again.fabric = stage.fabric
    again.connect()
    again.run(watch=True)
    (adopted,) = again.said("adopted")
    assert adopted.details["rules"] == [0, 0, 0] and held(again) == before
    assert len(again.said("all-programmed")) == 1


@pytest.mark.parametrize("moment", range(0, 30, 3))
def test_new_controller_finishes_what_the_last_began(stage: testbed.Stage, moment: int) -> None:
    stage.set_link("oslo2-trondheim", up=False)
    for _ in range(moment):
        busy = sorted(router for router, queue in stage.queues.items() if queue)
        stage.carry_out(busy[0]) if busy else stage.pass_time(testbed.SETTLE_S)
    again = testbed.Stage()
    again.fabric = stage.fabric
    for switch in again.fabric.switches.values():
        switch.bundles.clear()
    again.connect()
    again.run(watch=True)
    again.expected(again.reconciler.current.failures)


@pytest.fixture
def no_labels_left(stage: testbed.Stage) -> Iterator[None]:
    """As many transport labels as are in use, and no more."""
    with patch("helsewan.controller.rules.label_rules._LABEL_LIMIT", max(stage.reconciler.current.labels.hops) + 1):
        yield


@pytest.mark.usefixtures("no_labels_left")
def test_failure_for_which_no_labels_are_left_changes_nothing_and_is_told_once(stage: testbed.Stage) -> None:
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
def test_policy_for_which_no_labels_are_left_changes_nothing(stage: testbed.Stage) -> None:
    before, greedy = held(stage), replace(plan_with_choices("voice"), policy="greedy")
    stage.take(stage.reconciler.change_plan(greedy, stage.now))
    stage.run(watch=True)
    (refused,) = stage.said("policy-refused")
    assert refused.details["policy"] == "greedy" and "need a label each" in refused.details["reason"]
    assert held(stage) == before and stage.stored == [testbed.PLAN]


def test_drift_is_reported_and_repaired(stage: testbed.Stage) -> None:
    before = held(stage)
    switch = stage.fabric.switches["bergen"]
    switch.flows.pop(next(iter(switch.flows)))
    switch.known = None
    for _ in range(200):
        stage.pass_time(0.5)
        stage.run()
    assert [r.event for r in stage.reports if isinstance(r, Event) and r.event.startswith("drift")] == [
        "drift",
        "drift-repaired",
    ]
    assert held(stage) == before


@pytest.mark.parametrize("turned", range(3))
def test_old_entries_stay_until_a_lost_switch_is_back(stage: testbed.Stage, turned: int) -> None:
    """It was lost before it committed: packets that enter there are forwarded by the old policy to their end."""
    label = testbed.PLAN.vpn["services"].label
    stage.take(stage.reconciler.change_plan(with_other_labels(testbed.PLAN), stage.now))
    while stage.step is not Turn.TURNING or len(stage.reconciler.rollout.turned) < turned:
        advance(stage)
    stage.lose("trondheim")
    lost = stage.now
    while stage.now < lost + ANSWER_S * 0.9:
        advance(stage)
        assert stage.delivers() == set(testbed.CLIENTS) and knows(stage, "oslo1", label)
    stage.connect("trondheim")
    stage.run(watch=True)
    assert len(stage.said("policy-switched")) == 1 and not knows(stage, "oslo1", label)


def test_a_switch_that_stays_away_does_not_hold_up_a_policy_for_ever(stage: testbed.Stage) -> None:
    stage.take(stage.reconciler.change_plan(without_ping(testbed.PLAN), stage.now))
    while stage.step is not Turn.TURNING:
        advance(stage)
    stage.lose("trondheim")
    lost = stage.now
    while not stage.said("policy-switched"):
        advance(stage)
    assert stage.now < lost + 2 * ANSWER_S


def test_a_black_hole_link_of_the_last_controller_is_not_used_by_the_new(stage: testbed.Stage) -> None:
    """It has carrier and no BFD session: a new controller does not take it for one that is coming up."""
    stage.set_link("bodo-tromso", up=False)
    stage.run()
    again = testbed.Stage()
    again.fabric = stage.fabric
    for router in testbed.NETWORK.router:
        again.greet(router, *({"bodo-tromso"} & testbed.NETWORK.ports[router].keys()))
    again.run(watch=True)
    (adopted,) = again.said("adopted")
    assert adopted.details["rules"] == [0, 0, 0] and adopted.details["links_down"] == ["bodo-tromso"]


def test_what_was_read_before_a_change_is_no_drift_in_it(stage: testbed.Stage) -> None:
    """The reply arrives when the switch's target has changed already."""
    while not (asked := [router for router, queue in stage.queues.items() if any(isinstance(o, Read) for o in queue)]):
        for router, queue in stage.queues.items():
            if queue:
                stage.carry_out(router)
        stage.pass_time(0.5)
    (router,) = asked
    command, read = stage.queues[router].pop(), stage.fabric.switches[router].held
    stage.set_link("bergen-trondheim", up=False)
    while stage.step is None:
        stage.pass_time(testbed.SETTLE_S)
    stage.take(stage.reconciler.holds(router, read, command, stage.now))
    assert not stage.said("drift")
    stage.run()
    assert not stage.said("error") and not stage.said("change-refused")
