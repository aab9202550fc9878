"""A reconciler with model switches whose commands are carried out one at a time."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from controller_plan import small_plan
from controller_switch import TCP, Fabric, Switch

from helsewan.controller.rules.label_rules import assign_labels
from helsewan.controller.rules.paths import Failures, compute_paths
from helsewan.controller.update.commands import Assignment, Count, Event, Output, Read, Store, SwitchCommand, Withdraw
from helsewan.controller.update.reconciler import SETTLE_S, Phase, Reconciler
from helsewan.controller.update.rollout import Stage as Turn
from helsewan.policies.plan import Plan
from helsewan.topology.model import TRUNK_PORT, AccessLinkId

PLAN = small_plan()


NETWORK = PLAN.network


MESSAGES = {"ip_proto": TCP, "tcp_src": 40000, "tcp_dst": 443, "tcp_flags_nxm": 2}


CLIENTS = ("st-olav", "bergen-gp", "trondheim-gp", "unn", "bodo-gp")


@dataclass
class Stage:
    """A conductor with its switches: orders wait, one queue a switch, until they are carried out."""

    plan: Plan = PLAN
    now: float = 100.0
    reports: list[Event] = field(default_factory=list)
    stored: list[Plan] = field(default_factory=list)
    withdrawn: list[frozenset[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.plan)
        self.fabric = Fabric(self.plan, {router: Switch() for router in NETWORK.router})
        self.queues: dict[str, list[SwitchCommand]] = {router: [] for router in NETWORK.router}

    def take(self, outputs: list[Output]) -> None:
        """Files the reconciler's outputs."""
        for output in outputs:
            if isinstance(output, Assignment):
                self.queues[output.router].append(output.command)
            elif isinstance(output, Store):
                self.stored.append(output.plan)
            elif isinstance(output, Withdraw):
                self.withdrawn.append(output.places)
            else:
                self.reports.append(output)

    def connect(self, *routers: str) -> None:
        """Switches connect, with the ports up that are up."""
        for router in routers or NETWORK.router:
            ports, lines = NETWORK.ports[router].items(), NETWORK.access_link_ports[router].items()
            up = frozenset(
                {
                    TRUNK_PORT,
                    *(port for link, port in ports if link not in self.fabric.down),
                    *(port for line, port in lines if line not in self.fabric.dark),
                }
            )
            self.queues[router].clear()
            self.take(self.reconciler.joined(router, up, self.now))

    def greet(self, router: str, *links: str) -> None:
        """A switch connects; the BFD sessions of its ports to ``links`` are not up yet."""
        ports = NETWORK.ports[router]
        awaiting_bfd = frozenset(ports[link] for link in links)
        up = frozenset({TRUNK_PORT, *ports.values(), *NETWORK.access_link_ports[router].values()}) - awaiting_bfd
        self.queues[router].clear()
        self.take(self.reconciler.joined(router, up, self.now, awaiting_bfd))

    def lose(self, router: str) -> None:
        """A switch's connection ends, with what was under way on it."""
        self.queues[router].clear()
        self.take(self.reconciler.left(router, self.now))

    def set_link(self, link: str, up: bool) -> None:
        """A link changes, and both ends say so."""
        (self.fabric.down.discard if up else self.fabric.down.add)(link)
        for router in (NETWORK.link[link].a, NETWORK.link[link].b):
            self.take(self.reconciler.port_changed(router, NETWORK.ports[router][link], up, self.now))

    def set_line(self, line: AccessLinkId, up: bool) -> None:
        """A dual-homed site's line changes, and its router says so."""
        (self.fabric.dark.discard if up else self.fabric.dark.add)(line)
        router = NETWORK.site[line[0]].accesses[line[1]].router
        self.take(self.reconciler.port_changed(router, NETWORK.access_link_ports[router][line], up, self.now))

    def carry_out(self, router: str) -> None:
        """One switch carries out its oldest command."""
        command, switch = self.queues[router].pop(0), self.fabric.switches[router]
        if isinstance(command, Read):
            self.take(self.reconciler.holds(router, switch.held, command, self.now))
        elif isinstance(command, Count):
            self.take(self.reconciler.counts(router, len(switch.flows), command, self.now))
        else:
            refusal = switch.carry_out(command)
            self.take(self.reconciler.done(router, command, self.now, refusal))

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.take(self.reconciler.tick(self.now))

    def run(self, chance: random.Random | None = None, watch: bool = False) -> None:
        """Until nothing is to be done and nothing is awaited; with ``watch`` all traffic must flow at every moment."""
        chance = chance or random.Random(1)
        while (busy := [router for router, queue in self.queues.items() if queue]) or self.changing:
            if busy:
                self.carry_out(chance.choice(sorted(busy)))
            else:
                self.pass_time(SETTLE_S)
            if watch:
                assert self.delivers() == set(CLIENTS)

    @property
    def changing(self) -> bool:
        """Whether anything is under way but the audit."""
        return self.reconciler.phase is not Phase.STEADY or self.reconciler.hello_by is not None

    @property
    def step(self) -> Turn | None:
        """Where the change under way stands."""
        return self.reconciler.rollout.stage if self.reconciler.rollout else None

    def delivers(self) -> set[str]:
        """The sites whose messages reach the broker, at either of its routers."""
        address = str(NETWORK.site["broker"].address4)
        return {site for site in CLIENTS if self.fabric.send(site, ipv4_dst=address, **MESSAGES).vlan == 104}

    def said(self, event: str) -> list[Event]:
        """The reports of one kind."""
        return [report for report in self.reports if report.event == event]

    def expected(self, failures: Failures) -> None:
        """The switches hold what a new controller would give them, but for the labels' numbers."""
        paths = compute_paths(NETWORK, self.plan.egresses, failures)
        labels = assign_labels(paths, self.reconciler.current.labels)
        assert labels.egress == self.reconciler.current.labels.egress
        for router, switch in self.fabric.switches.items():
            rules = self.reconciler.target(router)
            assert set(switch.flows.values()) == set(rules.flows)
            assert set(switch.groups.values()) == set(rules.groups)
            assert set(switch.meters.values()) == set(rules.meters)
