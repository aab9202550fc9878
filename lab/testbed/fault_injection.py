"""Fault injection: routers, links, access links and controllers of a running network fail and are restored.

Links go down in their backend, the interfaces at their ends lose carrier, routers lose power.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from helsewan.emulation.kernel.backend import KernelBackend
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.mininet_links import MininetLink, router_interface
from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.routers.management import management_link_name
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.lab.processes.controller_processes import Controllers
from helsewan.lab.processes.process_monitor import ProcessMonitor
from helsewan.lab.testbed.failure_state import FailureState, LinkSet, Target
from helsewan.topology.model import TRUNK_INTERFACE, Network, access_link_name


@dataclass(frozen=True)
class Boot:
    """The restoration of ``target`` while its ``routers`` boot; ``since``: the number of events that the controllers
    had reported before."""

    target: Target
    routers: tuple[str, ...]
    since: int


class FaultInjector:
    """Fails and restores routers, links and controllers of ``net``, which emulates ``network`` with links in
    ``backend``. The new daemons of restored routers are added to ``process_monitor``."""

    def __init__(
        self,
        network: Network,
        net: EmulatedNet,
        backend: EngineBackend | KernelBackend,
        controllers: Controllers,
        process_monitor: ProcessMonitor,
    ) -> None:
        self._network, self._net, self._backend = network, net, backend
        self._controllers, self._process_monitor = controllers, process_monitor
        self._links = {link.link_name: link for link in net.links if isinstance(link, MininetLink)}
        self._state = FailureState(network)
        self._lost_carrier: set[tuple[str, str]] = set()
        self._dark: set[tuple[str, Direction]] = set()  # directions of links whose receiving end has no carrier
        self._apart: Counter[str] = Counter()  # partitions that a router is in

    @property
    def failed_routers(self) -> frozenset[str]:
        """Failed routers, until their links carry again."""
        return self._state.routers

    @property
    def lost_carrier(self) -> frozenset[tuple[str, str]]:
        """Interfaces (node, name) that were ever set down on purpose."""
        return frozenset(self._lost_carrier)

    def note_lost_carrier(self, interfaces: Iterable[tuple[str, str]]) -> None:
        """Interfaces (node, name) are set down on purpose: frames that they drop do not count as drops of the
        machine."""
        self._lost_carrier.update(interfaces)

    def fail(self, target: Target) -> int:
        """Fail ``target``; returns the time at which its links went down, or it was killed (CLOCK_REALTIME, ns)."""
        if target.controller:
            return self._controllers.kill_leader()
        found = self._state.fail(target)
        accesses = [self._links[access_link_name(*access)] for access in found.accesses]
        self.note_lost_carrier(self._router_ends(found))
        for link in accesses:
            self.note_lost_carrier(link.ends())
        self.note_lost_carrier((router, TRUNK_INTERFACE) for router in target.routers)
        failed_ns = self._set_down(found, down=True)
        # A failed router is powered off, so its own ends need no change.
        self._set_carriers(found, lambda router: router not in self._state.routers, up=False)
        self._backend.set_down(self._management_links(target.routers), down=True)
        for name in found.links:
            self._links[name].has_carrier = False
        for link in accesses:
            link.set_carrier(up=False)
        for router in target.routers:
            self._router(router).power_off()
        return failed_ns

    def restore(self, target: Target) -> int:
        """Restore ``target`` in the order in which a router boots: power, then rules, then carrier.

        Returns the time at which its links carry again, or a controller was started (CLOCK_REALTIME, ns). Links that
        were cut on request stay so. Raises ControllerFailed where a router is not programmed in time, and CommandError
        or OSError where it does not start; it is off then, as before."""
        if target.controller:
            return self._controllers.restart_killed()
        boot = self.boot(target)
        try:
            self.power_on(boot)
            for router in boot.routers:
                self._controllers.wait_for_event("switch-programmed", boot.since, router)
        except BaseException:
            self.abandon(boot)
            raise
        return self.finish(boot)

    def boot(self, target: Target) -> Boot:
        """Begin to restore ``target``: its routers' management links carry again. What follows is `power_on`, then,
        once its routers are programmed (`is_programmed`), `finish`, or else `abandon`."""
        off = tuple(router for router in target.routers if router in self._state.routers)
        joined = self._management_links(router for router in off if not self._apart[router])
        if joined:
            self._backend.set_down(joined, down=False)
        return Boot(target, off, len(self._controllers.events))

    def power_on(self, boot: Boot) -> None:
        """Give the routers of ``boot`` power, which takes up to a second each; may be called in another thread. Raises
        CommandError or OSError where a router does not start."""
        for router in boot.routers:
            self._router(router).power_on()
            self._process_monitor.add(self._router(router).pidfds())

    def is_programmed(self, boot: Boot) -> bool:
        """Whether all routers that boot hold their rules. Raises ControllerFailed where one refuses a rule."""
        return all(self._controllers.has_event("switch-programmed", boot.since, router) for router in boot.routers)

    def abandon(self, boot: Boot) -> None:
        """Cut the power of routers that boot; they, and all that was to be restored, are failed as before."""
        for router in boot.routers:
            self._router(router).power_off()
        if boot.routers:
            self._backend.set_down(self._management_links(boot.routers), down=True)

    def finish(self, boot: Boot) -> int:
        """Let all that was restored carry again; returns the time (CLOCK_REALTIME, ns)."""
        found = self._without_cut(self._state.restore(boot.target))
        restored_ns = self._set_down(found, down=False)
        self._set_carriers(found, lambda router: True, up=True)
        for name in found.links:
            self._links[name].has_carrier = True
        for access in found.accesses:
            self._links[access_link_name(*access)].set_carrier(up=True)
        back = {*found.links, *(access_link_name(*access) for access in found.accesses)}
        for name, direction in self._dark:
            if name in back:
                self._links[name].set_receiver_up(direction, up=False)
        return restored_ns

    def darken(self, names: Iterable[str], direction: Direction) -> None:
        """One direction of links, which carries nothing any more, has no light at its receiving end: that end loses
        carrier."""
        for name in names:
            self._dark.add((name, direction))
            link = self._links[name]
            if receiver := link.receiver(direction):
                self.note_lost_carrier([receiver])
            if link.has_carrier:
                link.set_receiver_up(direction, up=False)

    def lighten(self, names: Iterable[str], direction: Direction) -> None:
        """End that; the ends of links that are down stay down."""
        for name in names:
            self._dark.discard((name, direction))
            if self._links[name].has_carrier:
                self._links[name].set_receiver_up(direction, up=True)

    def partition(self, routers: Collection[str]) -> int:
        """Cut routers off from the management network; returns the time (CLOCK_REALTIME, ns). They go on with what they
        have, and cannot boot."""
        self._apart.update(routers)
        return self._backend.set_down(self._management_links(routers), down=True)

    def rejoin(self, routers: Iterable[str]) -> int:
        """End one `partition` of routers; returns the time (CLOCK_REALTIME, ns)."""
        self._apart.subtract(routers)
        joined = [router for router in routers if not self._apart[router] and router not in self._state.routers]
        return self._backend.set_down(self._management_links(joined), down=False)

    @property
    def partitioned(self) -> frozenset[str]:
        """Routers that are cut off from the management network."""
        return frozenset(router for router, count in self._apart.items() if count)

    @property
    def down(self) -> frozenset[str]:
        """Links between routers that are down, for themselves or with a router at their end, or have an end without
        carrier."""
        return self._state.failed_links | {name for name, _ in self._dark if name in self._network.link}

    @staticmethod
    def _management_links(routers: Iterable[str]) -> list[str]:
        return [management_link_name(router) for router in routers]

    def _without_cut(self, found: LinkSet) -> LinkSet:
        """The links that were not cut on request as well."""
        return LinkSet(
            tuple(name for name in found.links if not self._links[name].is_cut),
            tuple(access for access in found.accesses if not self._links[access_link_name(*access)].is_cut),
        )

    def _router(self, name: str) -> RouterSwitch:
        node: RouterSwitch = self._net[name]
        return node

    def _set_down(self, found: LinkSet, down: bool) -> int:
        return self._backend.set_down([*found.links, *(access_link_name(*access) for access in found.accesses)], down)

    def _set_carriers(self, found: LinkSet, where: Callable[[str], bool], up: bool) -> None:
        """Let the links' ends at the routers ``where`` gain or lose carrier."""
        ends = [(self._router(router), interface) for router, interface in self._router_ends(found) if where(router)]
        if ends:
            ends[0][0].set_carriers(ends, up)

    def _router_ends(self, found: LinkSet) -> Iterator[tuple[str, str]]:
        """Both ends of every link between routers: router id and interface."""
        for name in found.links:
            link = self._network.link[name]
            for router in (link.a, link.b):
                yield router, router_interface(self._network.ports[router][name])
