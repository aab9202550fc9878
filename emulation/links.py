"""Mininet links over the link engine: a TAP at each end, the engine between them.

Fibre links join two routers. Access lines join a site to its router's trunk: their far ends come
out together on one TAP there, told apart by VLAN, so that a router has few ports.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mininet.link import Intf, Link

from emulation.engine import EngineProcess, PipeChange, PipeSpec
from emulation.namespaces import open_tap
from emulation.nodes import NamespaceNode, SiteNode, access_interface
from emulation.switches import ACCESS_LOGICAL_PORT, RouterSwitch
from topology.model import TRUNK_INTERFACE, Access, Network
from topology.model import Link as Fibre

TAP_QUEUE = 2000  # frames a TAP holds while the engine is busy; beyond, the kernel drops and counts them
CORE_MTU = 1600  # a site's 1500 bytes and up to three labels and a tag


@dataclass(frozen=True)
class End:
    """One end of a line: the engine's port and the VLAN that tells it apart there (0 = none)."""

    port: int
    vlan: int = 0


@dataclass(frozen=True)
class Line:
    """An emulated line as the engine knows it: pipe ``forward`` from the first end, ``back`` from the second."""

    name: str
    forward: int
    back: int


@dataclass(frozen=True)
class QueueModel:
    """How much each class queue may hold (``buffer_us`` at line rate, by queue number) and what a
    frame costs beyond its bytes (``overhead_bytes``: FCS 4, preamble 8, gap 12; IEEE 802.3)."""

    buffer_us: tuple[int, ...]
    overhead_bytes: int = 24
    floor_bytes: int = 3 * 1600  # a queue holds at least three full frames, however slow the line

    def limits(self, rate_bps: int) -> tuple[int, ...]:
        """Queue limits in bytes for a line of ``rate_bps``."""
        return tuple(max(self.floor_bytes, rate_bps * time // 8_000_000) for time in self.buffer_us)


class Plant:
    """The lines of one world: collects them while Mininet builds, hands them to the engine in one go."""

    def __init__(self, engine: EngineProcess, queues: QueueModel) -> None:
        self.engine = engine
        self.lines: dict[str, Line] = {}
        self._queues = queues
        self._delay_us: dict[str, int] = {}
        self._taps: list[int] = []
        self._trunks: dict[str, End] = {}
        self._pipes: list[tuple[str, PipeSpec]] = []

    def end(self, node: NamespaceNode, name: str) -> End:
        """Create TAP ``name`` in ``node``; its number becomes the engine's port number on ``commit``."""
        self._taps.append(open_tap(node.namespace, name))
        return End(len(self._taps) - 1)

    def trunk_end(self, router: RouterSwitch, vlan: int) -> End:
        """The end of access line ``vlan`` on the router's trunk, whose TAP comes with the first line."""
        if router.name not in self._trunks:
            self._trunks[router.name] = self.end(router, TRUNK_INTERFACE)
            router.netlink.set_link(TRUNK_INTERFACE, up=True, txqlen=TAP_QUEUE)
        return End(self._trunks[router.name].port, vlan)

    def join(self, name: str, first: End, second: End, rate_bps: int, delay_us: int) -> None:
        """A line with the same rate and delay both ways; it exists in the engine from ``commit`` on."""
        self._delay_us[name] = delay_us
        for source, target in ((first, second), (second, first)):
            spec = PipeSpec(
                src_port=source.port,
                src_vlan=source.vlan,
                dst_port=target.port,
                dst_vlan=target.vlan,
                rate_bps=rate_bps,
                delay_us=delay_us,
                overhead_bytes=self._queues.overhead_bytes,
                queue_limits=self._queues.limits(rate_bps),
            )
            self._pipes.append((name, spec))

    def commit(self) -> None:
        """Hand all lines to the engine and let go of the TAPs' descriptors: the engine holds them now."""
        ports = self.engine.add_ports(self._taps)
        if ports != list(range(len(ports))):
            raise RuntimeError("the engine already had ports: a plant is committed once")
        for fd in self._taps:
            os.close(fd)
        pipes = self.engine.add_pipes([spec for _, spec in self._pipes])
        for (name, _), forward, back in zip(self._pipes[::2], pipes[::2], pipes[1::2], strict=True):
            self.lines[name] = Line(name, forward, back)
        self._taps.clear()
        self._pipes.clear()

    def hasten(self, by_us: Mapping[str, float]) -> None:
        """Deliver earlier on the lines named, by what the machine itself adds there, as far as their delay allows."""
        changes = []
        for name, early_us in by_us.items():
            delay_us = max(0, round(self._delay_us[name] - early_us))
            line = self.lines[name]
            changes += [PipeChange(pipe=pipe, delay_us=delay_us) for pipe in (line.forward, line.back)]
        self.engine.set_pipes(changes)

    def set_down(self, names: list[str], down: bool) -> int:
        """Cut or mend lines, all at the same instant; returns that instant (CLOCK_REALTIME, ns)."""
        pipes = [pipe for name in names for pipe in (self.lines[name].forward, self.lines[name].back)]
        return self.engine.set_pipes([PipeChange(pipe=pipe, down=down) for pipe in pipes])


class TapIntf(Intf):  # type: ignore[misc]
    """A Mininet interface that was made and is configured through netlink, not ifconfig."""

    def config(self, **_params: Any) -> dict[str, Any]:
        """Nothing: the link that made the interface has configured it."""
        return {}

    def isUp(self, setUp: bool = False) -> bool:
        """Raise the interface if asked to; True when it is up."""
        if setUp:
            self.node.netlink.set_link(self.name, up=True)
        return bool(self.node.netlink.is_up(self.name))

    def delete(self) -> None:
        """Forget the interface; the kernel removes it with its namespace."""
        self.node.delIntf(self)


class FibreLink(Link):  # type: ignore[misc]
    """A Mininet link between two routers."""

    def __init__(
        self, node1: RouterSwitch, node2: RouterSwitch, plant: Plant, fibre: Fibre, network: Network, **_: Any
    ) -> None:
        self.fibre = fibre
        ends = []
        interfaces = []
        for node in (node1, node2):
            port = network.ports[node.name][fibre.id]
            name = fibre_interface(port)
            ends.append(plant.end(node, name))
            node.netlink.set_link(name, up=True, mtu=CORE_MTU, txqlen=TAP_QUEUE)
            interfaces.append(TapIntf(name, node=node, port=port, link=self, moveIntfFn=self._ignore))
        plant.join(fibre.id, ends[0], ends[1], fibre.rate_bps, fibre.delay_us)
        self.intf1, self.intf2 = interfaces


class AccessLink(Link):  # type: ignore[misc]
    """A Mininet link between a site and its router: line ``line`` of the site (0 = primary)."""

    def __init__(self, node1: SiteNode, node2: RouterSwitch, plant: Plant, access: Access, line: int, **_: Any) -> None:
        self.access = access
        name = access_interface(line)
        site_end = plant.end(node1, name)
        node1.netlink.set_link(name, up=True, address=node1.site.mac)
        trunk_end = plant.trunk_end(node2, access.vlan)
        plant.join(access_name(node1.site.id, line), site_end, trunk_end, access.rate_bps, access.delay_us)
        self.intf1 = TapIntf(name, node=node1, port=line, link=self, moveIntfFn=self._ignore)
        far_name = f"{TRUNK_INTERFACE}.{access.vlan}"
        port = ACCESS_LOGICAL_PORT + access.vlan
        self.intf2 = TapIntf(far_name, node=node2, port=port, link=self, moveIntfFn=self._ignore)


def fibre_interface(port: int) -> str:
    """The interface of OpenFlow port ``port`` in a router's namespace."""
    return f"fibre{port}"


def access_name(site: str, line: int) -> str:
    """The name of a site's access line ``line`` among the world's lines."""
    return f"{site}/{access_interface(line)}"
