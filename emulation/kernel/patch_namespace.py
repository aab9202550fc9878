"""Where lines run in the kernel: a namespace of veth ends and redirections between the nodes', and pipes across it.

A fibre is two veth pairs that meet here; what comes in at one end is redirected out of the other:

    router [shaper] ==== end a --> end b [delay] ==== router

An access line comes out at its router's trunk, where a tag tells it apart, so it has a pair of its own in between:

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

MTU = 9000  # of the ends here: what is too long for a line is for its model to say
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x15, 0x17, 0x19, 0x1F, 0x24, 0x2C)  # ETHTOOL_SRXCSUM, STXCSUM, SSG, STSO, SGSO, SGRO


@dataclass(frozen=True)
class Egress:
    """The sending side of an interface: its namespace's netlink, and its index there."""

    netlink: Netlink
    index: int


class KernelPipe:
    """One direction of a line: a shaper on one interface's egress and a delay on another's."""

    def __init__(self, shaper: Egress, delay: Egress, classes: Classes, model: PipeModel) -> None:
        """Raises NotInKernel, and OSError when the kernel refuses."""
        self._at_shaper, self._at_delay = shaper.netlink, delay.netlink
        self._shaper, self._delay = Shaper(shaper.index, classes), Delay(delay.index)
        self._silent = False
        self.model = model
        self._at_shaper.request(list(self._shaper.build(model)))
        self._at_delay.request(self._delay.build(model))

    def change(self, model: PipeModel, silent: bool | None = None) -> None:
        """Another model, or have frames vanish on the way; what is queued or on its way stays."""
        silent = self._silent if silent is None else silent
        self._at_shaper.request(list(self._shaper.change(self.model, model)))
        self._at_delay.request(self._delay.change(model, silent))
        self.model, self._silent = model, silent


class PatchNamespace:
    """The namespace in between. Everything in it goes with it."""

    def __init__(self) -> None:
        self.namespace = Namespace()
        self.netlink = Netlink(self.namespace)
        self._made = 0

    def lead(self, namespace: Namespace, name: str) -> int:
        """A veth from interface ``name`` in a node's namespace to a new one here, which is up; its index."""
        here = self._name()
        self.netlink.request([(f"make {name}", messages.add_veth(here, MTU, name, namespace.fd))])
        with namespace.entered():
            switch_off_offloads(name)
        return self._open(here)

    def pair(self) -> tuple[int, int]:
        """A veth within the wire, both ends up; their indices."""
        near, far = self._name(), self._name()
        self.netlink.request([(f"make {near}", messages.add_veth(near, MTU, far))])
        return self._open(near), self._open(far)

    def egress(self, index: int) -> Egress:
        """The sending side of an interface here."""
        return Egress(self.netlink, index)

    def redirect(self, source: int, target: int, vlan: int = 0) -> None:
        """What interface ``source`` receives leaves from ``target``, with tag ``vlan`` put on."""
        self.netlink.request([traffic_control.redirect(source, target, vlan=vlan)])

    def redirect_tagged(self, source: int, vlan: int, target: int) -> None:
        """What ``source`` receives with tag ``vlan`` leaves from ``target`` without it."""
        self.netlink.request([traffic_control.untagged_redirect(source, vlan, target)])

    def light(self, indices: list[int], up: bool) -> None:
        """Light interfaces here or let them go dark: far ends lose carrier, and both ends what they hold."""
        state = "up" if up else "down"
        asked = [(f"set interface {index} {state}", messages.set_link(index, up=up)) for index in indices]
        self.netlink.request(asked)

    def _name(self) -> str:
        self._made += 1
        return f"w{self._made}"

    def _open(self, name: str) -> int:
        index = self.netlink.index_of(name)
        self.netlink.withhold_ipv6(name)
        self.light([index], up=True)
        self.netlink.request([traffic_control.clsact(index)])
        return index


def switch_off_offloads(name: str) -> None:
    """Have interface ``name`` of the thread's present namespace send frames as a line carries them: of the MTU's
    size, with checksums. Raises OSError (ethtool's ioctl)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for command in _OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("=II", command, 0), 8)
            fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sQ16x", name.encode(), ctypes.addressof(value)))
