"""Mininet links over the links of a backend, and the link engine's backend: a TAP at each end, the engine between.

Router links join two routers. Access links join a site to its router's trunk: their far ends share one TAP there,
distinguished by VLAN, so that a router has few ports. Only the access links of dual-homed sites have a port of their
own there, which loses carrier with the link.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from mininet.link import Link

from helsewan.emulation.links.capture import SNAP_BYTES, Capture
from helsewan.emulation.links.engine import EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.link_backend import CORE_MTU, Dataplane, Direction, End, LinkBackend, Models, Shape
from helsewan.emulation.links.trace import Trace
from helsewan.emulation.netlink.interfaces import NetlinkIntf
from helsewan.emulation.nodes.nodes import NamespaceNode, SiteNode
from helsewan.emulation.routers.switches import ON_TRUNK, RouterSwitch
from helsewan.emulation.sandbox.namespaces import open_tap
from helsewan.topology.model import (
    ACCESS_LINK_PORTS,
    SITE_MTU,
    TRUNK_INTERFACE,
    AccessLink,
    Network,
    access_interface,
    access_link_name,
    router_mac,
)
from helsewan.topology.model import Link as Fibre

TAP_QUEUE = 2000  # frames a TAP holds while the engine is busy; beyond, the kernel drops and counts them
HANDED_OVER = 200  # TAPs handed to the engine at a time: keeping all until ``commit`` would double the open files


@dataclass(frozen=True)
class EngineLink:
    """An emulated link in the engine: the numbers of its two pipes."""

    name: str
    forward: int
    back: int

    def pipe(self, direction: Direction) -> int:
        """The pipe of one direction."""
        return self.forward if direction is Direction.FORWARD else self.back


class EngineBackend(LinkBackend):
    """Adds all links to the engine in one request, and applies each change to all its links at the same time."""

    dataplane = Dataplane.ENGINE
    trunk_queue = TAP_QUEUE

    def __init__(self, engine: EngineProcess, shape: Shape, seed: int = 0) -> None:
        """``shape`` returns a link's model for its rate and delay; ``seed`` seeds the links' random numbers."""
        super().__init__(shape)
        self.engine = engine
        self.lines: dict[str, EngineLink] = {}
        self._seed = seed
        self._taps: list[int] = []  # not yet handed over
        self._handed_over = 0

    def end(self, node: NamespaceNode, name: str) -> End:
        """Create TAP ``name`` in ``node``; its number is the engine's port number."""
        self._taps.append(open_tap(node.namespace, name))
        number = self._handed_over + len(self._taps) - 1
        if len(self._taps) == HANDED_OVER:
            self._hand_over()
        return End(number)

    def commit(self) -> None:
        """Add all links to the engine."""
        self._hand_over()
        pipes = self.engine.add_pipes([self._spec(name, direction) for name in self._ends for direction in Direction])
        for name, forward, back in zip(self._ends, pipes[::2], pipes[1::2], strict=True):
            self.lines[name] = EngineLink(name, forward, back)
        self._ends.clear()

    def _spec(self, name: str, direction: Direction) -> PipeSpec:
        source, target = self._ends[name] if direction is Direction.FORWARD else reversed(self._ends[name])
        model = self.models[name][direction is Direction.BACK]
        seed = crc32(f"{self._seed}/{name}/{direction.value}".encode())
        return PipeSpec(source.port, source.vlan, target.port, target.vlan, model, seed)

    def _hand_over(self) -> None:
        """Hand the descriptors of newly created TAPs to the engine."""
        ports = self.engine.add_ports(self._taps)
        if ports != list(range(self._handed_over, self._handed_over + len(self._taps))):
            raise RuntimeError("the engine has ports of others: it serves one plant")
        for fd in self._taps:
            os.close(fd)
        self._handed_over += len(self._taps)
        self._taps.clear()

    def compensate_delay(self, by_us: Mapping[tuple[str, Direction], float]) -> None:
        """Deliver earlier on one direction of links, by the delay that the machine adds behind it (us), as far as the
        link's delay allows."""
        self.engine.compensate_delay({self.lines[name].pipe(direction): us for (name, direction), us in by_us.items()})

    def set_models(self, models: Models) -> int:
        """Give links new models, forward and back, all at the same time; returns that time (CLOCK_REALTIME, ns).

        Delay compensation stays in effect. Raises EngineError, and changes nothing, when the engine refuses one."""
        changes = []
        for name, pair in models.items():
            for direction, model in zip(Direction, pair, strict=True):
                changes.append(PipeChange(self.lines[name].pipe(direction), model))
        instant = self.engine.set_pipes(changes)
        self.models.update(models)
        return instant

    def set_down(self, names: Iterable[str], down: bool) -> int:
        """Fail or restore links, all at the same time; returns that time (CLOCK_REALTIME, ns)."""
        return self.engine.set_pipes([PipeChange(pipe, down=down) for pipe in self._pipes(names)])

    def set_blackhole(self, name: str, direction: Direction, silent: bool) -> int:
        """Make one direction a black hole (all its frames are lost in transit), or end that; returns the time of the
        change (CLOCK_REALTIME, ns)."""
        return self.engine.set_pipes([PipeChange(self.lines[name].pipe(direction), silent=silent)])

    def set_paused(self, names: Iterable[str], frozen: bool) -> int:
        """Pause or resume links, all at the same time; returns that time (CLOCK_REALTIME, ns)."""
        return self.engine.set_pipes([PipeChange(pipe, frozen=frozen) for pipe in self._pipes(names)])

    def follow_trace(self, name: str, direction: Direction, trace: Trace | None) -> int:
        """Let one direction of a link follow a trace from now on, or its model again (None); returns the time of the
        change (CLOCK_REALTIME, ns). Delay compensation stays in effect."""
        pipe = self.lines[name].pipe(direction)
        if trace is not None:
            return self.engine.follow_trace([pipe], trace)
        self.engine.follow_trace([pipe], None)
        model = self.models[name][direction is Direction.BACK]
        return self.engine.set_pipes([PipeChange(pipe, model)])

    def capture(self, name: str, direction: Direction | None, file: Path, snap_bytes: int = SNAP_BYTES) -> Capture:
        """Start to capture the frames that leave a link in one direction, or in both (None), to a pcapng file, up to
        ``snap_bytes`` of each. Raises OSError if the file cannot be created, EngineError if that direction is already
        being captured."""
        line = self.lines[name]
        directions = list(Direction) if direction is None else [direction]
        interfaces = [(f"{name} {one.value}", line.pipe(one)) for one in directions]
        return Capture(self.engine, interfaces, file, snap_bytes)

    def _pipes(self, names: Iterable[str]) -> Iterator[int]:
        for name in names:
            yield from (self.lines[name].forward, self.lines[name].back)


class LinkIntf(NetlinkIntf):
    """An end of an emulated link: setting it up or down restores or fails the link, and the other end gains or loses
    carrier."""

    def light(self, up: bool) -> None:
        """Restore or fail the link."""
        self.link.light(up)


class SiteIntf(LinkIntf):
    """A site's end of an access link. Without an address of its own it uses the site's, which is on ``lo``."""

    def IP(self) -> str:
        """The address used on the link."""
        return str(self.ip or self.node.IP())

    def updateIP(self) -> str:
        """The address used on the link, read again."""
        return str(super().updateIP() or self.node.IP())

    def MAC(self) -> str:
        """The interface's MAC address."""
        return str(self.mac)


class MininetLink(Link, ABC):  # type: ignore[misc]
    """A Mininet link over the backend's link ``name``."""

    def __init__(self, name: str, backend: LinkBackend) -> None:
        self.line, self._backend = name, backend
        self.lit = True
        self.ask: Callable[[str, bool], None] | None = None  # called instead of the backend to restore or fail the link

    def light(self, up: bool) -> None:
        """Restore or fail the link, both ways; the interfaces at its ends gain or lose carrier."""
        if self.ask:
            self.ask(self.line, up)
            return
        self._backend.set_down([self.line], not up)
        self.follow(up)

    def follow(self, up: bool) -> None:
        """Set carrier of the interfaces at both ends, after the link was restored or failed."""
        self.lit = up
        self._raise_ends(up)

    def ends(self) -> tuple[tuple[str, str], ...]:
        """The interfaces, as (node, name), that lose carrier when the link fails."""
        return tuple((intf.node.name, intf.device) for intf in (self.intf1, self.intf2))

    @abstractmethod
    def _raise_ends(self, up: bool) -> None:
        """Set the interfaces at the link's ends up or down."""

    def delete(self) -> None:
        """Fail the link permanently."""
        self.light(up=False)
        super().delete()

    def stop(self) -> None:
        """Remove the Mininet link; the emulated link ends with its sandbox."""
        super().delete()


class MininetRouterLink(MininetLink):
    """A Mininet link between two routers."""

    def __init__(
        self, node1: RouterSwitch, node2: RouterSwitch, backend: LinkBackend, fibre: Fibre, network: Network, **_: Any
    ) -> None:
        super().__init__(fibre.id, backend)
        self.fibre = fibre
        ends = []
        interfaces = []
        for node in (node1, node2):
            port = network.ports[node.name][fibre.id]
            name = router_interface(port)
            ends.append(backend.end(node, name))
            node.raise_port(name, mtu=CORE_MTU, txqlen=TAP_QUEUE)
            interfaces.append(LinkIntf(name, node=node, port=port, link=self))
        backend.join(fibre.id, ends[0], ends[1], fibre.rate_bps, fibre.delay_us)
        self.intf1, self.intf2 = interfaces

    def _raise_ends(self, up: bool) -> None:
        for intf in (self.intf1, self.intf2):
            intf.node.netlink.set_link(intf.device, up=up)


class MininetAccessLink(MininetLink):
    """A Mininet link between a site and its router: access link ``line`` of the site (0 = primary)."""

    def __init__(
        self,
        node1: SiteNode,
        node2: RouterSwitch,
        backend: LinkBackend,
        access: AccessLink,
        line: int,
        network: Network,
        **_: Any,
    ) -> None:
        super().__init__(access_link_name(node1.site.id, line), backend)
        self.access, self._number = access, line
        self._has_port = len(node1.site.accesses) > 1
        name = access_interface(line)
        site_end = backend.end(node1, name)
        far_end = backend.trunk_end(node2, access.vlan)  # every router has a trunk, also for liveness checks
        if self._has_port:
            far_end = backend.end(node2, access_port_interface(access.vlan))
            node2.raise_port(access_port_interface(access.vlan), txqlen=backend.trunk_queue)
        mtu_bytes = access.mtu_bytes if access.mtu_bytes < SITE_MTU else None
        backend.join(self.line, site_end, far_end, access.rate_bps, access.delay_us, mtu_bytes)
        if backend.dataplane is Dataplane.KERNEL:  # its switches cannot answer neighbour solicitations
            node1.gateway_macs[line] = router_mac(network.router[access.router])
        self.intf1 = SiteIntf(name, node=node1, port=line, link=self, mac=node1.site.mac)
        if self._has_port:
            far_name, port, device = access_port_interface(access.vlan), ACCESS_LINK_PORTS + access.vlan, None
        else:
            far_name, port, device = f"{TRUNK_INTERFACE}.{access.vlan}", ON_TRUNK + access.vlan, TRUNK_INTERFACE
        self.intf2 = LinkIntf(far_name, device=device, node=node2, port=port, link=self)

    def ends(self) -> tuple[tuple[str, str], ...]:
        """The site's interface, and the router's where the link has a port of its own there."""
        return super().ends()[: 2 if self._has_port else 1]

    def _raise_ends(self, up: bool) -> None:
        """Set the site's end, and the router's own port, up or down; a trunk stays up, as it carries other links."""
        site = self.intf1.node
        if not up:
            site.lower_line(self._number)
        if self._has_port:  # when restored: the site receives, then the router sends, then the site sends
            site.netlink.set_link(self.intf1.device, up=up)
            self.intf2.node.netlink.set_link(self.intf2.device, up=up)
        if up:
            site.raise_line(self._number)


def access_port_interface(vlan: int) -> str:
    """Name of the interface of access link ``vlan`` in its router's namespace, where it is not on the trunk."""
    return f"line{vlan}"


def router_interface(port: int) -> str:
    """Name of the interface of OpenFlow port ``port`` in a router's namespace."""
    return f"fibre{port}"
