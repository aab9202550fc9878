"""The reconciler, with models of switches that carry commands out in any order between them."""

from __future__ import annotations

import random

import pytest
from controller_switch import UDP, Fate, Switch
from reconciler_stage import CLIENTS, MESSAGES, NETWORK, PLAN, Stage

from helsewan.controller.openflow.pipeline import Drop
from helsewan.controller.rules.access_rules import diverted_label
from helsewan.controller.rules.label_rules import Labels, assign_labels
from helsewan.controller.rules.paths import Failures, compute_paths
from helsewan.controller.update.commands import Read
from helsewan.controller.update.reconciler import HELLO_S, PATIENCE_S, SETTLE_S, Phase
from helsewan.controller.update.rollout import ANSWER_S, AT_A_TIME, DRAIN_S
from helsewan.controller.update.rollout import Stage as Turn
from helsewan.topology.model import AccessLinkId


@pytest.fixture
def stage() -> Stage:
    """All switches programmed."""
    stage = Stage()
    stage.connect()
    stage.run()
    return stage


def test_first_start_programs_each_and_reports_all(stage: Stage) -> None:
    assert len(stage.said("switch-programmed")) == len(NETWORK.routers)
    (report,) = stage.said("all-programmed")
    assert report.details["flows"] == sum(len(switch.flows) for switch in stage.fabric.switches.values())
    assert not stage.said("paths-switched") and stage.reconciler.phase is Phase.STEADY
    assert stage.delivers() == set(CLIENTS)


@pytest.mark.parametrize("link", sorted(NETWORK.link))
@pytest.mark.parametrize("order", range(3))
def test_no_packet_is_lost_while_paths_change(stage: Stage, link: str, order: int) -> None:
    """Link down: local repair forwards, then the new paths. Link up: the old paths, then the new. After every step."""
    chance = random.Random(order)
    stage.set_link(link, up=False)
    stage.run(chance, watch=True)
    assert stage.said("paths-switched")[-1].details["links_down"] == [link]
    stage.expected(Failures(links=frozenset({link})))
    stage.set_link(link, up=True)
    stage.run(chance, watch=True)
    assert stage.said("paths-switched")[-1].details["links_down"] == []
    stage.expected(Failures())


def test_second_failure_is_repaired_once_the_first_is_known(stage: Stage) -> None:
    stage.set_link("tromso-oslo2", up=False)
    stage.run()
    stage.set_link("bergen-trondheim", up=False)
    assert stage.delivers() == set(CLIENTS)
    stage.run(watch=True)


def test_changes_that_come_together_are_one_change(stage: Stage) -> None:
    stage.set_link("oslo2-trondheim", up=False)
    stage.pass_time(SETTLE_S / 2)
    stage.set_link("oslo1-bergen", up=False)
    stage.run()
    (report,) = stage.said("paths-switched")
    assert report.details["links_down"] == ["oslo1-bergen", "oslo2-trondheim"]


def test_change_within_a_change_follows_it(stage: Stage) -> None:
    stage.set_link("oslo2-trondheim", up=False)
    stage.pass_time(SETTLE_S)
    assert stage.step is Turn.ADDING
    stage.set_link("oslo2-trondheim", up=True)
    stage.run(watch=True)
    assert [report.details["links_down"] for report in stage.said("paths-switched")] == [["oslo2-trondheim"], []]


def test_intact_network_is_returned_to_without_installing_anything(stage: Stage) -> None:
    """Its label rules are never removed, also while one failure replaces another."""
    for link, up in (("oslo2-trondheim", False), ("bodo-tromso", False), ("oslo2-trondheim", True)):
        stage.set_link(link, up=up)
        stage.run(watch=True)
    stage.set_link("bodo-tromso", up=True)
    stage.run(watch=True)
    added, turned, _ = stage.said("paths-switched")[-1].details["rules"]
    assert (added, stage.reconciler.current.failures) == (0, Failures()) and turned
    stage.expected(Failures())


def test_flap_that_is_over_changes_nothing(stage: Stage) -> None:
    stage.set_link("oslo2-trondheim", up=False)
    stage.set_link("oslo2-trondheim", up=True)
    stage.run()
    assert not stage.said("paths-switched")


def test_a_label_never_changes_its_path() -> None:
    """Through a sequence of failures: each label has the same hops in two consecutive states."""
    labels, states = Labels({}, (), {}, {}), ["", "bodo-tromso", "oslo2-trondheim", "bodo-tromso", ""]
    kept = 0
    for link in states:
        paths = compute_paths(NETWORK, PLAN.egresses, Failures(links=frozenset({link} - {""})))
        before, labels = labels, assign_labels(paths, labels)
        assert len(set(labels.by_tree.values())) == len(labels.by_tree)
        for label in labels.hops.keys() & before.hops.keys():
            assert all(labels.hops[label].get(at, to) == to for at, to in before.hops[label].items())
            kept += 1
    assert kept


def test_routes_turn_only_when_all_labels_are_there(stage: Stage) -> None:
    """AT_A_TIME switches at a time get new labels, and routes change only after the last one has them."""
    stage.set_link("oslo2-trondheim", up=False)
    stage.pass_time(SETTLE_S)
    assert stage.reconciler.rollout is not None
    steps, asked = stage.reconciler.rollout.steps, []
    while stage.step is Turn.ADDING:
        busy = sorted(router for router, queue in stage.queues.items() if queue)
        assert 1 <= len(busy) <= AT_A_TIME < len(stage.queues)
        asked.append(busy[0])
        stage.carry_out(busy[0])
    assert stage.step is Turn.PREPARING
    assert sorted(asked) == sorted(router for router, parts in steps.items() if len(parts.add))
    assert len(asked) > 2


def test_old_labels_stay_until_packets_have_passed(stage: Stage) -> None:
    """Labels of a detour are removed after the failure; those of the network without failures never are."""
    stage.set_link("oslo2-trondheim", up=False)
    stage.run()
    stage.set_link("oslo2-trondheim", up=True)
    while stage.step is not Turn.DRAINING:
        busy = sorted(router for router, queue in stage.queues.items() if queue)
        stage.carry_out(busy[0]) if busy else stage.pass_time(SETTLE_S)
    assert not any(stage.queues.values())
    stage.pass_time(DRAIN_S * 0.9)
    assert not any(stage.queues.values())
    stage.pass_time(DRAIN_S * 0.2)
    assert any(stage.queues.values())


def test_the_rollout_goes_on_without_a_switch_that_does_not_reply(stage: Stage) -> None:
    """A switch that does not reply delays the others for ANSWER_S, and no longer."""
    stage.set_link("oslo2-trondheim", up=False)
    stage.pass_time(SETTLE_S)
    silent = min(router for router, queue in stage.queues.items() if queue)
    stage.queues[silent].clear()
    while busy := sorted(router for router, queue in stage.queues.items() if queue):
        stage.carry_out(busy[0])
    assert stage.step is Turn.ADDING
    stage.pass_time(ANSWER_S * 0.9)
    assert not any(stage.queues.values())
    stage.pass_time(ANSWER_S * 0.2)
    (report,) = stage.said("error")
    assert report.details["routers"] == [silent]
    assert stage.step is Turn.PREPARING


def test_dead_pop_is_left_out_and_taken_in_again(stage: Stage) -> None:
    links = [link.id for link in NETWORK.links if "trondheim" in (link.a, link.b)]
    stage.lose("trondheim")
    for link in links:
        stage.set_link(link, up=False)
    stage.run()
    assert stage.said("paths-switched")[-1].details["routers_out"] == ["trondheim"]
    assert stage.delivers() >= {"bergen-gp", "unn", "bodo-gp"}
    stage.fabric.switches["trondheim"] = Switch()
    for link in links:
        stage.set_link(link, up=True)
    stage.connect("trondheim")
    stage.run()
    assert stage.said("paths-switched")[-1].details == {
        **stage.said("paths-switched")[-1].details,
        "routers_out": [],
        "links_down": [],
    }
    assert stage.delivers() == set(CLIENTS)
    stage.expected(Failures())


def test_empty_switch_is_programmed_before_a_path_uses_it(stage: Stage) -> None:
    links = [link.id for link in NETWORK.links if "bodo" in (link.a, link.b)]
    stage.lose("bodo")
    for link in links:
        stage.set_link(link, up=False)
    stage.run()
    stage.fabric.switches["bodo"] = Switch()
    for link in links:
        stage.set_link(link, up=True)
    stage.connect("bodo")
    stage.pass_time(SETTLE_S)
    assert [order for router, queue in stage.queues.items() for order in queue if router != "bodo"] == []
    assert isinstance(stage.queues["bodo"][0], Read)
    stage.run()
    assert stage.delivers() == set(CLIENTS)


@pytest.mark.parametrize("moment", range(0, 24, 3))
def test_switch_that_reconnects_within_a_change_ends_with_its_rules(stage: Stage, moment: int) -> None:
    stage.set_link("oslo2-trondheim", up=False)
    stage.pass_time(SETTLE_S)
    chance = random.Random(moment)
    for _ in range(moment):
        busy = sorted(router for router, queue in stage.queues.items() if queue)
        stage.carry_out(chance.choice(busy)) if busy else stage.pass_time(SETTLE_S)
    stage.lose("bergen")
    stage.connect("bergen")
    stage.run(chance)
    assert stage.delivers() == set(CLIENTS)
    stage.expected(Failures(links=frozenset({"oslo2-trondheim"})))


def test_switch_that_only_lost_its_controller_keeps_its_traffic(stage: Stage) -> None:
    stage.lose("bergen")
    stage.run()
    assert not stage.said("paths-switched")
    stage.connect("bergen")
    stage.run(watch=True)
    assert not stage.said("paths-switched")


def test_losing_all_switches_and_getting_them_back_changes_no_path(stage: Stage) -> None:
    for router in NETWORK.router:
        stage.lose(router)
    stage.run()
    stage.connect()
    stage.run(watch=True)
    assert not stage.said("paths-switched")


@pytest.mark.parametrize("cut", [False, True])
def test_switch_behind_a_headless_switch_is_taken_for_headless(stage: Stage, cut: bool) -> None:
    """Only Trondheim and Tromso are neighbours of Bodo."""
    for router in ("bodo", "tromso"):
        stage.lose(router)
    for link in ("trondheim-bodo", *(("tromso-oslo2",) if cut else ())):
        stage.set_link(link, up=False)
    assert stage.reconciler.live.headless() == (frozenset() if cut else {"bodo", "tromso"})


def test_a_change_waits_a_while_for_a_switch_without_controller(stage: Stage) -> None:
    stage.lose("bergen")
    stage.set_link("bodo-tromso", up=False)
    began = stage.now
    while stage.reconciler.phase is Phase.SETTLING:
        stage.pass_time(SETTLE_S)
    assert PATIENCE_S <= stage.now - began <= PATIENCE_S + 2 * SETTLE_S
    stage.run()
    assert stage.said("paths-switched")[-1].details["routers_out"] == ["bergen"]


def test_a_port_without_a_link_is_no_event(stage: Stage) -> None:
    before = list(stage.reports)
    stage.take(stage.reconciler.port_changed("oslo1", 1, False, stage.now))
    assert stage.reports == before and stage.reconciler.phase is Phase.STEADY


def test_a_repeated_port_report_is_one_event(stage: Stage) -> None:
    """A switch reports a port again when its carrier goes down after its BFD session did."""
    stage.set_link("bodo-tromso", up=False)
    stage.set_link("bodo-tromso", up=False)
    assert len(stage.said("port-down")) == 2
    stage.set_link("bodo-tromso", up=True)
    stage.set_link("bodo-tromso", up=True)
    assert len(stage.said("port-up")) == 2


def test_ports_awaiting_bfd_change_no_path() -> None:
    """As at every start: BFD sessions take a second or two, and a port reported down until then is no change."""
    stage = Stage()
    for router in NETWORK.router:
        stage.greet(router, *NETWORK.ports[router])
    while any(stage.queues.values()):
        stage.carry_out(next(router for router, queue in stage.queues.items() if queue))
    stage.take(stage.reconciler.port_changed("bodo", NETWORK.ports["bodo"]["bodo-tromso"], False, stage.now))
    assert not stage.said("all-links-up") and not stage.said("port-down")
    for link in NETWORK.links:
        stage.set_link(link.id, up=True)
    assert len(stage.said("all-links-up")) == 1
    stage.run()
    assert not stage.said("paths-switched")


@pytest.mark.parametrize("programmed", [False, True], ids=["asked", "programmed"])
def test_a_router_that_returns_changes_paths_once_its_bfd_sessions_are_up(stage: Stage, programmed: bool) -> None:
    """Also where it holds its rules already, and its access links have carrier."""
    links = list(NETWORK.ports["bodo"])
    for link in links:
        stage.set_link(link, up=False)
    stage.lose("bodo")
    stage.run()
    before = len(stage.said("paths-switched"))
    stage.greet("bodo", *links)
    stage.carry_out("bodo")
    while programmed and stage.queues["bodo"]:
        stage.carry_out("bodo")
    for _ in range(5):
        stage.pass_time(SETTLE_S)
    for link in links:  # each comes up at one end, and a little later at the other
        stage.take(stage.reconciler.port_changed("bodo", NETWORK.ports["bodo"][link], True, stage.now))
        stage.pass_time(SETTLE_S)
        stage.set_link(link, up=True)
    stage.run()
    assert stage.delivers() == set(CLIENTS)
    (report,) = stage.said("paths-switched")[before:]
    assert (report.details["links_down"], report.details["routers_out"]) == ([], [])
    stage.expected(Failures())


def test_a_port_whose_bfd_session_never_comes_up_is_down() -> None:
    stage = Stage()
    stage.connect(*(router for router in NETWORK.router if router != "bodo"))
    stage.greet("bodo", "bodo-tromso")
    began = stage.now
    while not stage.said("paths-switched"):
        stage.run()
        assert stage.now < began + 10 * HELLO_S
    assert stage.said("paths-switched")[-1].details["links_down"] == ["bodo-tromso"]
    assert stage.now >= began + HELLO_S


@pytest.mark.parametrize("line", [("st-olav", 0), ("unn", 0), ("broker", 0), ("broker", 1)])
def test_no_packet_is_lost_while_a_dual_homed_site_changes_lines(stage: Stage, line: AccessLinkId) -> None:
    """The failed link's router forwards to the other router, then all packets go there; and back."""
    site, opener = NETWORK.site[line[0]], {"st-olav": "trondheim-gp", "unn": "bodo-gp", "broker": "bodo-gp"}[line[0]]
    header = MESSAGES if line[0] == "broker" else {"ip_proto": UDP, "udp_src": 9, "udp_dst": 20000}

    def sent() -> Fate:
        return stage.fabric.send(opener, ipv4_dst=str(site.address4), **header)

    def settle() -> None:
        while any(stage.queues.values()) or stage.changing:
            assert sent().site == site.id
            busy = sorted(router for router, queue in stage.queues.items() if queue)
            if busy:
                stage.carry_out(busy[0])
            else:
                stage.pass_time(SETTLE_S)

    stage.set_line(line, up=False)
    settle()
    assert stage.said("paths-switched")[-1].details["accesses_down"] == [f"{line[0]}/wan{line[1]}"]
    assert sent().router == site.homing[line[1] == 0]
    assert not any(label in map(diverted_label, (101, 102, 103)) for stack in sent().labels for label, _ in stack)
    stage.set_line(line, up=True)
    settle()
    assert sent().router == site.homing[0]
    assert stage.said("paths-switched")[-1].details["accesses_down"] == []
    stage.expected(Failures())


def test_a_site_without_a_line_gets_nothing_and_its_senders_are_told(stage: Stage) -> None:
    for line in (("st-olav", 0), ("st-olav", 1)):
        stage.set_line(line, up=False)
    stage.run()
    fate = stage.fabric.send("trondheim-gp", ipv4_dst="10.1.0.2", ip_proto=UDP, udp_src=9, udp_dst=20000)
    assert (fate.site, fate.dropped_for) == (None, Drop.NO_LINE)
    assert fate.routers == ("trondheim", "bergen")
    assert fate.handed_up
