"""The interpreter and Open vSwitch make the same of the same packets: by what ofproto/trace says, and by the frames
that leave, byte for byte of every header, in a switch with all ports up and with some down."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from controller_world import small_plan
from frames import FIRST, LATER, frame, packet_and_mark
from lone_switches import LoneSwitches
from waiting import wait_for

from helsewan.controller.openflow.entries import CONTROLLER, Output, Table
from helsewan.controller.openflow.pipeline import VLAN_PRESENT
from helsewan.controller.rules.access_rules import diverted_label
from helsewan.controller.update.reconciler import Reconciler
from helsewan.topology.model import TRUNK_PORT, Site
from helsewan.verification.concrete.packet import Label, Packet
from helsewan.verification.concrete.switch import Switch, Visit

PLAN = small_plan()
NETWORK = PLAN.network
SEED = 20061123
PER_ROUTER = 40  # packets in each state of each router: 720 in all
STATES = ("", "fibres", "lines")  # which of its ports are down: none, some of its fibres', its access lines' own


class Drawn:
    """Packets at random, most of them such that some rule knows them."""

    def __init__(self, chance: random.Random, router: str, switch: Switch) -> None:
        self.chance, self.router = chance, router
        core = switch.tables[Table.CORE].rules
        matched = (dict(rule.match).get("mpls_label") for rule in core)
        self.labels = [label for label in matched if isinstance(label, int)]
        self.sites = [site for site in NETWORK.sites if router in site.homing]

    def packet(self) -> tuple[int, Packet]:
        """A port and what comes in on it."""
        chance = self.chance
        fibre = chance.choice(sorted(NETWORK.ports[self.router].values()))
        kind = chance.random()
        if kind < 0.5 and self.sites:
            site = chance.choice(self.sites)
            port = NETWORK.access_link_ports[self.router].get((site.id, site.homing.index(self.router)), TRUNK_PORT)
            return port, self.from_site(site, on_trunk=port == TRUNK_PORT)
        if kind < 0.55:
            return chance.choice((fibre, TRUNK_PORT)), self.ip(chance.choice(NETWORK.sites))
        return fibre, self.from_fibre()

    def from_site(self, site: Site, on_trunk: bool) -> Packet:
        """With the right tag or, where the line has a port of its own, none; seldom with a wrong one."""
        vlan = next(access.vlan for access in site.accesses if access.router == self.router)
        right = {"vlan_vid": vlan | VLAN_PRESENT} if on_trunk else {}
        tag = right if self.chance.random() < 0.95 else {"vlan_vid": 99 | VLAN_PRESENT}
        if self.chance.random() < 0.15:
            return self.arp(site).but(**tag)
        return self.ip(site if self.chance.random() < 0.9 else self.chance.choice(NETWORK.sites)).but(**tag)

    def from_fibre(self) -> Packet:
        """Two or three labels; what is beneath one label alone no rule here asks."""
        chance = self.chance
        ttl = chance.choice((0, 1, 2, 3, 64))
        transport = chance.choice(self.labels) if self.labels and chance.random() < 0.9 else 999
        vpn = chance.choice((101, 102, 103, 104, *map(diverted_label, (101, 102, 103))))
        labels = [
            Label(transport, chance.randrange(8), ttl),
            Label(vpn, chance.randrange(8), chance.choice((1, 2, 60))),
        ]
        if chance.random() < 0.1:
            labels.append(Label(101, 0, 64))
        return Packet(self.ip(chance.choice(NETWORK.sites)).fields, tuple(labels))

    def ip(self, source: Site) -> Packet:
        chance = self.chance
        target = chance.choice(NETWORK.sites)
        gateway = str(source.gateway4), str(target.gateway4)
        destination = chance.choice((*[str(target.address4)] * 6, *gateway, "10.77.0.1"))
        header: dict[str, Any] = {
            "eth_type": 0x0800,
            "eth_src": source.mac,
            "eth_dst": "02:70:00:00:00:01",
            "ipv4_src": str(source.address4),
            "ipv4_dst": destination,
            "ip_dscp": chance.choice((0, 7, 18, 34, 46, 63)),
            "ip_ecn": chance.randrange(4),
            "ip_frag": chance.choice((0, 0, 0, 0, FIRST, LATER)),
            "nw_ttl": chance.choice((0, 1, 2, 3, 64, 255)),
            "ip_proto": chance.choice((1, 6, 6, 17, 17, 47)),
        }
        return Packet.of(**header, **({} if header["ip_frag"] == LATER else self.above(header["ip_proto"])))

    def above(self, protocol: int) -> dict[str, int]:
        """Headers above IP."""
        ports = (443, 8080, 16384, 20000, 40000)
        a, b = self.chance.choice(ports), self.chance.choice(ports)
        if protocol == 1:
            return {"icmpv4_type": self.chance.choice((0, 8, 3)), "icmpv4_code": 0}
        if protocol == 17:
            return {"udp_src": a, "udp_dst": b}
        flags = {"tcp_flags": self.chance.choice((0x02, 0x10, 0x12, 0x04, 0x18))}
        return {"tcp_src": a, "tcp_dst": b, **flags} if protocol == 6 else {}

    def arp(self, site: Site) -> Packet:
        chance = self.chance
        return Packet.of(
            eth_type=0x0806,
            eth_src=site.mac,
            eth_dst="ff:ff:ff:ff:ff:ff",
            arp_op=chance.choice((1, 1, 1, 2)),
            arp_sha=site.mac,
            arp_spa=str(chance.choice((site.address4, site.address4, NETWORK.sites[0].address4))),
            arp_tha=0,
            arp_tpa=str(chance.choice((site.gateway4, site.gateway4, site.address4))),
        )


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneSwitches]:
    """Open vSwitch with every router's rules."""
    home: Path = tmp_path_factory.mktemp("ovs")
    switches = LoneSwitches(NETWORK, home)
    try:
        reconciler = Reconciler(PLAN)
        for router in NETWORK.router:
            switches.program(router, reconciler.target(router))
        yield switches
    finally:
        switches.close()


def agrees(visit: Visit, switches: LoneSwitches, router: str, port: int, data: bytes) -> None:
    """The trace meets the same entries and takes the same buckets, as far as it goes."""
    traced = switches.trace(router, port, data)
    entries = tuple((int(rule.table), rule.priority, rule.cookie) for rule in visit.rules)
    buckets = tuple(choice.bucket for choice in visit.choices if choice.bucket is not None)
    if traced.resumes:
        assert traced.entries == entries[: len(traced.entries)]
    else:
        assert (traced.entries, traced.buckets) == (entries, buckets)
        assert traced.dropped is not any(port != CONTROLLER for port, _ in visit.outputs)


@pytest.mark.parametrize("dark", STATES)
@pytest.mark.parametrize("router", sorted(NETWORK.router))
def test_interpreter_and_open_vswitch_agree(switches: LoneSwitches, router: str, dark: str) -> None:
    chance = random.Random(f"{SEED} {router} {dark}")
    rules = Reconciler(PLAN).target(router)
    ours = Switch.of(rules)
    fibres, lines = sorted(NETWORK.ports[router].values()), sorted(NETWORK.access_link_ports[router].values())
    cut = chance.sample(fibres, chance.randrange(1, len(fibres))) if dark == "fibres" else lines
    down = frozenset(cut if dark else [])
    for port in (*fibres, *lines):
        switches.set_port(router, port, up=port not in down)
    expected: set[tuple[int, int, Packet]] = set()
    first = 1 + PER_ROUTER * STATES.index(dark)
    drawn = Drawn(chance, router, ours)
    for mark in range(first, first + PER_ROUTER):
        port, packet = drawn.packet()
        while port in down:
            port, packet = drawn.packet()
        data = frame(packet, mark)
        assert packet_and_mark(data) == (packet, mark)
        visit = ours.receive(packet, port, down)
        agrees(visit, switches, router, port, data)
        expected |= {(mark, out, result) for out, result in visit.outputs if out not in {CONTROLLER, *down}}
        switches.receive(router, port, data)

    def found() -> set[tuple[int, int, Packet]]:
        frames = ((port, *packet_and_mark(data)) for port, data in switches.sent(router))
        marks = range(first, first + PER_ROUTER)
        return {(mark, port, packet) for port, packet, mark in frames if mark in marks and port not in down}

    assert expected
    wait_for(lambda: len(found()) >= len(expected), f"{len(expected)} frames of {router}, have {len(found())}")
    assert found() == expected


def test_packets_of_one_label_keep_their_own_traffic_class(switches: LoneSwitches) -> None:
    """They share what the switch remembers of the way of the first."""
    router = "tromso"
    rules = Reconciler(PLAN).target(router)
    came_in, leaves = sorted(NETWORK.ports[router].values())
    for port in (came_in, leaves):
        switches.set_port(router, port, up=True)
    passing = next(rule for rule in rules.flows if rule.table is Table.CORE and Output(leaves) in rule.actions)
    label = dict(passing.match)["mpls_label"]
    assert isinstance(label, int)
    drawn, first = Drawn(random.Random(SEED), router, Switch.of(rules)), 1 + len(STATES) * PER_ROUTER
    classes = dict(enumerate(range(8), first))
    for mark, tc in classes.items():
        packet = Packet(drawn.ip(NETWORK.sites[0]).fields, (Label(label, tc, 64), Label(101, tc, 64)))
        switches.receive(router, came_in, frame(packet, mark))

    def found() -> dict[int, int]:
        frames = (packet_and_mark(data) for _, data in switches.sent(router))
        return {mark: packet.labels[0].tc for packet, mark in frames if mark in classes}

    wait_for(lambda: len(found()) == len(classes), "the packets")
    assert found() == classes
