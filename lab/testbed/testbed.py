"""The running network of one sandbox: starts controllers, links, sites and routers, and ends them."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from helsewan.common.counts import counted
from helsewan.emulation.kernel.backend import KernelBackend
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.mininet.build import build
from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.nodes.dismantle import dismantle
from helsewan.emulation.nodes.nodes import SiteNode
from helsewan.emulation.nodes.site_names import SiteNames
from helsewan.emulation.routers import bfd
from helsewan.emulation.routers.forwarding import Forwarding, forwarding
from helsewan.emulation.routers.management import ManagementNetwork, management_link_name
from helsewan.emulation.routers.shared_switch import SharedOpenVSwitch
from helsewan.emulation.routers.switches import RouterKind, RouterSwitch
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.calibration.calibration import Overhead, calibration_paths
from helsewan.lab.calibration.compensation import Calibrated, calibrate
from helsewan.lab.processes.controller_processes import Controllers, Event, NorthboundProcess, SlowPathProcess
from helsewan.lab.processes.process_monitor import ProcessMonitor
from helsewan.lab.testbed import observation
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.fault_injection import FaultInjector
from helsewan.lab.testbed.link_settings import link_classes, link_shape
from helsewan.lab.testbed.parts import (
    Part,
    PartKind,
    controller_parts,
    engine_part,
    how_ended,
    northbound_part,
    router_parts,
    shared_parts,
    slow_path_part,
)
from helsewan.policies.plan import Plan
from helsewan.topology.management import OPENFLOW_PORT, STANDBY_PORT, Management
from helsewan.topology.model import Network

SPARE_FILES = 1000  # open files besides those computed by `_open_files`
_NOT_STARTED = "the testbed has no {} yet: it was not started"

Component = TypeVar("Component")


class Testbed:
    """The network of ``plan``, controlled by that plan, in the current sandbox, from ``start`` to ``close``.

    Sockets and credentials are created in ``run_dir``, the daemons' logs in ``log_dir``; ``on_event`` is called with
    the controllers' events. ``chosen``: what carries frames, None for the best that this machine can have. With
    ``standby`` there is a second controller. Properties of components that ``start`` has not created yet raise
    RuntimeError."""

    def __init__(
        self,
        plan: Plan,
        run_dir: Path,
        log_dir: Path,
        on_event: Callable[[Event], None],
        chosen: Forwarding | None = None,
        standby: bool = False,
    ) -> None:
        self.forwarding = chosen or forwarding()
        self.dataplane = self.forwarding.dataplane
        self.plan = replace(plan, answers_neighbours=self.dataplane is Dataplane.ENGINE)
        self.network, self._standby = plan.network, standby
        self._run_dir, self._log_dir, self._on_event = run_dir, log_dir, on_event
        self._started = ExitStack()  # ends the processes that were started, the last one first
        self._bfd: bfd.Timers | None = None
        self._management: ManagementNetwork | None = None
        self._controllers: Controllers | None = None
        self._engine: EngineProcess | None = None  # stays None where the kernel carries the links
        self._backend: EngineBackend | KernelBackend | None = None
        self._net: EmulatedNet | None = None
        self._names: SiteNames | None = None
        self._faults: FaultInjector | None = None
        self._slow_path: SlowPathProcess | None = None
        self._northbound: NorthboundProcess | None = None
        self._northbound_start: Callable[[], NorthboundProcess] | None = None
        self.is_supervised = False  # whether parts that end are restarted or done without, see `lab.supervision`
        self._calibrated: Calibrated | None = None

    def start(self, stage: Callable[[str], None]) -> None:
        """Build, start, program and calibrate the network; ``stage`` is called with a description of each step. Raises
        the limit on open files if necessary.

        Raises CommandError, OSError, EngineError or ControllerFailed when a component does not start, and InputError
        where the machine allows too few open files or has too few cores for the policy's BFD intervals."""
        sandbox.require_files(_open_files(self.network))
        cores = len(os.sched_getaffinity(0))
        self._bfd = bfd.timers(self.plan.detect_within_us // 1000, len(self.network.links), cores)
        stage("starting the controller and the links")
        monitor = ProcessMonitor(self._process_ended)
        self._start_controllers()
        self._start_backend(monitor)
        stage(f"building {counted(len(self.network.sites), 'site')} and {counted(len(self.network.routers), 'router')}")
        self._net = build(
            self.network,
            self.backend,
            self._run_dir,
            self._log_dir,
            self.management,
            self._bfd,
            self.forwarding.routers,
        )
        if sandbox.inside():  # never the machine's own file
            self._names = SiteNames(self.network.sites, sandbox.RUN_DIR)
            self._names.publish()
            self._started.callback(self._names.withdraw)
        self._faults = FaultInjector(self.network, self._net, self.backend, self.controllers, monitor)
        self.controllers.wait_for_event("listening")
        stage("starting the routers")
        self._net.start()
        monitor.add(pidfd for switch in self._net.switches for pidfd in switch.pidfds())
        if self._open_vswitch is not None:
            monitor.add(daemon.pidfd for daemon in self._open_vswitch.running_daemons())
            self._started.callback(self._open_vswitch.relay.close)
        stage("programming the routers")
        self._slow_path = self._start_slow_path()
        self._started.callback(lambda: _started_component(self._slow_path, "slow path").close())
        paths = calibration_paths(self.plan, self.network.seed)
        self.controllers.wait_for_event("all-programmed")
        self.controllers.wait_for_event("all-links-up")
        stage("calibrating the links")
        management_links = {management_link_name(router.id) for router in self.network.routers}
        self._calibrated = calibrate(
            paths, self.plan, self.backend, self._net.switches, self.socket_in, management_links
        )
        if self._open_vswitch is not None:
            self._open_vswitch.forget_missed()

    def _start_controllers(self) -> None:
        ports = (OPENFLOW_PORT, STANDBY_PORT) if self._standby else (OPENFLOW_PORT,)
        self._management = ManagementNetwork(Management(self.network), self._run_dir / "credentials", ports)
        self._controllers = Controllers(self.plan, self._management, self._run_dir, self._log_dir, self._on_event)
        self._started.callback(self._controllers.close)

    def _start_backend(self, monitor: ProcessMonitor) -> None:
        shape, classes = link_shape(self.plan), link_classes(self.plan)
        if self.dataplane is Dataplane.KERNEL:
            self._backend = KernelBackend(shape, classes)
            return
        self._engine = EngineProcess()
        self._engine.start()
        monitor.add([os.pidfd_open(self._engine.pid)])
        self._engine.configure(classes.dscp_to_queue, classes.tc_to_queue, classes.other_queue)
        backend = EngineBackend(self._engine, shape, self.network.seed)
        self._started.callback(backend.rings.close)
        self._backend = backend

    def start_northbound(self, events: Path, tokens: Path, listener: int) -> None:
        """Start the northbound server on the listening socket ``listener`` (descriptor); ``events`` is the file that
        events are appended to, ``tokens`` the file of accepted tokens."""
        log, changes = self._log_dir / "northbound.log", self.controllers.changes
        self._northbound_start = partial(NorthboundProcess, self._run_dir, events, changes, tokens, listener, log)
        self._northbound = self._northbound_start()
        self._started.callback(lambda: _started_component(self._northbound, "northbound server").close())

    def _start_slow_path(self) -> SlowPathProcess:
        log = self._log_dir / "slowpath.log"
        if self.dataplane is Dataplane.KERNEL:  # its links do not report what is too long for them
            return SlowPathProcess(self._run_dir, self._run_dir, log)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            ours.setblocking(False)
            self.engine.report_too_long(theirs.fileno())
            ends = observation.pipe_ends(self.network, self.engine_backend.links)
            return SlowPathProcess(self._run_dir, self._run_dir, log, ours, ends)

    @property
    def _open_vswitch(self) -> SharedOpenVSwitch | None:
        """The Open vSwitch that all routers share, once it was started; None where they are private."""
        switches = self._net.switches if self._net is not None else []
        open_vswitch = switches[0].open_vswitch if switches and self.forwarding.routers is RouterKind.SHARED else None
        return open_vswitch if open_vswitch is not None and open_vswitch.is_started else None

    def parts(self) -> list[Part]:
        """The processes of the network that were started; those of routers that are off are left out."""
        found = [] if self._net is None else list(router_parts(self._net.switches))
        found += [] if self._open_vswitch is None else shared_parts(self._open_vswitch)
        found += [] if self._controllers is None else controller_parts(self._controllers)
        found += [] if self._slow_path is None else [slow_path_part(self._slow_path)]
        found += [] if self._northbound is None else [northbound_part(self._northbound)]
        engine = self._engine
        return [*found, engine_part(engine)] if engine is not None and engine.is_started else found

    def restart(self, part: Part) -> None:
        """Start a part that has ended, and that keeps no state that the network needs: a controller, the slow path or
        the northbound server. Raises ValueError for any other."""
        if part.kind is PartKind.CONTROLLER:
            self.controllers.restart(int(part.owner))
        elif part.kind is PartKind.RELAY and self._open_vswitch is not None:
            self._open_vswitch.relay.restart()
        elif part.kind is PartKind.SLOW_PATH:
            self._slow_path = self._start_slow_path()
        elif part.kind is PartKind.NORTHBOUND and self._northbound_start is not None:
            self._northbound = self._northbound_start()
        else:
            raise ValueError(f"{part.name} cannot be restarted")

    def close(self) -> None:
        """End the processes that this process exchanges data with; the kernel ends all others with the sandbox."""
        self._started.close()

    def dismantle(self) -> None:
        """After `close`: end the routers, all commands on nodes and the link engine, and give up the namespaces, for a
        sandbox that goes on. Idempotent."""
        switches = self._net.switches if self._net is not None else []
        if switches:
            switches[0].batchShutdown(switches)
        nodes = list(self._net.values()) if self._net is not None else []
        dismantle([*nodes, *([self._management.centre] if self._management is not None else [])])
        if self._engine is not None:
            self._engine.close()
        if isinstance(self._backend, EngineBackend):
            self._backend.rings.release()

    @property
    def bfd(self) -> bfd.Timers:
        """Timers of the BFD sessions between routers."""
        return _started_component(self._bfd, "timers")

    @property
    def management(self) -> ManagementNetwork:
        """The network between routers and controllers."""
        return _started_component(self._management, "management network")

    @property
    def controllers(self) -> Controllers:
        """The controllers' processes."""
        return _started_component(self._controllers, "controllers")

    @property
    def backend(self) -> EngineBackend | KernelBackend:
        """The links' backend."""
        if self._backend is None:
            raise RuntimeError(_NOT_STARTED.format("links"))
        return self._backend

    @property
    def net(self) -> EmulatedNet:
        """The nodes and links as a Mininet."""
        return _started_component(self._net, "nodes")

    @property
    def has_engine(self) -> bool:
        """Whether the link engine carries the links."""
        return self.dataplane is Dataplane.ENGINE

    def publish_names(self, lines: Iterable[str]) -> None:
        """Name hosts on every site, in lines of hosts(5)."""
        if self._names is not None:
            self._names.add(lines)

    @property
    def engine_backend(self) -> EngineBackend:
        """The link engine's backend; raises RuntimeError where the kernel carries the links."""
        if not isinstance(self.backend, EngineBackend):
            raise RuntimeError("the kernel carries the links: there is no link engine")
        return self.backend

    @property
    def engine(self) -> EngineProcess:
        """The link engine; raises RuntimeError where the kernel carries the links."""
        return self.engine_backend.engine

    @property
    def overhead(self) -> Overhead:
        """The delay that the idle machine adds, as calibrated."""
        return _started_component(self._calibrated, "calibration").overhead

    @property
    def short_links_us(self) -> dict[str, float]:
        """Links whose delay is shorter than the overhead to be compensated, and the difference (us)."""
        return dict(_started_component(self._calibrated, "calibration").short_links_us)

    def site(self, name: str) -> SiteNode:
        """The node of the site with that id."""
        node: SiteNode = self.net[name]
        return node

    def router(self, name: str) -> RouterSwitch:
        """The node of the router with that id."""
        node: RouterSwitch = self.net[name]
        return node

    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        """Create a socket in a site's namespace."""
        return self.site(site).namespace.socket(family, kind)

    def namespaces(self) -> dict[str, Namespace]:
        """The namespaces of all sites, by site id."""
        return {site.id: self.site(site.id).namespace for site in self.network.sites}

    def fail(self, target: Target) -> int:
        """Fail ``target``, see `FaultInjector.fail`."""
        return self.faults.fail(target)

    def restore(self, target: Target) -> int:
        """Restore ``target``, see `FaultInjector.restore`."""
        return self.faults.restore(target)

    def note_lost_carrier(self, interfaces: Iterable[tuple[str, str]]) -> None:
        """Interfaces (node, name) are set down on purpose, see `FaultInjector.note_lost_carrier`."""
        self.faults.note_lost_carrier(interfaces)

    @property
    def failed_routers(self) -> frozenset[str]:
        """Failed routers, until their links carry again."""
        return self.faults.failed_routers

    @property
    def faults(self) -> FaultInjector:
        """What fails and restores the network's parts."""
        return _started_component(self._faults, "nodes")

    def dead_parts(self) -> list[str]:
        """The processes that ended unexpectedly, each with how it ended: ``north's ovs-vswitchd (was killed by
        SIGKILL)``."""
        ended = ((part.name, part.status()) for part in self.parts())
        return [f"{name} ({how_ended(status)})" for name, status in ended if status is not None]

    def pipe_names(self) -> dict[int, str]:
        """The names ``from > to`` of the engine's pipes, by number; none where the kernel carries the links."""
        return observation.pipe_names(self.network, self.engine_backend.links) if self.has_engine else {}

    def machine_drops(self, sites: bool = True) -> dict[str, int]:
        """Frames dropped so far by this machine, not by a link's model, by location. ``sites``: whether to include the
        sites' interfaces, which are many. Interfaces that ever lost carrier on purpose are left out."""
        drops = observation.engine_drops(self.engine, self.pipe_names()) if self.has_engine else {}
        nodes = [*self.net.switches, *(self.net.hosts if sites else ())]
        excluded = self.faults.lost_carrier
        if self._open_vswitch is not None:
            drops |= observation.shared_drops(self._open_vswitch, excluded)
        return drops | observation.interface_drops(nodes, excluded)

    def _process_ended(self) -> None:
        """Called when a process ended. Unless fault injection ended it, or it is supervised, waits for events must
        fail: they may never come."""
        if self.is_supervised:
            return
        if (dead := self.dead_parts()) and self._controllers is not None:
            self._controllers.give_up(f"ended unexpectedly: {', '.join(dead)}")


def _started_component(component: Component | None, what: str) -> Component:
    if component is None:
        raise RuntimeError(_NOT_STARTED.format(what))
    return component


def _open_files(network: Network) -> int:
    """The number of files that one process may have open: the link engine a TAP for each end of a link that is not on a
    trunk; this process a namespace for each node and two pidfds for each router; in addition sockets of the traffic."""
    links = sum(len(site.accesses) for site in network.sites) + sum(map(len, network.access_link_ports.values()))
    taps = links + 3 * len(network.routers) + 2 * len(network.links)
    return max(taps, len(network.sites) + 3 * len(network.routers)) + SPARE_FILES
