"""The parts of the interpreter: look-ups, labels, groups, and traces through a network."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from controller_plan import small_plan
from hypothesis import given
from hypothesis import strategies as st

from helsewan.controller.openflow.entries import (
    CONTROLLER,
    IN_PORT,
    IPV4,
    IPV6,
    MPLS,
    Action,
    Bucket,
    DecMplsTtl,
    DecTtl,
    FlowRule,
    Group,
    GroupRule,
    Load,
    Match,
    Move,
    Output,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    RuleSet,
    SetField,
    Table,
)
from helsewan.controller.openflow.pipeline import Drop
from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.reconciler import Reconciler
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.concrete.fabric import End, Fabric, LocatedPacket
from helsewan.verification.concrete.lookup import AmbiguousMatchError, Classifier
from helsewan.verification.concrete.packet import Header, Label, Packet, number
from helsewan.verification.concrete.switch import NotModelledError, Stop, Switch

PLAN = small_plan()
IP = Packet.of(eth_type=IPV4, ipv4_src="10.0.0.1", ipv4_dst="10.0.0.2", ip_dscp=46, nw_ttl=9)


def switch(*rules: FlowRule, groups: tuple[GroupRule, ...] = ()) -> Switch:
    """A switch with these rules."""
    return Switch.of(RuleSet(groups=groups, flows=rules))


def first(*actions: Action, goto: Table | None = None, match: Match = (), **more: Any) -> FlowRule:
    """A rule of the first table."""
    return FlowRule(Table.ADMIT, 1, match, actions, goto, **more)


def sent(*actions: Action, packet: Packet = IP, groups: tuple[GroupRule, ...] = ()) -> Packet:
    """The packet that a switch outputs after these actions."""
    ((port, result),) = switch(first(*actions, Output(2)), groups=groups).receive(packet, in_port=1).outputs
    assert port == 2
    return result


# Look-ups.

_FIELDS = ("eth_type", "ipv4_dst", "metadata", "vlan_vid")
_numbers = st.integers(0, 7)
_wanted = st.one_of(_numbers, st.tuples(_numbers, _numbers).map(lambda pair: (pair[0] & pair[1], pair[1])))
_matches = st.dictionaries(st.sampled_from(_FIELDS), _wanted, max_size=3).map(lambda match: tuple(match.items()))
_seen = st.dictionaries(st.sampled_from(_FIELDS), _numbers)


@given(st.lists(_matches, max_size=12), _seen)
def test_look_up_finds_what_trying_all_finds(matches: list[Match], seen: dict[str, int]) -> None:
    rules = [FlowRule(Table.ADMIT, priority, match) for priority, match in enumerate(matches)]

    def fits(rule: FlowRule) -> bool:
        for name, wanted in rule.match:
            value, mask = wanted if isinstance(wanted, tuple) else (wanted, 7)
            if name not in seen or seen[name] & int(mask) != value:
                return False
        return True

    assert Classifier(rules).lookup(seen) == next((rule for rule in reversed(rules) if fits(rule)), None)


def test_conflicting_entries_are_refused_and_equal_ones_are_not() -> None:
    a, b = (("eth_type", 1),), (("ipv4_dst", 2),)
    seen = {"eth_type": 1, "ipv4_dst": 2}
    with pytest.raises(AmbiguousMatchError, match="ipv4_dst=2"):
        Classifier([first(match=a), first(Output(1), match=b)]).lookup(seen)
    assert Classifier([first(match=a), first(match=b)]).lookup(seen) is not None
    assert Classifier([first(match=a), first(Output(1), match=b)]).lookup({"eth_type": 1}) == first(match=a)


def test_fields_have_two_names_and_addresses_are_numbers() -> None:
    match: Match = (("tcp_flags_nxm", (2, 2)), ("ipv6_dst", ("fd00::", "ffff::")), ("in_port_nxm", 3))
    seen = Header.of(Packet.of(tcp_flags=0x12, ipv6_dst="fd00::7"), in_port=3).visible
    assert Classifier([first(match=match)]).lookup(seen) is not None
    assert (number("02:00:00:00:00:ff"), number("0.0.1.0"), number("::ff")) == (0x0200000000FF, 256, 255)


def test_registers_are_there_from_the_start_and_other_fields_only_if_the_packet_has_them() -> None:
    assert Classifier([first(match=(("reg3", 0),))]).lookup({}) is not None
    assert Classifier([first(match=(("tcp_dst", (0, 0)),))]).lookup({}) is None


def test_a_fragment_shows_no_ports_though_it_be_the_first() -> None:
    opening = FlowRule(Table.ADMIT, 1, (("ip_proto", 17), ("udp_dst", 53)), (Output(2),))
    query = IP.but(ip_proto=17, udp_src=9, udp_dst=53)
    assert switch(opening).receive(query.but(ip_frag=0), in_port=1).outputs
    assert not switch(opening).receive(query.but(ip_frag=1), in_port=1).outputs


# Headers and actions.

_labels = st.lists(st.builds(Label, st.integers(0, 2**20 - 1), st.integers(0, 7), st.integers(2, 255)), max_size=3)


@given(_labels, st.sampled_from([0, 0x1005]))
def test_a_header_gives_back_the_packet_it_was_made_of(labels: list[Label], vlan: int) -> None:
    packet = Packet({**IP.fields, **({"vlan_vid": vlan} if vlan else {})}, tuple(labels))
    header = Header.of(packet, in_port=4)
    assert header.packet() == packet and header.depth == len(labels)
    assert ("ipv4_dst" in header.visible) is (not labels)
    assert header.visible["eth_type"] == (MPLS if labels else IPV4)


@given(_labels.filter(lambda labels: len(labels) < 3))
def test_push_then_pop_changes_nothing(labels: list[Label]) -> None:
    packet = Packet(IP.fields, tuple(labels))
    assert sent(PushMpls(), PopMpls(MPLS if labels else IPV4), packet=packet) == packet


def test_first_label_takes_ttl_and_low_dscp_bits_as_open_vswitch_does() -> None:
    assert sent(PushMpls()).labels == (Label(0, 46 & 7, 9),)
    assert sent(PushMpls(), packet=IP.but(eth_type=IPV6)).labels == (Label(2, 46 & 7, 9),)
    assert sent(PushMpls(), packet=Packet.of(eth_type=0x0806)).labels == (Label(0, 0, 64),)


def test_next_label_copies_the_one_below() -> None:
    pushed = sent(PushMpls(), SetField("mpls_label", 7), packet=Packet(IP.fields, (Label(5, 3, 20),)))
    assert pushed.labels == (Label(7, 3, 20), Label(5, 3, 20))


def test_a_fourth_label_drops_the_packet_and_its_copies() -> None:
    deep = Packet(IP.fields, (Label(1, 0, 9), Label(2, 0, 9), Label(3, 0, 9)))
    visit = switch(first(Output(2), PushMpls(), Output(3))).receive(deep, in_port=1)
    assert (visit.outputs, visit.reason) == ((), Stop.TOO_MANY_LABELS)


def test_the_payload_of_the_last_label_is_read_by_its_type_or_not_at_all() -> None:
    labelled = Packet(IP.fields, (Label(1, 0, 9),))
    assert sent(PopMpls(IPV4), SetField("ip_dscp", 1), packet=labelled) == IP.but(ip_dscp=1)
    assert sent(PopMpls(IPV6), SetField("ip_dscp", 1), packet=labelled) == Packet.of(eth_type=IPV6)
    assert sent(PopMpls(MPLS), packet=labelled) == Packet.of(eth_type=MPLS)
    assert sent(PopMpls(IPV4)) == IP


@pytest.mark.parametrize(("ttl", "passes"), [(0, False), (1, False), (2, True), (64, True)])
def test_a_ttl_expires_at_one(ttl: int, passes: bool) -> None:
    ageing = switch(first(DecTtl(), Output(2)))
    visit = ageing.receive(IP.but(nw_ttl=ttl), in_port=1)
    assert bool(visit.outputs) is passes and (visit.reason is Stop.TTL) is not passes
    labelled = switch(first(DecMplsTtl(), goto=Table.CORE), FlowRule(Table.CORE, 1, (), (Output(2),)))
    assert bool(labelled.receive(Packet(IP.fields, (Label(1, 0, ttl),)), in_port=1).outputs) is passes


def test_fields_are_set_loaded_and_moved_where_the_packet_has_them() -> None:
    assert sent(SetField("ipv4_dst", "10.9.9.9")) == IP.but(ipv4_dst="10.9.9.9")
    assert sent(SetField("tcp_dst", 1), Move("tcp_dst", "ip_dscp", 6)) == IP
    assert sent(Load("ip_dscp", 0xFF, 2)) == IP.but(ip_dscp=0b101111)
    moved = sent(Move("ip_dscp", "reg0", 3, source_offset=3), Move("reg0", "ip_dscp", 3))
    assert moved == IP.but(ip_dscp=0b101101)


def test_tags_are_pushed_and_popped() -> None:
    tagged = sent(PushVlan(), SetField("vlan_vid", 0x1007))
    assert tagged == IP.but(vlan_vid=0x1007)
    assert sent(PopVlan(), SetField("vlan_vid", 0x1007), packet=tagged) == IP
    with pytest.raises(NotModelledError, match="second VLAN"):
        sent(PushVlan(), packet=tagged)


def test_nothing_leaves_by_its_ingress_port_unless_by_in_port() -> None:
    assert switch(first(Output(1))).receive(IP, in_port=1).reason is Stop.IN_PORT
    assert switch(first(Output(IN_PORT))).receive(IP, in_port=1).outputs == ((1, IP),)
    forgetful = switch(first(Load("in_port_nxm", 0, 16), Output(1)))
    assert forgetful.receive(IP, in_port=1).outputs == ((1, IP),)


def test_a_meter_may_drop() -> None:
    metered = switch(first(Output(2), meter=5))
    assert metered.receive(IP, in_port=1).outputs
    assert metered.receive(IP, in_port=1, passes=lambda meter: meter != 5).reason is Stop.METER


def test_metadata_is_written_under_its_mask() -> None:
    writing = first(goto=Table.VRF, metadata=(0x0F0, 0x0F0))
    again = FlowRule(Table.VRF, 1, (), (), Table.CONTRACT, (0x003, 0x0FF))
    reading = FlowRule(Table.CONTRACT, 1, (("metadata", 0x003),), (Output(2),))
    assert switch(writing, again, reading).receive(IP, in_port=1).outputs


GROUP = GroupRule(7, (Bucket(2, (SetField("ip_dscp", 1), Output(2))), Bucket(3, (SetField("ip_dscp", 2), Output(3)))))


@pytest.mark.parametrize(("down", "port", "bucket"), [((), 2, 0), ((3,), 2, 0), ((2,), 3, 1), ((2, 3), None, None)])
def test_a_group_takes_the_first_bucket_whose_port_is_up(down: tuple[int, ...], port: int | None, bucket: int) -> None:
    visit = switch(first(Group(7)), groups=(GROUP,)).receive(IP, in_port=1, down=frozenset(down))
    assert [out for out, _ in visit.outputs] == ([] if port is None else [port])
    assert visit.choices[0].bucket == bucket and visit.choices[0].packet == IP
    assert (visit.reason is Stop.NO_BUCKET) is (port is None)


def test_what_follows_a_group_does_not_see_what_it_did() -> None:
    visit = switch(first(Group(7), Output(4)), groups=(GROUP,)).receive(IP, in_port=1)
    assert visit.outputs == ((2, IP.but(ip_dscp=1)), (4, IP))


def test_a_bucket_may_resubmit_and_a_group_can_be_evaluated_again() -> None:
    down_here = GroupRule(7, (Bucket(1, (Resubmit(Table.VPN),)),))
    there = FlowRule(Table.VPN, 1, (("metadata", 3),), (Output(5),))
    holding = switch(first(goto=Table.VRF, metadata=(3, 3)), FlowRule(Table.VRF, 1, (), (Group(7),)), there)
    holding = holding.having(RuleSet(groups=(down_here,)))
    visit = holding.receive(IP, in_port=1)
    assert visit.outputs == ((5, IP),) and visit.rules[-1] == there
    assert holding.reselect_bucket(visit.choices[0], in_port=1).outputs == visit.outputs


def test_an_unknown_action_is_not_passed_over() -> None:
    with pytest.raises(NotModelledError):
        switch(first(object())).receive(IP, in_port=1)  # type: ignore[arg-type]


# Traces through a network.


@cache
def fabric() -> Fabric:
    """The small network, programmed."""
    reconciler = Reconciler(PLAN)
    return Fabric.of(PLAN.network, {router: reconciler.target(router) for router in PLAN.network.router})


def ping(source: str, destination: str, **more: Any) -> Packet:
    """An echo request between two sites."""
    ends = {"ipv4_src": PLAN.network.site[source].address4, "ipv4_dst": PLAN.network.site[destination].address4}
    header = {"eth_type": IPV4, "ip_dscp": 0, "ip_frag": 0, "nw_ttl": 64, "ip_proto": 1, "icmpv4_type": 8}
    return Packet.of(**{**header, **{name: str(address) for name, address in ends.items()}, **more})


def test_a_trace_has_every_hop_and_rule() -> None:
    trace = fabric().trace_from("bodo-gp", ping("bodo-gp", "broker"))
    assert (trace.end, trace.site, trace.reason) == (End.DELIVERED, "broker", None)
    assert trace.routers == ("bodo", "trondheim", "oslo2", "oslo1")
    assert trace.packet is not None and trace.packet.fields["nw_ttl"] == 60 and not trace.packet.labels
    assert [rule.table for rule in trace.hops[-1].visit.rules] == [Table.ADMIT, Table.CORE, Table.VPN, Table.DELIVER]
    text = str(trace)
    assert "bodo, in by port 1" in text and "takes bucket 0" in text and text.endswith("DELIVERED broker")


def test_a_trace_has_the_reason_of_its_end() -> None:
    foreign = fabric().trace_from("bodo-gp", ping("bodo-gp", "bergen-gp"))
    assert (foreign.end, foreign.reason) == (End.DROPPED, Drop.NO_ROUTE)
    assert str(foreign).endswith("DROPPED (NO_ROUTE)")
    spoofed = fabric().trace_from("bodo-gp", ping("unn", "broker"))
    assert (spoofed.end, spoofed.reason) == (End.DROPPED, Drop.SPOOFED)
    assert fabric().trace_from("bodo-gp", ping("bodo-gp", "broker", nw_ttl=1)).reason is Stop.TTL


def test_a_failure_is_repaired_on_the_way() -> None:
    broken = replace(fabric(), failures=Failures(links=frozenset({"trondheim-bodo"})))
    trace = broken.trace_from("bodo-gp", ping("bodo-gp", "broker"))
    assert (trace.end, trace.routers[:2]) == (End.DELIVERED, ("bodo", "tromso"))
    assert trace.hops[0].visit.choices[0].bucket == 1
    dead = replace(fabric(), failures=Failures(routers=frozenset({"oslo1"})))
    assert dead.trace_from("bodo-gp", ping("bodo-gp", "broker")).routers[-1] == "oslo2"
    cut = replace(fabric(), failures=Failures(links=frozenset({"trondheim-bodo", "bodo-tromso"})))
    assert cut.trace_from("bodo-gp", ping("bodo-gp", "broker")).reason is Stop.NO_BUCKET


def test_loops_and_losses_are_distinguished() -> None:
    network = PLAN.network
    link = network.link["trondheim-bodo"]

    def through(at_bodo: Action, at_trondheim: Action) -> Fabric:
        rules = {"bodo": first(at_bodo), "trondheim": first(at_trondheim)}
        return Fabric(network, {router: switch(rule) for router, rule in rules.items()})

    onward = Output(network.ports["bodo"][link.id])
    start = LocatedPacket("bodo", TRUNK_PORT, IP)
    looping = through(onward, Output(IN_PORT))
    looping = replace(looping, switches={**looping.switches, "bodo": switch(first(Load("in_port", 0, 16), onward))})
    assert looping.trace(start).end is End.LOOPED
    assert through(onward, Output(CONTROLLER)).trace(start).reason is Stop.CONTROLLER
    assert through(onward, Output(TRUNK_PORT)).trace(start).end is End.LOST
    assert through(Output(99), Output(1)).trace(start).end is End.LOST
    down = replace(through(onward, Output(1)), failures=Failures(links=frozenset({link.id})))
    assert down.trace(start).end is End.LOST
    forked = replace(looping, switches={"bodo": switch(first(Output(2), Output(3)))})
    with pytest.raises(ValueError, match="2 packets"):
        forked.trace(start)
