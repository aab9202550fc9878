"""The management network of a sandbox: the operations centre's namespace, where the controller runs, and a link from
there to each router.

The links are unnumbered: a router has one address on its link, the centre one for all links, and each end a host route
to the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from helsewan.emulation.links.link_backend import LinkBackend
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.certificate_authority import CertificateAuthority, Credentials
from helsewan.emulation.routers.switches import MANAGEMENT_INTERFACE, ControlChannel, RouterSwitch
from helsewan.topology.management import CONTROLLER4, OPENFLOW_PORT, RATE_BPS, Management

QUEUE_US = 100_000  # of each link: twice the window of a TCP connection across the country
_TXQLEN = 1_000  # frames, the default of Ethernet interfaces
# When a sandbox is killed, the links end first, so the end of a control connection is not acknowledged. By default the
# kernel keeps such a connection, and with it the namespace, for two minutes; with one retry for 0.6 s.
_SYSCTLS = {"ipv4/tcp_orphan_retries": 1}


class ManagementNetwork:
    """The management network described by ``topology``; certificates are written to ``folder``. Routers connect to a
    controller on each of the TCP ``ports`` at the centre."""

    def __init__(self, topology: Management, folder: Path, ports: Sequence[int] = (OPENFLOW_PORT,)) -> None:
        """Raises OSError if the namespace, its address or the files cannot be created."""
        self.topology = topology
        self.addresses = [(str(CONTROLLER4), port) for port in ports]
        self.authority = CertificateAuthority(folder)
        self.centre = NamespaceNode("operations")
        self.centre.namespace.sysctl(_SYSCTLS)
        self.centre.netlink.set_loopback_address(CONTROLLER4)

    def controller_credentials(self) -> Credentials:
        """Issue new credentials for a controller."""
        return self.authority.for_controller()

    def connect(self, router: RouterSwitch, backend: LinkBackend) -> None:
        """Give a router its management link, address and credentials. The router uses them when it starts; the link
        exists from ``commit`` on."""
        link = self.topology.links[router.name]
        far = f"r{self.topology.network.router[router.name].index}"
        ends = backend.end(router, MANAGEMENT_INTERFACE), backend.end(self.centre, far)
        model = PipeModel(RATE_BPS, link.delay_us, (ClassQueue(limit_us=QUEUE_US),))
        backend.join_as(management_link_name(router.name), *ends, model)
        router.namespace.sysctl(_SYSCTLS)
        router.bring_up(MANAGEMENT_INTERFACE, txqlen=_TXQLEN)
        with router.netlink.together():
            router.netlink.set_address(link.address4, MANAGEMENT_INTERFACE)
            router.netlink.set_link_route(CONTROLLER4, MANAGEMENT_INTERFACE)
        self.centre.bring_up(far, txqlen=_TXQLEN)
        self.centre.netlink.set_link_route(link.address4, far)
        router.control = ControlChannel(
            tuple(self.addresses), self.authority.for_switch(router.name, [int(router.dpid, 16)])
        )


def management_link_name(router: str) -> str:
    """The name of a router's management link among the sandbox's links."""
    return f"{router}/{MANAGEMENT_INTERFACE}"
