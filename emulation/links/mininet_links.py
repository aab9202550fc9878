"""Mininet links over the links of a backend.

Router links join two routers. Access links join a site to its router's trunk: their far ends share one TAP there,
distinguished by VLAN, so that a router has few ports. Only the access links of dual-homed sites have a port of their
own there, which loses carrier with the link.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from mininet.link import Link

from helsewan.emulation.links.link_backend import CORE_MTU, TAP_QUEUE, Dataplane, LinkBackend
from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.netlink.interfaces import NetlinkIntf
from helsewan.emulation.nodes.nodes import SiteNode
from helsewan.emulation.routers.shared_switch import SharedSwitch
from helsewan.emulation.routers.switches import ON_TRUNK, RouterSwitch
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
from helsewan.topology.model import Link as RouterLink

MANY_SITES = 400  # with a backup link and other programs' entries well below what the neighbour tables hold


class LinkIntf(NetlinkIntf):
    """An end of an emulated link: setting it up or down restores or fails the link, and the other end gains or loses
    carrier."""

    def set_up(self, up: bool) -> None:
        """Restore or fail the link."""
        self.link.set_up(up)

    def isUp(self, setUp: bool = False) -> bool:
        """Restore the link if ``setUp``; returns whether the interface is up."""
        if not self._is_ring():
            return super().isUp(setUp)
        if setUp:
            self.set_up(up=True)
        return bool(self.node.rings[self.device].is_wanted)

    def status(self) -> str:
        """``OK`` if the interface exists, as shown by Mininet's ``links`` command."""
        return "OK" if self._is_ring() else super().status()

    def _is_ring(self) -> bool:
        """Whether the interface is a port in shared memory, of which the kernel knows nothing."""
        return isinstance(self.node, SharedSwitch) and self.device in self.node.rings


class SiteIntf(LinkIntf):
    """A site's end of an access link, with the site's address unless it is given one of its own."""

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
        self.link_name, self._backend = name, backend
        self.has_carrier = True
        self.is_cut = False  # on request, for itself: it stays down when a router at its end returns
        self.on_set_up: Callable[[str, bool], None] | None = None  # called by ``set_up`` instead of the backend

    def set_up(self, up: bool) -> None:
        """Restore or fail the link, both ways; the interfaces at its ends gain or lose carrier."""
        if self.on_set_up:
            self.on_set_up(self.link_name, up)
            return
        self.is_cut = not up
        self._backend.set_down([self.link_name], not up)
        self.set_carrier(up)

    def set_carrier(self, up: bool) -> None:
        """Set carrier of the interfaces at both ends, after the link was restored or failed."""
        self.has_carrier = up
        self._set_ends_up(up)

    def ends(self) -> tuple[tuple[str, str], ...]:
        """The interfaces, as (node, name), that lose carrier when the link fails."""
        return tuple((intf.node.name, intf.device) for intf in (self.intf1, self.intf2))

    def receiver(self, direction: Direction) -> tuple[str, str] | None:
        """The interface, as (node, name), at which the frames of one direction come out; None where it is a trunk,
        which keeps its carrier."""
        ends = self.ends()
        return ends[0] if direction is Direction.BACK else ends[1] if len(ends) > 1 else None

    @abstractmethod
    def set_receiver_up(self, direction: Direction, up: bool) -> None:
        """Let the interface at which the frames of one direction come out gain or lose carrier, the other's stays."""

    @abstractmethod
    def _set_ends_up(self, up: bool) -> None:
        """Set the interfaces at the link's ends up or down."""

    def delete(self) -> None:
        """Fail the link permanently."""
        self.set_up(up=False)
        super().delete()

    def stop(self) -> None:
        """Remove the Mininet link; the emulated link ends with its sandbox."""
        super().delete()


class MininetRouterLink(MininetLink):
    """A Mininet link between two routers."""

    def __init__(
        self,
        node1: RouterSwitch,
        node2: RouterSwitch,
        backend: LinkBackend,
        link: RouterLink,
        network: Network,
        **_: Any,
    ) -> None:
        super().__init__(link.id, backend)
        ends = []
        interfaces = []
        for node in (node1, node2):
            port = network.ports[node.name][link.id]
            name = router_interface(port)
            ends.append(backend.end(node, name))
            node.bring_up(name, mtu=CORE_MTU, txqlen=TAP_QUEUE)
            interfaces.append(LinkIntf(name, node=node, port=port, link=self))
        backend.join(link.id, ends[0], ends[1], link.rate_bps, link.delay_us)
        self.intf1, self.intf2 = interfaces

    def set_receiver_up(self, direction: Direction, up: bool) -> None:
        """Let one router's interface gain or lose carrier."""
        receiver = self.intf2 if direction is Direction.FORWARD else self.intf1
        receiver.node.set_carrier(receiver.device, up)

    def _set_ends_up(self, up: bool) -> None:
        ends = [(intf.node, intf.device) for intf in (self.intf1, self.intf2)]
        self.intf1.node.set_carriers(ends, up)


class MininetAccessLink(MininetLink):
    """A Mininet link between a site and its router: access link ``number`` of the site (0 = primary)."""

    def __init__(
        self,
        node1: SiteNode,
        node2: RouterSwitch,
        backend: LinkBackend,
        access: AccessLink,
        number: int,
        network: Network,
        **_: Any,
    ) -> None:
        super().__init__(access_link_name(node1.site.id, number), backend)
        self._number = number
        self._has_port = len(node1.site.accesses) > 1
        name = access_interface(number)
        site_end = backend.end(node1, name)
        far_end = backend.trunk_end(node2, access.vlan)  # every router has a trunk, also for liveness checks
        if self._has_port:
            far_end = backend.end(node2, access_port_interface(access.vlan))
            node2.bring_up(access_port_interface(access.vlan), txqlen=backend.trunk_queue)
        mtu_bytes = access.mtu_bytes if access.mtu_bytes < SITE_MTU else None
        backend.join(self.link_name, site_end, far_end, access.rate_bps, access.delay_us, mtu_bytes)
        # The switches of kernel links cannot answer neighbour solicitations; and all namespaces share the kernel's
        # neighbour tables, which are full at 1024 entries (gc_thresh3), permanent ones not counted.
        if backend.dataplane is Dataplane.KERNEL or len(network.sites) > MANY_SITES:
            node1.gateway_macs[number] = router_mac(network.router[access.router])
        self.intf1 = SiteIntf(name, node=node1, port=number, link=self, mac=node1.site.mac)
        if self._has_port:
            far_name, port, device = access_port_interface(access.vlan), ACCESS_LINK_PORTS + access.vlan, None
        else:
            far_name, port, device = f"{TRUNK_INTERFACE}.{access.vlan}", ON_TRUNK + access.vlan, TRUNK_INTERFACE
        self.intf2 = LinkIntf(far_name, device=device, node=node2, port=port, link=self)

    def ends(self) -> tuple[tuple[str, str], ...]:
        """The site's interface, and the router's where the link has a port of its own there."""
        return super().ends()[: 2 if self._has_port else 1]

    def set_mtu(self, mtu_bytes: int | None) -> None:
        """Set the MTU of the site's interface, as that of the direction to the router is now; None: Ethernet's."""
        self.intf1.node.set_access_mtu(self._number, mtu_bytes)

    def set_receiver_up(self, direction: Direction, up: bool) -> None:
        """Let the site's interface gain or lose carrier, or the router's, where the link has a port of its own
        there."""
        site = self.intf1.node
        if direction is Direction.FORWARD:
            if self._has_port:
                self.intf2.node.set_carrier(self.intf2.device, up)
        elif up:
            site.netlink.set_link(self.intf1.device, up=True)
            site.access_link_up(self._number)
        else:
            site.access_link_down(self._number)

    def _set_ends_up(self, up: bool) -> None:
        """Set the site's end, and the router's own port, up or down; a trunk stays up, as it carries other links."""
        site = self.intf1.node
        if not up:
            site.access_link_down(self._number)
        if self._has_port:  # when restored: the site receives, then the router sends, then the site sends
            site.netlink.set_link(self.intf1.device, up=up)
            self.intf2.node.set_carrier(self.intf2.device, up)
        if up:
            site.access_link_up(self._number)


def access_port_interface(vlan: int) -> str:
    """Name of the interface of access link ``vlan`` in its router's namespace, where it is not on the trunk."""
    return f"access{vlan}"


def router_interface(port: int) -> str:
    """Name of the interface of OpenFlow port ``port`` in a router's namespace."""
    return f"link{port}"
