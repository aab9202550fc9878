"""Hosts behind a site: a LAN with addresses of the site's prefix, routed by the site.

The site's namespace is the LAN's router and its switch (a bridge); each host is a namespace connected to it. The
network treats them as the site: policy and ingress filter refer to the site's prefix.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

from mininet.link import Intf, Link
from mininet.net import Mininet
from mininet.node import Host

from helsewan.common.errors import InputError, Problem
from helsewan.emulation.netlink.interfaces import NetlinkIntf, routing
from helsewan.emulation.nodes.nodes import NamespaceNode, SiteNode
from helsewan.emulation.sandbox.site_mounts import SiteMounts
from helsewan.topology.model import Site

BRIDGE = "lan"
_FIRST_ADDRESS = 3  # of the prefix: 1 is the gateway's, 2 the site's own
_FIRST_PORT = 100  # a site's ports from this number on are its hosts', lower ones its access links


class LanHost(NamespaceNode, Host):  # type: ignore[misc]
    """Host ``number`` (from 1) on the LAN behind ``site``."""

    def __init__(self, name: str, site: Site, number: int, **params: Any) -> None:
        """Raises InputError if the site's prefix has no address for the host."""
        self.site = site
        self.mounts = SiteMounts()
        if _FIRST_ADDRESS + number > site.prefix4.num_addresses - 1:
            most = site.prefix4.num_addresses - 1 - _FIRST_ADDRESS
            raise InputError(
                Problem(f"LAN of {site.id}", number, f"hosts do not fit into {site.prefix4}", f"at most {most}")
            )
        self.address4: IPv4Address = site.prefix4[_FIRST_ADDRESS + number - 1]
        super().__init__(name, **params | {"ip": f"{self.address4}/{site.prefix4.prefixlen}"})

    def config(self, ip: str | None = None, mac: str | None = None, **_params: Any) -> dict[str, Any]:
        """Set the host's address and a default route via the site; Mininet calls this once it is on the LAN."""
        if ip:
            self.setIP(ip)
        if mac:
            self.setMAC(mac)
        return {}

    def setIP(self, ip: str, prefixLen: int = 8, intf: Intf | str | None = None, **kwargs: Any) -> str:
        """Give the host another address of the site's prefix; the site stays its default gateway."""
        output = super().setIP(ip, prefixLen, intf, **kwargs)
        self.setDefaultRoute(f"via {self.site.address4}")
        return str(output)


class LanLink(Link):  # type: ignore[misc]
    """A Mininet link between a LAN host and its site, without rate limit or delay."""

    def __init__(self, node1: LanHost, node2: SiteNode, number: int, **_: Any) -> None:
        device = f"{BRIDGE}{number}"
        with routing(node2.namespace) as route:
            bridge = route.link_lookup(ifname=BRIDGE) or [_make_bridge(node2, route)]
            peer = {"ifname": "eth0", "net_ns_fd": node1.namespace.fd}
            route.link("add", ifname=device, kind="veth", peer=peer, master=bridge[0], state="up")
        with routing(node1.namespace) as route:
            route.link("set", index=route.link_lookup(ifname="lo")[0], state="up")
            mac = route.get_links(ifname="eth0")[0].get_attr("IFLA_ADDRESS")
        self.intf1 = NetlinkIntf("eth0", node=node1, port=0, link=self, mac=mac)
        self.intf2 = NetlinkIntf(device, node=node2, port=_FIRST_PORT + number, link=self)


def add_lan_host(net: Mininet, site: SiteNode) -> LanHost:
    """Add a host to the LAN behind ``site``, named ``SITE.h1``, ``SITE.h2`` ..."""
    number = 1 + sum(isinstance(host, LanHost) and host.site is site.site for host in net.hosts)
    host: LanHost = net.addHost(f"{site.name}.h{number}", cls=LanHost, site=site.site, number=number)
    net.addLink(host, site, cls=LanLink, number=number)
    host.configDefault()
    return host


def _make_bridge(site: SiteNode, route: Any) -> int:
    """Create the LAN's bridge and enable routing between it and the site's access links; returns its index."""
    site.namespace.sysctl({"ipv4/ip_forward": 1})
    route.link("add", ifname=BRIDGE, kind="bridge", state="up")
    index: int = route.link_lookup(ifname=BRIDGE)[0]
    prefix, source = str(site.site.prefix4), str(site.site.address4)
    # the whole prefix: packets to unused addresses must not be routed back to the network
    route.route("replace", dst=prefix, oif=index, prefsrc=source, scope="link")
    return index
