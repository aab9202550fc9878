"""Requests of operators: links and PoPs out of service without packet loss, and policies that do not overwrite each
other."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import reconciler_stage as testbed
from policy_network import small_network as triangle
from reconciler_policies import held, pings, without_ping

from helsewan.controller.rules.paths import Failures, Paths, compute_paths
from helsewan.controller.update.network_state import links_of
from helsewan.controller.update.policy_change import Origin
from helsewan.policies.plan import Egress
from helsewan.topology.model import Network
from helsewan.topology.national.generator import national_network

ANNA, BERIT = Origin({"door": "api", "name": "anna"}), Origin({"door": "api", "name": "berit"})
PLACES = sorted([*testbed.NETWORK.link, *testbed.NETWORK.pop])


@pytest.fixture
def stage() -> testbed.Stage:
    """All switches programmed."""
    stage = testbed.Stage()
    stage.connect()
    stage.run()
    return stage


def withdraw(stage: testbed.Stage, *places: str, origin: Origin = ANNA) -> None:
    stage.take(stage.reconciler.withdraw(frozenset(places), stage.now, origin))


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_lost_while_a_place_goes_and_comes_back(stage: testbed.Stage, place: str) -> None:
    """Checked after every step, with the switches' commands carried out in any order."""
    before = held(stage)
    withdraw(stage, place)
    stage.run(random.Random(1), watch=True)
    links = links_of(testbed.NETWORK, place)
    (switched,) = stage.said("paths-switched")
    assert switched.details["withdrawn"] == sorted(links) and switched.details["by"]["name"] == "anna"
    stage.expected(Failures(avoided=links))
    withdraw(stage, origin=BERIT)
    stage.run(random.Random(1), watch=True)
    assert stage.said("paths-switched")[-1].details["by"]["name"] == "berit"
    stage.expected(Failures())
    assert held(stage) == before
    assert stage.withdrawn == [{place}, frozenset()]


def test_a_line_that_is_out_of_service_may_fail_without_a_word(stage: testbed.Stage) -> None:
    withdraw(stage, "oslo2-trondheim")
    stage.run()
    before = held(stage)
    stage.set_link("oslo2-trondheim", up=False)
    assert stage.delivers() == set(testbed.CLIENTS)  # no path used it, so nothing is repaired
    stage.run(watch=True)
    stage.set_link("oslo2-trondheim", up=True)
    stage.run(watch=True)
    assert held(stage) == before
    assert [each.details["by"]["door"] for each in stage.said("paths-switched")] == ["api", "controller", "controller"]


def test_a_failure_beside_a_line_out_of_service_brings_it_back_as_the_last_resort(stage: testbed.Stage) -> None:
    withdraw(stage, "bodo-tromso")
    stage.run()
    stage.set_link("trondheim-bodo", up=False)  # Bodo has no other path left
    stage.run(watch=True)
    assert stage.delivers() == set(testbed.CLIENTS)


def test_a_new_controller_keeps_out_of_service_what_is(stage: testbed.Stage) -> None:
    withdraw(stage, "bergen")
    stage.run()
    before = held(stage)
    again = testbed.Stage()
    again.fabric, again.reconciler.live.withdrawn = stage.fabric, stage.withdrawn[-1]
    again.connect()
    again.run(watch=True)
    assert again.said("adopted")[0].details["rules"] == [0, 0, 0] and held(again) == before


def way(network: Network, paths: Paths, router: str, egress: int) -> list[str]:
    """The links from a router to an egress set."""
    links = []
    while link := paths.primary.get((router, egress)):
        links.append(link)
        router = network.link[link].other(router)
        assert len(links) <= len(network.routers), "packets go round in a circle"
    return links


NATIONAL = national_network(83)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(triangle(), id="triangle"),
        pytest.param(testbed.NETWORK, id="ring"),
        pytest.param(NATIONAL, id="national", marks=pytest.mark.exhaustive),
    ],
)
def test_what_is_out_of_service_carries_nothing_that_has_another_way(network: Network) -> None:
    """For every link and every PoP: all sites reach each other as before, and paths use what is out of service only at
    their ends or where there is no other path. There are no loops."""
    egresses = tuple(Egress(number, (router.id,)) for number, router in enumerate(network.routers))
    whole = compute_paths(network, egresses)
    for place in sorted([*network.link, *network.pop]):
        links = links_of(network, place)
        avoiding, without = (
            compute_paths(network, egresses, each) for each in (Failures(avoided=links), Failures(links))
        )
        assert avoiding.target == whole.target
        for router, egress in whole.primary:
            taken = set(way(network, avoiding, router, egress)) & links
            assert bool(taken) == ((router, egress) not in without.target), (place, router, egress)


def test_the_policy_seen_is_the_policy_replaced(stage: testbed.Stage) -> None:
    seen = stage.reconciler.active_policy.version
    stage.take(stage.reconciler.change_plan(without_ping(testbed.PLAN), stage.now, replace(ANNA, expects=seen)))
    stage.take(stage.reconciler.change_plan(testbed.PLAN, stage.now, replace(BERIT, expects=seen)))
    (refused,) = stage.said("policy-refused")
    assert refused.details["conflict"] and refused.details["by"]["name"] == "berit"
    stage.run(watch=True)
    (switched,) = stage.said("policy-switched")
    assert switched.details["by"]["name"] == "anna" and not pings(stage)
    assert switched.details["before"]["version"] == seen != switched.details["after"]["version"]
    stage.take(stage.reconciler.change_plan(testbed.PLAN, stage.now, replace(BERIT, expects=seen)))
    assert "is now" in stage.said("policy-refused")[-1].details["reason"]
    now = stage.reconciler.active_policy.version
    stage.take(stage.reconciler.change_plan(testbed.PLAN, stage.now, replace(BERIT, expects=now)))
    stage.run(watch=True)
    assert pings(stage)


def test_a_request_without_precondition_is_applied_last(stage: testbed.Stage) -> None:
    """As SIGHUP does: of several the last is applied, and the others are refused."""
    stage.take(stage.reconciler.change_plan(without_ping(testbed.PLAN), stage.now, ANNA))
    stage.take(stage.reconciler.change_plan(testbed.PLAN, stage.now, BERIT))
    stage.run(watch=True)
    (refused,) = stage.said("policy-refused")
    assert refused.details["by"]["name"] == "anna" and refused.details["reason"] == "a later request replaced it"
    assert stage.said("policy-switched")[-1].details["by"]["name"] == "berit"


def test_a_refusal_names_the_user(stage: testbed.Stage) -> None:
    stage.fabric.switches["bodo"].refuses = lambda entry: True
    stage.take(stage.reconciler.change_plan(without_ping(testbed.PLAN), stage.now, replace(ANNA, request="17")))
    stage.run()
    (refused,) = stage.said("policy-refused")
    assert (refused.details["router"], refused.details["request"]) == ("bodo", "17")
    assert stage.reconciler.active_policy.number == 1
