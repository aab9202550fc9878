"""Any change between any two policies on any small network, its commands carried out in any order of switches: each
packet is forwarded as under the old policy or as under the new one, at whatever time it reaches each router.

Packets are traced by the interpreter through every router's state at every time at which they may reach it, provided
that their transit is shorter than the time that the change drains (Reitblatt et al., SIGCOMM 2012, per-packet
consistency).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from typing import Any
from unittest.mock import patch

import controller_switch
import policy_samples as drawn
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st
from policy_network import Row, small_network

from helsewan.controller.openflow.entries import CONTROLLER, IPV4, RuleSet
from helsewan.controller.openflow.pipeline import Drop
from helsewan.controller.rules.generation import Generation, first_generation
from helsewan.controller.rules.numbering import renumbered
from helsewan.controller.rules.paths import Failures
from helsewan.controller.update import rollout as module
from helsewan.controller.update.commands import Assignment, Output, Refusal
from helsewan.controller.update.rollout import DRAIN_S, Rollout, Stage
from helsewan.controller.update.rule_diff import difference
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Link, Network, Pop, Region, Router
from helsewan.verification.concrete.fabric import End, Fabric, LocatedPacket
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.concrete.switch import Stop, Switch, Visit

PROTOCOLS = {"a": (6, "tcp", 1), "b": (6, "tcp", 2), "c": (17, "udp", 1)}
SYN, ACK = 2, 16
VPNS = ("red", "green", "blue")
Fate = tuple[End, str | None, Packet | None, Drop | Stop | None]


@dataclass(frozen=True)
class Case:
    """The rules before and after."""

    before: Generation = field(repr=False)
    after: Generation = field(repr=False)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """A ring of three to five routers, perhaps with chords, and two to five sites on it."""
    count = draw(st.integers(3, 5))
    names = [f"r{number}" for number in range(1, count + 1)]
    homings = st.permutations(names).flatmap(lambda order: st.sampled_from([order[0], " ".join(order[:2])]))
    kinds = st.sampled_from([Kind.HOSPITAL, Kind.GP, Kind.SERVICE])
    rows: list[Row] = [
        (f"s{number}", draw(kinds), Region.MIDT, draw(homings), 10, "", "") for number in range(draw(st.integers(2, 5)))
    ]
    ring = [(names[place], names[(place + 1) % count]) for place in range(count)]
    chords = draw(st.lists(st.sampled_from([(a, b) for a, b in permutations(names, 2) if a < b]), max_size=2))
    ends = list({tuple(sorted(pair)): pair for pair in [*ring, *chords]}.values())
    delays_us = draw(st.lists(st.integers(500, 5_000), min_size=len(ends), max_size=len(ends)))
    return replace(
        small_network(rows),
        routers=tuple(Router(name, f"pop-{name}", number) for number, name in enumerate(names, start=1)),
        pops=tuple(Pop(f"pop-{name}", name, Region.MIDT, 63.0, 10.0, (name,)) for name in names),
        links=tuple(
            Link(f"{a}-{b}", a, b, 10**9, delay, delay / 4.9) for (a, b), delay in zip(ends, delays_us, strict=True)
        ),
    )


@st.composite
def policies(draw: st.DrawFn, network: Network) -> Plan:
    """A policy for the network: sites in VPNs that import what they may, and contracts."""
    ids = [site.id for site in network.sites]
    colours = {site: draw(st.sampled_from(VPNS)) for site in ids}
    members = {vpn: [site for site in ids if colours[site] == vpn] for vpn in sorted(set(colours.values()))}
    some = st.lists(st.sampled_from(ids), min_size=1, max_size=3, unique=True).map(lambda sites: {"site": sites})
    services = st.lists(st.sampled_from(sorted(PROTOCOLS)), min_size=1, max_size=2, unique=True)
    contract = st.fixed_dictionaries({"from": some, "to": some, "services": services, "both_ways": st.booleans()})
    contracts = {f"c{number}": each for number, each in enumerate(draw(st.lists(contract, max_size=3)))}
    imports = {vpn: {vpn, *draw(st.lists(st.sampled_from(sorted(members)), max_size=2))} for vpn in members}
    for each in contracts.values():  # sites with a contract must see each other, or the policy is refused
        for a, b in product(each["from"]["site"], each["to"]["site"]):
            imports[colours[a]].add(colours[b])
            imports[colours[b]].add(colours[a])
    vpns = {
        vpn: {"members": {"site": sites}, "import": sorted(imports[vpn]), "export": [vpn]}
        for vpn, sites in members.items()
    }
    data: dict[str, Any] = {
        "name": "drawn",
        "classes": drawn.CLASSES,
        "services": drawn.SERVICES,
        "vpns": vpns,
        "contracts": contracts,
    }
    return drawn.compiled(data, network)


@st.composite
def changes(draw: st.DrawFn) -> Case:
    """Any two policies on any network, perhaps while one of its links is down."""
    network = draw(networks())
    old, new = draw(policies(network)), draw(policies(network))
    down = draw(st.sampled_from([None, *(link.id for link in network.links)]))
    before = first_generation(old).with_paths(Failures(frozenset({down} - {None})))
    return Case(before, before.with_plan(renumbered(new, old)))


@dataclass
class Change:
    """A rollout with its switches, and their rules after every command: ``states`` is by (time, router)."""

    before: Generation
    after: Generation
    draw: st.DataObject
    now: float = 0.0
    states: list[tuple[float, dict[str, Switch]]] = field(default_factory=list)
    kept_garbage: str | None = None  # the switch that refused to remove unused entries

    def __post_init__(self) -> None:
        rules = {router: self.before.rules(router) for router in self.before.core}
        self.models = {router: controller_switch.Switch() for router in rules}
        for router, each in rules.items():
            self.models[router].change(difference(RuleSet(), each))
        self.states.append((self.now, {router: Switch.of(each) for router, each in rules.items()}))

    def run(self) -> Rollout:
        """Runs to the end; a switch may refuse one command."""
        refused = self.draw.draw(st.none() | st.integers(1, 12), label="command that is refused")
        rollout = Rollout(self.before.steps_to(self.after), list(self.before.core), 2, strict=True)
        waiting = _assignments(rollout.begin(self.now))
        count = 0
        while rollout.stage is not Stage.DONE:
            if waiting:
                assignment = waiting.pop(self.draw.draw(st.integers(0, len(waiting) - 1)))
                count += 1
                refusal = Refusal("a rule", "drawn") if count == refused and not rollout.undoing else None
                if refusal is not None and rollout.stage is Stage.REMOVING:
                    self.kept_garbage = assignment.router
                waiting += _assignments(self.answer(rollout, assignment, refusal))
            else:
                assert rollout.deadline is not None
                self.now = max(self.now, rollout.deadline)
                waiting += _assignments(rollout.tick(self.now))
        return rollout

    def answer(self, rollout: Rollout, assignment: Assignment, refusal: Refusal | None) -> list[Output]:
        """One switch carries out a command, or refuses it and keeps its rules, but for its meters."""
        router, command = assignment.router, assignment.command
        self.models[router].refuses = lambda _: refusal is not None
        answer = self.models[router].carry_out(command)
        _, last = self.states[-1]
        held = Switch.of(self.models[router].held)
        self.states.append((self.now, {**last, router: last[router] if held == last[router] else held}))
        return rollout.answered(router, command, refusal if answer is None else answer, self.now)


def _assignments(outputs: list[Output]) -> list[Assignment]:
    return [output for output in outputs if isinstance(output, Assignment)]


@dataclass
class Travels:
    """All possible traces of packets while switches change."""

    fabric: Fabric  # for the network's shape alone
    states: list[tuple[float, dict[str, Switch]]]
    known: dict[tuple[LocatedPacket, int], Visit] = field(default_factory=dict)

    def fates(self, start: LocatedPacket) -> Iterator[tuple[int, Fate]]:
        """Each with the state in which the packet came in."""
        for entered, (time, _) in enumerate(self.states):
            end = max(at for at, (other, _) in enumerate(self.states) if other - time < DRAIN_S)
            for fate in self._from(start, entered, end):
                yield entered, fate

    def _from(self, place: LocatedPacket, at: int, end: int) -> Iterator[Fate]:
        switch = self.states[at][1][place.router]
        visit = self.known.get((place, id(switch)))
        if visit is None:
            down = self.fabric.ports_down[place.router]
            visit = self.known[place, id(switch)] = switch.receive(place.packet, place.port, down)
        ways = [(port, packet) for port, packet in visit.outputs if port != CONTROLLER]
        if not ways:
            yield End.DROPPED, None, None, visit.reason
            return
        ((port, packet),) = ways
        if site := self.fabric.site_behind(place.router, port, packet):
            yield End.DELIVERED, site, packet.with_fresh_ttl(), None
        elif (onward := self.fabric.next_hop(place.router, port, packet)) is None:
            yield End.LOST, None, None, None
        else:
            met = None
            for later in range(at, end + 1):
                switch = self.states[later][1][onward.router]
                if switch is not met:
                    met = switch
                    yield from self._from(onward, later, end)


def packets(fabric: Fabric) -> Iterator[LocatedPacket]:
    """From each access link of each site to every other site: requests and replies of each service, and others."""
    for source, destination in permutations(fabric.network.sites, 2):
        for protocol, name, port in PROTOCOLS.values():
            for way, flags in (("dst", SYN), ("src", ACK), ("dst", ACK)):
                other = "src" if way == "dst" else "dst"
                fields = {f"{name}_{way}": port, f"{name}_{other}": 40_000}
                fields |= {"tcp_flags": flags} if name == "tcp" else {}
                packet = Packet.of(
                    eth_type=IPV4,
                    ipv4_src=str(source.address4),
                    ipv4_dst=str(destination.address4),
                    ip_proto=protocol,
                    ip_dscp=0,
                    ip_frag=0,
                    nw_ttl=64,
                    **fields,
                )
                for line in range(len(source.accesses)):
                    yield fabric.ingress(source.id, packet, line)


@settings(
    max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)  # shrinking takes minutes
@given(changes(), st.data())
def test_every_packet_meets_one_policy_and_no_mixture(case: Case, data: st.DataObject) -> None:
    before, after = case.before, case.after
    with patch.object(module, "AT_A_TIME", len(before.core)):
        change = Change(before, after, data)
        rollout = change.run()
    network = before.plan.network
    ends = [
        Travels(Fabric.of(network, {router: each.rules(router) for router in each.core}), [(0.0, switches)])
        for each, switches in (
            (each, {router: Switch.of(each.rules(router)) for router in each.core}) for each in (before, after)
        )
    ]
    down = replace(ends[0].fabric, failures=Failures(before.failures.links))
    travels = Travels(down, change.states)
    for each in ends:
        each.fabric = down
    note(f"undone: {rollout.undoing}")
    for start in packets(down):
        (old,), (new,) = ([fate for _, fate in each.fates(start)] for each in ends)
        for entered, fate in travels.fates(start):
            assert fate in (old, new), f"{start} in state {entered}: {fate}\n old {old}\n new {new}"
    final = before if rollout.undoing else after
    for router in final.core:
        left = difference(change.models[router].held, final.rules(router))
        assert not len(left.add) and not len(left.change)
        assert not len(left.remove) or router == change.kept_garbage
