"""The one door to rtnetlink: interfaces, addresses and routes of one namespace."""

from __future__ import annotations

from ipaddress import IPv4Address

from pyroute2 import IPRoute

from emulation.namespaces import Namespace


class Netlink:
    """A netlink socket inside ``namespace``. Errors are pyroute2's ``NetlinkError`` with code and text."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace.entered():
            self._route = IPRoute()
        self._index: dict[str, int] = {}

    def index(self, name: str) -> int:
        """The interface's index; raises OSError when there is none of that name."""
        if name not in self._index:
            found = self._route.link_lookup(ifname=name)
            if not found:
                raise OSError(f"no interface {name} in this namespace")
            self._index[name] = found[0]
        return self._index[name]

    def set_link(self, name: str, *, up: bool, **attributes: object) -> None:
        """Administratively raise or lower ``name``; attributes: ``address`` (MAC), ``mtu``, ``txqlen``."""
        self._route.link("set", index=self.index(name), state="up" if up else "down", **attributes)

    def is_up(self, name: str) -> bool:
        """Whether ``name`` is administratively up."""
        (message,) = self._route.get_links(self.index(name))
        return bool(message["flags"] & 1)  # IFF_UP

    def set_loopback_address(self, address: IPv4Address) -> None:
        """Give the node its own address on ``lo``, in place of another: it stays reachable whichever access line is
        up."""
        index = self.index("lo")
        self._route.link("set", index=index, state="up")
        self._route.addr("replace", index=index, address=str(address), prefixlen=32, scope=0)
        for other in self._route.get_addr(index=index, family=2, prefixlen=32):
            if (old := other.get_attr("IFA_ADDRESS")) != str(address):
                self._route.addr("del", index=index, address=old, prefixlen=32)

    def set_default_route(self, gateway: IPv4Address, name: str, source: IPv4Address, metric: int) -> None:
        """Default route over ``name``; the gateway is on the link though no prefix says so."""
        onlink = 0x4  # RTNH_F_ONLINK
        self._route.route(
            "replace",
            dst="0.0.0.0/0",
            gateway=str(gateway),
            oif=self.index(name),
            prefsrc=str(source),
            priority=metric,
            flags=onlink,
        )

    def statistics(self, name: str) -> dict[str, int]:
        """The kernel's counters of ``name`` (``rx_dropped``, ``tx_dropped``, ``rx_packets`` ...)."""
        (message,) = self._route.get_links(self.index(name))
        return dict(message.get_attr("IFLA_STATS64"))

    def close(self) -> None:
        """Close the socket."""
        self._route.close()
