"""Sites as Mininet hosts: a network namespace each, and no process until a command is run in it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Interface
from typing import Any

from mininet.link import Intf
from mininet.node import Host, Node

from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.netlink.interfaces import route_of, routing
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.topology.model import GATEWAY6, SITE_MTU, Site, access_interface

# The default of rp_filter comes from the machine and would drop what arrives on a backup line. A site with one line
# does without: opening a sysctl file takes longer the more namespaces have one of its name, a millisecond at 2,500.
BACKUP_SYSCTLS = {"ipv4/conf/all/rp_filter": 0, "ipv4/conf/default/rp_filter": 0}


class NamespaceNode(Node):  # type: ignore[misc]
    """A Mininet node over a namespace of its own; its shell starts at the first ``cmd``.

    Mininet's own node is a shell from birth (25 ms and a process each) and needs the mnexec helper.
    """

    def __init__(self, name: str, **params: Any) -> None:
        self.namespace = Namespace()
        self.netlink = Netlink(self.namespace)
        super().__init__(name, **params | {"inNamespace": True})

    @classmethod
    def setup(cls) -> None:
        """Mininet asks here for mnexec and ifconfig: neither is used."""

    def startShell(self, mnopts: str | None = None) -> None:
        """Put off until a command needs the shell."""

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[Any]:
        """Start a process in the namespace; only Mininet's shell comes with ``mnexec OPTIONS`` in front,
        whose part (own session, namespace) is done here."""
        is_shell = cmd[0] == "mnexec"
        return self.spawn(cmd[2:] if is_shell else cmd, start_new_session=is_shell, **params)

    def spawn(self, argv: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        """A process in the namespace, with ``Popen``'s arguments; signals that its parent holds back reach it."""
        with self.namespace.entered():
            before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
            try:
                return subprocess.Popen(argv, **params)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        """Send a command to the node's shell, which is started when there is none yet."""
        if not self.shell:
            super().startShell()
        super().sendCmd(*args, **kwargs | {"printPid": False})  # printing it would need mnexec

    def cmd(self, *args: Any, **kwargs: Any) -> str:
        """Run a command in the node's shell and return what it printed."""
        self.sendCmd(*args, **kwargs)
        return str(self.waitOutput(kwargs.get("verbose", False)))

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """A process in the node's namespace, with Mininet's arguments."""
        return super().popen(*args, **kwargs | {"mncmd": []})  # type: ignore[no-any-return]

    def raise_port(self, name: str, txqlen: int, mtu: int | None = None) -> None:
        """Take an interface into use that sends only what it is given to send."""
        with self.netlink.together():
            self.netlink.withhold_ipv6(name)
            self.netlink.set_link(name, up=True, txqlen=txqlen, mtu=mtu)

    def setDefaultRoute(self, intf: Intf | str | None = None) -> None:
        """Prefer a default route: an interface, its name, or ``via ADDRESS``, ``dev NAME`` or both in one string."""
        words = str(intf or self.defaultIntf()).split()
        self._add_route("0.0.0.0/0", route_of(words if len(words) > 1 else ["dev", *words]))

    def setHostRoute(self, ip: str, intf: Intf | str) -> None:
        """Route ``ip`` over an interface."""
        self._add_route(f"{ip}/32", {"dev": str(intf)})

    def setARP(self, ip: str, mac: str) -> None:
        """Tell the default interface the MAC address of a neighbour, for good."""
        with routing(self.namespace) as route:
            (index,) = route.link_lookup(ifname=self.defaultIntf().device)
            route.neigh("replace", dst=ip, lladdr=mac, ifindex=index, state="permanent")

    def _add_route(self, to: str, way: dict[str, str]) -> None:
        """Add or replace a route, preferred to others (metric 0); ``way`` as ``route_of`` gives it."""
        with routing(self.namespace) as route:
            onward: dict[str, Any] = {}
            if "via" in way:
                onward |= {"gateway": way["via"]}
            if "dev" in way:
                onward |= {"oif": route.link_lookup(ifname=way["dev"])[0]}
            if len(way) == 2:
                onward |= {"flags": "onlink"}
            route.route("replace", dst=to, **onward)

    def terminate(self) -> None:
        """End the shell, if there ever was one, and let go of the namespace."""
        super().terminate()
        if self.namespace.fd >= 0:
            self.namespace.close()
            self.namespace.fd = -1


class SiteNode(NamespaceNode, Host):  # type: ignore[misc]
    """A customer site: its addresses on ``lo``, a default route over each access line, primary first."""

    def __init__(self, name: str, site: Site, **params: Any) -> None:
        self.site = site
        self.gateway_macs: dict[int, str] = {}  # by line, where the router cannot answer for its own
        self._address4 = site.address4
        super().__init__(name, **params | {"ip": None})  # Mininet proposes one; the site has its own
        if len(site.accesses) > 1:
            self.namespace.sysctl(BACKUP_SYSCTLS)

    def config(self, ip: str | None = None, mac: str | None = None, **_params: Any) -> dict[str, Any]:
        """Set the site's address and routes; Mininet calls this once all lines are there, users when they like."""
        before, self._address4 = self._address4, IPv4Interface(ip).ip if ip else self._address4
        with self.netlink.together():
            self.netlink.set_loopback_address(self._address4, instead_of=before)
            for line in range(len(self.site.accesses)):
                self.netlink.withhold_ipv6(access_interface(line))
                self._raise_line(line, self.intfs[line].MAC())
        if mac:
            self.setMAC(mac)
        return {}

    def raise_line(self, line: int) -> None:
        """Take access line ``line`` (0 = primary) into use, as a CE router does when light comes back."""
        with self.netlink.together():
            self._raise_line(line)

    def _raise_line(self, line: int, mac: str | None = None) -> None:
        name = access_interface(line)
        mtu = self.site.accesses[line].mtu_bytes
        self.netlink.set_link(name, up=True, address=mac, mtu=mtu if mtu < SITE_MTU else None)
        self.netlink.set_default_route(self.site.gateway4, name, self._address4, metric=100 * (line + 1))
        self.netlink.set_ipv6(self.site.address6, GATEWAY6, name, metric=100 * (line + 1))
        if line in self.gateway_macs:
            self.netlink.set_neighbour(GATEWAY6, name, self.gateway_macs[line])

    def lower_line(self, line: int) -> None:
        """Loss of light on access line ``line``: its default route goes, the backup's stays."""
        self.netlink.set_link(access_interface(line), up=False)

    def IP(self, intf: Intf | None = None) -> str:
        """The site's address, or the one given to interface ``intf``."""
        return str(self.intf(intf).IP()) if intf else str(self._address4)

    def setIP(self, ip: str, prefixLen: int = 8, intf: Intf | str | None = None, **kwargs: Any) -> str:
        """Give the site another address, or interface ``intf`` one of its own. The network carries what comes from
        the site's prefix (``site.prefix4``) and drops all else."""
        if intf:
            return str(super().setIP(ip, prefixLen, intf, **kwargs))
        self.config(ip=ip)
        return ""

    def _add_route(self, to: str, way: dict[str, str]) -> None:
        """Over an access line it goes by the gateway: nobody else answers there."""
        super()._add_route(to, {"via": str(self.site.gateway4)} | way)
