"""The patch namespace of the kernel backend: veth ends, redirections between them, and the pipes across it.

A router link is two veth pairs that meet here; frames received at one end are redirected to the other:

    router [shaper] ==== end a --> end b [delay] ==== router

An access link ends at its router's trunk, where a tag identifies it, so it has an extra veth pair in between:

    site [shaper] ==== end --> near [delay] ==== far --> trunk, tag put on ==== router
    site ==== end [delay] <-- near ==== far [shaper] <-- trunk, tag taken off ==== router
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from dataclasses import dataclass

from helsewan.emulation.kernel.classifier import Classes
from helsewan.emulation.kernel.pipe import Delay, Shaper
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.netlink import messages, traffic_control
from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.sandbox.namespaces import Namespace

MTU = 9000  # of the ends here: a link's own MTU is enforced by its model
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)  # ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SGSO, SGRO


@dataclass(frozen=True)
class Egress:
    """The egress side of an interface: its namespace's netlink, and its index there."""

    netlink: Netlink
    index: int


class KernelPipe:
    """One direction of a link: a shaper on one interface's egress and a delay on another's."""

    def __init__(self, shaper: Egress, delay: Egress, classes: Classes, model: PipeModel) -> None:
        """Raises NotInKernel, and OSError when the kernel refuses."""
        self._at_shaper, self._at_delay = shaper.netlink, delay.netlink
        self._shaper, self._delay = Shaper(shaper.index, classes), Delay(delay.index)
        self._blackhole = False
        self.model = model
        self._at_shaper.request(list(self._shaper.build(model)))
        self._at_delay.request(self._delay.build(model))

    def change(self, model: PipeModel, blackhole: bool | None = None) -> None:
        """Set another model, or make the pipe a black hole; frames queued or in transit stay."""
        blackhole = self._blackhole if blackhole is None else blackhole
        self._at_shaper.request(list(self._shaper.change(self.model, model)))
        self._at_delay.request(self._delay.change(model, blackhole))
        self.model, self._blackhole = model, blackhole


class PatchNamespace:
    """The namespace between the nodes. Its interfaces are removed with it."""

    def __init__(self) -> None:
        self.namespace = Namespace()
        self.netlink = Netlink(self.namespace)
        self._created = 0

    def add_port(self, namespace: Namespace, name: str) -> int:
        """Create a veth from interface ``name`` in a node's namespace to a new one here, which is up; returns the
        latter's index."""
        here = self._name()
        self.netlink.request([(f"make {name}", messages.add_veth(here, MTU, name, namespace.fd))])
        with namespace.entered():
            switch_off_offloads(name)
        return self._configure(here)

    def pair(self) -> tuple[int, int]:
        """Create a veth with both ends in this namespace and up; returns their indices."""
        near, far = self._name(), self._name()
        self.netlink.request([(f"make {near}", messages.add_veth(near, MTU, far))])
        return self._configure(near), self._configure(far)

    def egress(self, index: int) -> Egress:
        """The egress side of an interface in this namespace."""
        return Egress(self.netlink, index)

    def redirect(self, source: int, target: int, vlan: int = 0) -> None:
        """Redirect frames that interface ``source`` receives to ``target``, adding tag ``vlan`` (0: none)."""
        self.netlink.request([traffic_control.redirect(source, target, vlan=vlan)])

    def redirect_tagged(self, source: int, vlan: int, target: int) -> None:
        """Redirect frames with tag ``vlan`` that ``source`` receives to ``target``, removing the tag."""
        self.netlink.request([traffic_control.untagged_redirect(source, vlan, target)])

    def set_up(self, indices: list[int], up: bool) -> None:
        """Set interfaces here up or down; when down, their peers lose carrier, and both ends drop queued frames."""
        state = "up" if up else "down"
        requests = [(f"set interface {index} {state}", messages.set_link(index, up=up)) for index in indices]
        self.netlink.request(requests)

    def _name(self) -> str:
        self._created += 1
        return f"w{self._created}"

    def _configure(self, name: str) -> int:
        index = self.netlink.index_of(name)
        self.netlink.withhold_ipv6(name)
        self.set_up([index], up=True)
        self.netlink.request([traffic_control.clsact(index)])
        return index


def switch_off_offloads(name: str) -> None:
    """Disable the offloads of interface ``name`` of the thread's current namespace, so that it sends frames of at most
    the MTU, with checksums. Raises OSError (ethtool's ioctl)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0), 8)
            fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sQ16x", name.encode(), ctypes.addressof(value)))
