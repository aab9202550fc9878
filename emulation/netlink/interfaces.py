"""Mininet interfaces configured over netlink, in place of the ifconfig(8) and ip(8) commands that Mininet runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from typing import Any

from mininet.link import Intf
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from helsewan.emulation.sandbox.namespaces import Namespace

_IFF_UP = 1


@contextmanager
def routing(namespace: Namespace) -> Iterator[IPRoute]:
    """A netlink socket inside ``namespace`` for occasional changes; usable in the calling thread only."""
    with namespace.entered(), IPRoute() as route:
        yield route


class NetlinkIntf(Intf):  # type: ignore[misc]
    """A Mininet interface whose network device is created and configured through netlink."""

    name: str

    def __init__(self, name: str, device: str | None = None, **params: Any) -> None:
        """``device``: the network device, if its name is not ``name``: many links share a router's trunk."""
        self.device = device or name
        super().__init__(name, moveIntfFn=_stay, **params)

    def config(self, **_params: Any) -> dict[str, Any]:
        """Do nothing: the device was configured when it was created."""
        return {}

    def ifconfig(self, *args: str) -> str:
        """The ifconfig commands that Mininet uses: no arguments (show the interface), ``up``, ``down``,
        ``hw ether MAC``, ``ADDRESS/PREFIX [up]``. Returns ifconfig's output: the interface's state or an error."""
        try:
            match " ".join(args).split():
                case []:
                    return self._shown()
                case ["up" | "down" as state]:
                    self.set_up(state == "up")
                case ["hw", "ether", mac]:
                    self._set(address=mac)
                case [address] | [address, "up"]:
                    self._replace_address(IPv4Interface(address))
                case words:
                    return f"{self.name}: {' '.join(words)}: not supported"
        except (OSError, NetlinkError, ValueError) as error:
            return f"{self.name}: {error}"
        return ""

    def set_up(self, up: bool) -> None:
        """Set the interface up or down."""
        self._set(state="up" if up else "down")

    def setMAC(self, macstr: str) -> str:
        """Set the interface's MAC address, without taking it down."""
        self.mac = macstr
        return self.ifconfig("hw", "ether", macstr)

    def updateIP(self) -> str | None:
        """The interface's current IP address, None without one."""
        self.ip = next(iter(self._addresses()), None)
        return self.ip

    def updateMAC(self) -> str | None:
        """The interface's current MAC address."""
        return str(self.updateAddr()[1])

    def updateAddr(self) -> tuple[str | None, str]:
        """The interface's current addresses: IP and MAC."""
        self.mac = self._message().get_attr("IFLA_ADDRESS")
        return self.updateIP(), str(self.mac)

    def isUp(self, setUp: bool = False) -> bool:
        """Set the interface up if ``setUp``; returns whether it is up."""
        if setUp:
            self.set_up(up=True)
        return bool(self._message()["flags"] & _IFF_UP)

    def rename(self, newname: str) -> str:
        """Rename the device, which is set down meanwhile as the kernel requires; its routes are lost."""
        self.set_up(up=False)
        self._set(ifname=newname)
        del self.node.nameToIntf[self.name]
        self.node.nameToIntf[newname] = self
        self.name = self.device = newname
        self.set_up(up=True)
        return ""

    def delete(self) -> None:
        """Remove the interface from Mininet; the kernel removes the device with its namespace."""
        self.node.delIntf(self)

    def status(self) -> str:
        """``OK`` if the device exists, as shown by Mininet's ``links`` command."""
        try:
            self._message()
        except OSError:
            return "MISSING"
        return "OK"

    def _shown(self) -> str:
        """The interface's state in ifconfig's format, limited to what Mininet and users read."""
        ip, mac = self.updateAddr()
        flags = "UP" if self.isUp() else "DOWN"
        return f"{self.device}: flags=<{flags}>\n" + (f"        inet {ip}\n" if ip else "") + f"        ether {mac}\n"

    def _message(self) -> Any:
        with routing(self.node.namespace) as route:
            return route.get_links(self._index(route))[0]

    def _set(self, **attributes: str) -> None:
        with routing(self.node.namespace) as route:
            route.link("set", index=self._index(route), **attributes)

    def _addresses(self) -> list[str]:
        with routing(self.node.namespace) as route:
            found = route.get_addr(index=self._index(route), family=2)
            return [message.get_attr("IFA_ADDRESS") for message in found]

    def _replace_address(self, address: IPv4Interface) -> None:
        """Make ``address`` the interface's only one."""
        self.ip, self.prefixLen = str(address.ip), address.network.prefixlen
        with routing(self.node.namespace) as route:
            index = self._index(route)
            route.flush_addr(index=index, family=2)
            route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
            route.link("set", index=index, state="up")

    def _index(self, route: IPRoute) -> int:
        found: list[int] = route.link_lookup(ifname=self.device)
        if not found:
            raise OSError(f"no interface {self.device} in this namespace")
        return found[0]


def route_of(words: list[str]) -> dict[str, str]:
    """``via ADDRESS dev NAME`` of ip-route(8), or a part of it, as a mapping; raises ValueError for anything else."""
    route = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or not set(route) <= {"via", "dev"} or not route:
        raise ValueError(f"route {' '.join(words)!r} is not supported: write `via ADDRESS`, `dev NAME` or both")
    return route


def _stay(_name: str, _node: object) -> None:
    """Replaces Mininet's move of an interface into its node's namespace; it is created there."""
