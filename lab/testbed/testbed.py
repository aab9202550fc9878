"""The running network of one world: links, routers, sites and the controller, and the hands that break it.

Faults reach the machine here and nowhere else: lines are cut in their plant, the far ends lose
light, routers lose power.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from helsewan.emulation.kernel.backend import KernelBackend
from helsewan.emulation.kernel.classifier import Classes
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.link_backend import Dataplane, Direction, Shape
from helsewan.emulation.links.links import EngineBackend, MininetAccessLink, router_interface
from helsewan.emulation.links.model_rows import FULL_FRAME_BYTES
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel
from helsewan.emulation.mininet.build import build
from helsewan.emulation.nodes.nodes import SiteNode
from helsewan.emulation.routers import bfd
from helsewan.emulation.routers.management import ManagementNetwork, management_link_name
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.emulation.sandbox.procfs import task_clock_ns, transmit_drops
from helsewan.lab.calibration import calibration
from helsewan.lab.processes.controller_processes import (
    ControllerFailed,
    Controllers,
    Event,
    NorthboundProcess,
    SlowPathProcess,
)
from helsewan.lab.processes.process_monitor import ProcessMonitor
from helsewan.lab.testbed.failure_state import DarkLinks, FailureState, Target
from helsewan.policies.plan import Plan, Scheduling, TrafficClass
from helsewan.topology.management import OPENFLOW_PORT, STANDBY_PORT, Management
from helsewan.topology.model import TRUNK_INTERFACE, Network, access_link_name

LEAST_QUEUE = 3  # full frames that may wait, however slow the line
PROGRAM_DEADLINE_S = 300.0  # a machine that emulates its processor takes minutes
SPARE_FILES = 1000


class Testbed:
    """Brings ``plan.network`` up under ``plan``; ``log_dir`` gets the daemons' logs. ``dataplane`` carries the
    frames: the link engine, or the kernel, which does without ``engine``. With ``standby`` a second controller stands
    by."""

    backend: EngineBackend | KernelBackend

    def __init__(
        self,
        plan: Plan,
        run_dir: Path,
        log_dir: Path,
        on_event: Callable[[Event], None],
        dataplane: Dataplane = Dataplane.ENGINE,
        standby: bool = False,
    ) -> None:
        self.plan = replace(plan, answers_neighbours=dataplane is Dataplane.ENGINE)
        self.dataplane, self._standby = dataplane, standby
        self.network = plan.network
        self._run_dir, self._log_dir, self._on_event = run_dir, log_dir, on_event
        self._outage = FailureState(plan.network)
        self._management_lines = {management_link_name(router.id): router.id for router in plan.network.routers}
        self._darkened: set[tuple[str, str]] = set()  # (node, interface) that lost light at some time

    def start(self, stage: Callable[[str], None]) -> None:
        """Build, start and program everything; ``stage`` is told what is being done.

        Raises CommandError, OSError, EngineError or ControllerFailed when a part does not come up, and InputError
        where the machine allows fewer open files than the network takes, or has not the cores for BFD so fast."""
        sandbox.require_files(_files(self.network))
        cores = len(os.sched_getaffinity(0))
        self.bfd = bfd.timers(self.plan.detect_within_us // 1000, len(self.network.links), cores)
        stage("starting the controller and the lines")
        ports = (OPENFLOW_PORT, STANDBY_PORT) if self._standby else (OPENFLOW_PORT,)
        self.management = ManagementNetwork(Management(self.network), self._run_dir / "credentials", ports)
        self.controller = Controllers(self.plan, self.management, self._run_dir, self._log_dir, self._on_event)
        self._process_monitor = ProcessMonitor(self._something_ended)
        self.backend = self._new_plant()
        stage(f"building {len(self.network.sites)} sites and {len(self.network.routers)} routers")
        self.net = build(self.network, self.backend, self._run_dir, self._log_dir, self.management, self.bfd)
        self._access_links = {link.line: link for link in self.net.links if isinstance(link, MininetAccessLink)}
        self._wait("listening")
        stage("starting the routers")
        self.net.start()
        self._process_monitor.over(pidfd for switch in self.net.switches for pidfd in switch.pidfds())
        stage("programming the routers")
        slow_path = self._log_dir / "slowpath.log"
        self.slow_path = SlowPathProcess(self._run_dir, self._run_dir, slow_path)
        self._wait("all-programmed")
        self._wait("all-links-up")
        stage("calibrating the lines")
        self._calibrate()

    def start_northbound(self, events: Path, tokens: Path, listener: int) -> None:
        """Serve the northbound interface on a listening socket; ``events`` is the file that events are appended to."""
        log = self._log_dir / "northbound.log"
        changes = self.controller.changes
        self.northbound = NorthboundProcess(self._run_dir, events, changes, tokens, listener, log)

    def _new_plant(self) -> EngineBackend | KernelBackend:
        shape, classes = link_shape(self.plan), link_classes(self.plan)
        if self.dataplane is Dataplane.KERNEL:
            return KernelBackend(shape, classes)
        engine = EngineProcess()
        engine.start()
        self._process_monitor.over([os.pidfd_open(engine.pid)])
        engine.configure(classes.dscp_to_queue, classes.tc_to_queue, classes.other_queue)
        return EngineBackend(engine, shape, self.network.seed)

    @property
    def engine_backend(self) -> EngineBackend:
        """The link engine's plant; raises RuntimeError where the kernel carries the lines."""
        if not isinstance(self.backend, EngineBackend):
            raise RuntimeError("the kernel carries the lines: there is no link engine")
        return self.backend

    @property
    def engine(self) -> EngineProcess:
        """The link engine; raises RuntimeError where the kernel carries the lines."""
        return self.engine_backend.engine

    @property
    def has_engine(self) -> bool:
        """Whether the link engine carries the lines."""
        return self.dataplane is Dataplane.ENGINE

    def _calibrate(self) -> None:
        """Measure what the idle machine adds to the model's delays and have the lines make up for it."""
        routes = calibration.ways(self.plan, self.network.seed)
        raw = calibration.undisturbed(lambda: calibration.fit(routes, self._delays_us(routes)))
        fibres = {link.id for link in self.network.links}
        to_routers = [
            (name, direction)
            for name in self.backend.lines
            for direction in (Direction if name in fibres else (Direction.FORWARD,))
            if name not in self._management_lines
        ]
        self.backend.compensate_delay(dict.fromkeys(to_routers, raw.core_us))
        self.overhead = raw
        if self.has_engine:  # the kernel does not know a frame again
            self.engine.follow_frames(0.0)
            rest = calibration.undisturbed(lambda: self._rest(routes))
            self.engine.follow_frames(rest.ends_us)
            self.overhead = replace(raw, ends_us=rest.ends_us, hop_us=rest.hop_us)
        delays_us = {name: self.backend.models[name][0].delay_us for name, _ in to_routers}
        self.short_lines_us = calibration.short_lines_us(delays_us, raw.core_us)

    def _delays_us(self, routes: Sequence[calibration.CalibrationPath]) -> list[list[float]]:
        return calibration.measure_us(routes, self.plan, self.socket_in)

    def _rest(self, routes: Sequence[calibration.CalibrationPath]) -> calibration.Overhead:
        """What is left at the ends of ways, and what a router's switch takes meanwhile."""
        before_ns = self._switching_ns()
        ends_us = calibration.rest_us(routes, self._delays_us(routes))
        hop_us = (self._switching_ns() - before_ns) / 1000 / max(1, calibration.router_visits(routes))
        return calibration.Overhead(ends_us=ends_us, hop_us=hop_us)

    def _switching_ns(self) -> int:
        """Processor time of all switches so far."""
        return sum(task_clock_ns(switch.daemon_pid("ovs-vswitchd"))[0] for switch in self.net.switches)

    def site(self, name: str) -> SiteNode:
        """A site's node by id."""
        node: SiteNode = self.net[name]
        return node

    def router(self, name: str) -> RouterSwitch:
        """A router's node by id."""
        node: RouterSwitch = self.net[name]
        return node

    def close(self) -> None:
        """End what speaks to us; the kernel ends the rest with the world."""
        if hasattr(self, "northbound"):
            self.northbound.close()
        if hasattr(self, "slow_path"):
            self.slow_path.close()
        if hasattr(self, "controller"):
            self.controller.close()

    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        """A socket that lives at a site."""
        return self.site(site).namespace.socket(family, kind)

    def namespaces(self) -> dict[str, Namespace]:
        """Where each site is."""
        return {site.id: self.site(site.id).namespace for site in self.network.sites}

    def dead_parts(self) -> list[str]:
        """Parts of the emulation that ended by themselves."""
        switches = self.net.switches if hasattr(self, "net") else []
        dead = [f"{switch.name}'s {daemon}" for switch in switches for daemon in switch.dead_daemons()]
        dead += self.controller.dead()
        if hasattr(self, "slow_path") and self.slow_path.process.poll() is not None:
            dead.append("the routers' slow path")
        if self.has_engine and hasattr(self, "plant") and not self.engine.alive:
            dead.append("the link engine")
        return dead

    def machine_drops(self, sites: bool = True) -> dict[str, int]:
        """Frames lost so far by this machine, not by the model, by place: the engine could not write, or not read in
        time. ``sites``: whether to ask the sites' interfaces too, which are many.

        What an interface drops as it goes dark is the failure's, so those that ever did are left out."""
        drops = self._engine_drops() if self.has_engine else {}
        for node in (*self.net.switches, *(self.net.hosts if sites else ())):
            sent = transmit_drops(node.namespace)
            for name in {intf.name.partition(".")[0] for intf in node.intfList()}:
                if sent[name] and (node.name, name) not in self._darkened:
                    drops[f"{node.name}'s {name}"] = sent[name]
        return drops

    def lost_light(self, ends: Iterable[tuple[str, str]]) -> None:
        """Interfaces (node, name) went dark by somebody's wish: what they drop from now on is not the machine's."""
        self._darkened.update(ends)

    @property
    def failed_routers(self) -> frozenset[str]:
        """Routers that stand failed, until their lines carry again."""
        return self._outage.routers

    def _engine_drops(self) -> dict[str, int]:
        pipes = self.engine.counters()
        lost = pipes["drop_machine"] + pipes["drop_memory"]
        names = self.line_names() if lost.any() else {}
        return {names[int(pipe)]: int(lost[pipe]) for pipe in np.flatnonzero(lost)}

    def line_names(self) -> dict[int, str]:
        """What the engine's pipes are, by number: ``from > to``; none where there is no engine."""
        if not self.has_engine:
            return {}
        ends = {link.id: (link.a, link.b) for link in self.network.links}
        for site in self.network.sites:
            accesses = enumerate(site.accesses)
            ends |= {access_link_name(site.id, number): (site.id, access.router) for number, access in accesses}
        ends |= {name: (router, "operations") for name, router in self._management_lines.items()}
        names: dict[int, str] = {}
        for name, (a, b) in ends.items():
            line = self.engine_backend.lines[name]
            names |= {line.forward: f"{a} > {b}", line.back: f"{b} > {a}"}
        return names

    def fail(self, struck: Target) -> int:
        """Let what ``struck`` names fail; returns the instant it did, or the lines went dark (CLOCK_REALTIME, ns)."""
        if struck.controller:
            return self.controller.kill_leader()
        lines = self._outage.strike(struck)
        accesses = [self._access_links[access_link_name(*line)] for line in lines.accesses]
        self._darkened.update(self._fibre_ends(lines), *(link.ends() for link in accesses))
        self._darkened.update((router, TRUNK_INTERFACE) for router in struck.routers)
        instant = self._set_down(lines, down=True)
        for router, interface in self._fibre_ends(lines):
            if router not in self._outage.routers:  # what is dead sees no light go
                self.router(router).netlink.set_link(interface, up=False)
        self.backend.set_down(map(management_link_name, struck.routers), down=True)
        for link in accesses:
            link.follow(up=False)
        for router in struck.routers:
            self.router(router).power_off()
        return instant

    def restore(self, struck: Target) -> int:
        """Bring what ``struck`` names back: power first, then rules, then light, as a router that boots does.

        Returns the instant that began, or the lines carry again (CLOCK_REALTIME, ns)."""
        if struck.controller:
            return self.controller.revive()
        since = len(self.controller.events)
        dead = [router for router in struck.routers if router in self._outage.routers]
        self.backend.set_down(map(management_link_name, dead), down=False)
        for router in dead:
            self.router(router).power_on()
            self._process_monitor.over(self.router(router).pidfds())
        for router in dead:
            self._wait("switch-programmed", since, router)
        lines = self._outage.mend(struck)
        instant = self._set_down(lines, down=False)
        for router, interface in self._fibre_ends(lines):
            self.router(router).netlink.set_link(interface, up=True)
        for line in lines.accesses:
            self._access_links[access_link_name(*line)].follow(up=True)
        return instant

    def _set_down(self, lines: DarkLinks, down: bool) -> int:
        return self.backend.set_down([*lines.links, *(access_link_name(*access) for access in lines.accesses)], down)

    def _fibre_ends(self, lines: DarkLinks) -> Iterator[tuple[str, str]]:
        """Both ends of every fibre: router id and interface."""
        for name in lines.links:
            fibre = self.network.link[name]
            for router in (fibre.a, fibre.b):
                yield router, router_interface(self.network.ports[router][name])

    def _something_ended(self) -> None:
        """A process of ours ended: unless a failure asked for it, nobody need wait for what it was to do."""
        if dead := self.dead_parts():
            self.controller.give_up(f"ended unexpectedly: {', '.join(dead)}")

    def _wait(self, kind: str, since: int = 0, router: str | None = None) -> None:
        """Wait for an event of ``kind`` (of ``router``) among those from number ``since`` on."""

        def seen(events: list[Event]) -> bool:
            for event in events[since:]:
                if event["event"] == "error" and "rule" in event and router in (None, event["router"]):
                    raise ControllerFailed(f"{event['router']} {event['message']}: {event['rule']}")
            return any(e["event"] == kind and router in (None, e.get("router")) for e in events[since:])

        self.controller.wait_for(f"{kind} {router or ''}".strip(), seen, PROGRAM_DEADLINE_S)


def _files(network: Network) -> int:
    """How many files one process may come to hold: the link engine a TAP for each end of a line but on trunks, this one
    a namespace for each node and two daemons for each router; and sockets of the traffic besides."""
    lines = sum(len(site.accesses) for site in network.sites) + sum(map(len, network.access_link_ports.values()))
    taps = lines + 3 * len(network.routers) + 2 * len(network.links)
    return max(taps, len(network.sites) + 3 * len(network.routers)) + SPARE_FILES


def link_classes(plan: Plan) -> Classes:
    """Which frames belong in which queue."""
    best_effort = max(plan.classes, key=lambda cls: cls.queue).queue
    dscp_to_queue, tc_to_queue = [best_effort] * 64, [best_effort] * 8
    for cls in plan.classes:
        for dscp in cls.dscps:
            dscp_to_queue[dscp] = cls.queue
            tc_to_queue[dscp >> 3] = cls.queue
    return Classes(tuple(dscp_to_queue), tuple(tc_to_queue), other_queue=0)


def link_shape(plan: Plan) -> Shape:
    """The models of the plan's lines: a queue for each class, as long as its buffer, and never shorter than
    ``LEAST_QUEUE`` full frames."""
    classes = {cls.queue: cls for cls in plan.classes}

    @cache  # lines of one rate share one value
    def queues(rate_bps: int) -> tuple[ClassQueue, ...]:
        least_us = -(-LEAST_QUEUE * FULL_FRAME_BYTES * 8_000_000 // rate_bps)
        return tuple(_queue(classes.get(number), least_us, rate_bps) for number in range(max(classes) + 1))

    return lambda rate_bps, delay_us: PipeModel(rate_bps, delay_us, queues(rate_bps))


def _queue(cls: TrafficClass | None, least_us: int, rate_bps: int) -> ClassQueue:
    if cls is None:
        return ClassQueue(limit_us=least_us)
    strict = cls.scheduling is Scheduling.STRICT
    return ClassQueue(limit_us=max(cls.buffer_us, least_us), strict=strict, weight=cls.weight_at(rate_bps))
