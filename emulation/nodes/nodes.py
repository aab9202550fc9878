"""Sites as Mininet hosts: a network namespace each, without a process until a command is run in it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Address
from typing import Any

from mininet.link import Intf
from mininet.node import Host, Node

from helsewan.emulation.netlink.bulk import HAS_IPV6, Netlink
from helsewan.emulation.netlink.interfaces import route_of, routing
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.emulation.sandbox.site_mounts import SiteMounts
from helsewan.topology.model import GATEWAY6, SITE_MTU, Site, access_interface

# A site is a CE router with static routes, so it sends no router solicitations. Once an interface has a link-local
# address, the kernel would send them for ever, from thousands of sites.
SITE_SYSCTLS = {"ipv6/conf/default/accept_ra": 0}
# The default of rp_filter comes from the host and would drop packets that arrive on a backup link. Not set for a site
# with one link, as each file takes time.
BACKUP_SYSCTLS = {"ipv4/conf/all/rp_filter": 0, "ipv4/conf/default/rp_filter": 0}


_LEAST_MTU6 = 1280  # bytes: a kernel has no IPv6 on an interface with a smaller MTU (RFC 8200, 5)


class NamespaceNode(Node):  # type: ignore[misc]
    """A Mininet node with its own namespace; its shell starts at the first ``cmd``.

    Mininet's own node starts a shell at once (25 ms and a process each) and needs the mnexec helper.
    """

    mounts: SiteMounts | None = None  # its own; None: those of the sandbox

    def __init__(self, name: str, **params: Any) -> None:
        self.namespace = Namespace()
        self.netlink = Netlink(self.namespace)
        super().__init__(name, **params | {"inNamespace": True})

    @classmethod
    def setup(cls) -> None:
        """Do nothing: Mininet checks here for mnexec and ifconfig, which are not used."""

    def startShell(self, mnopts: str | None = None) -> None:
        """Do nothing: the shell is started when a command needs it."""

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[Any]:
        """Start a process in the namespace. Mininet's shell command begins with ``mnexec OPTIONS``, which is removed:
        its function (own session, namespace) is done here."""
        is_shell = cmd[0] == "mnexec"
        return self.spawn(cmd[2:] if is_shell else cmd, start_new_session=is_shell, **params)

    def spawn(self, argv: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        """Start a process in the namespace, with ``Popen``'s arguments; signals blocked in the parent are unblocked.
        Where the node has mounts of its own, it sees those."""
        return self.mounts.start(self._spawn, argv, **params) if self.mounts else self._spawn(argv, **params)

    def _spawn(self, argv: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        with self.namespace.entered():
            before = signal.pthread_sigmask(signal.SIG_SETMASK, ())
            try:
                return subprocess.Popen(argv, **params)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        """Send a command to the node's shell, which is started if necessary."""
        if not self.shell:
            super().startShell()
        super().sendCmd(*args, **kwargs | {"printPid": False})  # printing it would need mnexec

    def cmd(self, *args: Any, **kwargs: Any) -> str:
        """Run a command in the node's shell and return what it printed."""
        self.sendCmd(*args, **kwargs)
        return str(self.waitOutput(kwargs.get("verbose", False)))

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a process in the node's namespace, with Mininet's arguments."""
        return super().popen(*args, **kwargs | {"mncmd": []})  # type: ignore[no-any-return]

    def bring_up(self, name: str, txqlen: int, mtu: int | None = None) -> None:
        """Set an interface up that sends no traffic of its own (no IPv6 autoconfiguration)."""
        with self.netlink.together():
            self.netlink.withhold_ipv6(name)
            self.netlink.set_link(name, up=True, txqlen=txqlen, mtu=mtu)

    def setDefaultRoute(self, intf: Intf | str | None = None) -> None:
        """Set the preferred default route: an interface, its name, or a string with ``via ADDRESS``, ``dev NAME`` or
        both."""
        words = str(intf or self.defaultIntf()).split()
        self._add_route("0.0.0.0/0", route_of(words if len(words) > 1 else ["dev", *words]))

    def setHostRoute(self, ip: str, intf: Intf | str) -> None:
        """Route ``ip`` over an interface."""
        self._add_route(f"{ip}/32", {"dev": str(intf)})

    def setARP(self, ip: str, mac: str) -> None:
        """Add a permanent neighbour entry on the default interface."""
        with routing(self.namespace) as route:
            (index,) = route.link_lookup(ifname=self.defaultIntf().device)
            route.neigh("replace", dst=ip, lladdr=mac, ifindex=index, state="permanent")

    def _add_route(self, to: str, via: dict[str, str]) -> None:
        """Add or replace a route with metric 0, preferred to others; ``via`` as returned by ``route_of``."""
        with routing(self.namespace) as route:
            next_hop: dict[str, Any] = {}
            if "via" in via:
                next_hop |= {"gateway": via["via"]}
            if "dev" in via:
                next_hop |= {"oif": route.link_lookup(ifname=via["dev"])[0]}
            if len(via) == 2:
                next_hop |= {"flags": "onlink"}
            route.route("replace", dst=to, **next_hop)

    def terminate(self) -> None:
        """End the shell, if one was started, and close the namespace."""
        super().terminate()
        if self.mounts:
            self.mounts.close()
        if self.namespace.fd >= 0:
            self.namespace.close()
            self.namespace.fd = -1


class SiteNode(NamespaceNode, Host):  # type: ignore[misc]
    """A customer site: its addresses on ``lo`` and on every access link, a default route over each, primary first."""

    def __init__(self, name: str, site: Site, **params: Any) -> None:
        self.site = site
        self.gateway_macs: dict[int, str] = {}  # by access link, where the router is not asked for its address
        self._address4 = site.address4
        self._mtu_bytes = {number: access.mtu_bytes for number, access in enumerate(site.accesses)}
        self.mounts = SiteMounts()
        super().__init__(name, **params | {"ip": None})  # not the address that Mininet assigns; the site has its own
        self.namespace.sysctl((SITE_SYSCTLS if HAS_IPV6 else {}) | (BACKUP_SYSCTLS if len(site.accesses) > 1 else {}))

    def config(self, ip: str | None = None, mac: str | None = None, **_params: Any) -> dict[str, Any]:
        """Set the site's address and routes; called by Mininet once all links exist, and by users at any time."""
        before, self._address4 = self._address4, IPv4Interface(ip).ip if ip else self._address4
        with self.netlink.together():
            numbers = range(len(self.site.accesses))
            self.netlink.set_loopback_address(self._address4, before, also_on=map(access_interface, numbers))
            for number in numbers:
                self.netlink.withhold_ipv6(access_interface(number))
                self._configure_access_link(number, self.intfs[number].MAC())
        if mac:
            self.setMAC(mac)
        return {}

    def access_link_up(self, number: int) -> None:
        """Configure access link ``number`` (0 = primary), as a CE router does when carrier returns."""
        with self.netlink.together():
            self._configure_access_link(number)

    def _configure_access_link(self, number: int, mac: str | None = None) -> None:
        name = access_interface(number)
        mtu = self._mtu_bytes[number]
        self.netlink.set_link(name, up=True, address=mac, mtu=mtu if mtu < SITE_MTU else None)
        self.netlink.set_default_route(self.site.gateway4, name, self._address4, metric=100 * (number + 1))
        if number in self.gateway_macs:
            self.netlink.set_neighbour(self.site.gateway4, name, self.gateway_macs[number])
        if mtu < _LEAST_MTU6:
            return
        link_local = link_local_address(self.site.mac)
        self.netlink.set_ipv6(self.site.address6, link_local, GATEWAY6, name, metric=100 * (number + 1))
        if number in self.gateway_macs:
            self.netlink.set_neighbour(GATEWAY6, name, self.gateway_macs[number])

    def access_link_down(self, number: int) -> None:
        """Loss of carrier on access link ``number``: its default route is removed, the backup's stays."""
        self.netlink.set_link(access_interface(number), up=False)

    def set_access_mtu(self, number: int, mtu_bytes: int | None) -> None:
        """Set the MTU of the interface to access link ``number``, at most that of Ethernet (None). Below 1280 bytes the
        kernel disables IPv6 there (RFC 8200, 5); above, it is set up again."""
        mtu = self._mtu_bytes[number] = min(mtu_bytes or SITE_MTU, SITE_MTU)
        name = access_interface(number)
        with self.netlink.together():
            up = self.netlink.is_up(name)
            self.netlink.set_link(name, up=up, mtu=mtu)
            if mtu >= _LEAST_MTU6:
                self.netlink.withhold_ipv6(name)
            if up:
                self._configure_access_link(number)

    def IP(self, intf: Intf | None = None) -> str:
        """The site's address, or the one given to interface ``intf``."""
        return str(self.intf(intf).IP()) if intf else str(self._address4)

    def setIP(self, ip: str, prefixLen: int = 8, intf: Intf | str | None = None, **kwargs: Any) -> str:
        """Give the site another address, or interface ``intf`` one of its own. The network forwards packets from the
        site's prefix (``site.prefix4``) and drops all others."""
        if intf:
            return str(super().setIP(ip, prefixLen, intf, **kwargs))
        self.config(ip=ip)
        return ""

    def _add_route(self, to: str, via: dict[str, str]) -> None:
        """As the base class; over an access link always via the gateway, the only neighbour there."""
        super()._add_route(to, {"via": str(self.site.gateway4)} | via)


def link_local_address(mac: str) -> IPv6Address:
    """The IPv6 link-local address that a host derives from a MAC address (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])
