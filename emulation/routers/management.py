"""The management network of a world: the operations centre's namespace, where the controller runs, and a line from
there to each router.

Addresses are unnumbered, as operators do it: a router has one on its line, the centre one for all lines, and each end
a route to the other's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from helsewan.emulation.links.link_backend import LinkBackend
from helsewan.emulation.links.pipe_model import ClassQueue, PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.certificate_authority import CertificateAuthority, Credentials
from helsewan.emulation.routers.switches import ControlChannel, RouterSwitch
from helsewan.topology.management import CONTROLLER4, OPENFLOW_PORT, RATE_BPS, Management

INTERFACE = "mgmt"  # of a router
QUEUE_US = 100_000  # of each line: the window of a TCP connection from one end of the country to the other, twice
_TXQLEN = 1_000  # frames, as Ethernet interfaces have it


class ManagementNetwork:
    """The management network ``blueprint``; ``folder`` gets its certificates. Routers look for a controller on each of
    ``ports`` at the centre."""

    def __init__(self, blueprint: Management, folder: Path, ports: Sequence[int] = (OPENFLOW_PORT,)) -> None:
        """Raises OSError where namespace, address or files cannot be made."""
        self.blueprint = blueprint
        self.addresses = [(str(CONTROLLER4), port) for port in ports]
        self.authority = CertificateAuthority(folder)
        self.centre = NamespaceNode("operations")
        self.centre.netlink.set_loopback_address(CONTROLLER4)

    def controller_credentials(self) -> Credentials:
        """New ones for a controller."""
        return self.authority.for_controller()

    def connect(self, router: RouterSwitch, backend: LinkBackend) -> None:
        """Give a router its line, address and credentials; they count from its start, the line from ``commit`` on."""
        line = self.blueprint.lines[router.name]
        far = f"r{self.blueprint.network.router[router.name].index}"
        ends = backend.end(router, INTERFACE), backend.end(self.centre, far)
        model = PipeModel(RATE_BPS, line.delay_us, (ClassQueue(limit_us=QUEUE_US),))
        backend.join_as(management_link_name(router.name), *ends, model)
        router.raise_port(INTERFACE, txqlen=_TXQLEN)
        with router.netlink.together():
            router.netlink.set_address(line.address4, INTERFACE)
            router.netlink.set_link_route(CONTROLLER4, INTERFACE)
        self.centre.raise_port(far, txqlen=_TXQLEN)
        self.centre.netlink.set_link_route(line.address4, far)
        targets = tuple(f"ssl:{host}:{port}" for host, port in self.addresses)
        router.control = ControlChannel(targets, self.authority.for_switch(router.name, [int(router.dpid, 16)]))


def management_link_name(router: str) -> str:
    """The name of a router's management line among the world's lines."""
    return f"{router}/{INTERFACE}"
