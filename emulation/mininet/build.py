"""A network as a ``Mininet`` of this project's nodes, routers and links."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from helsewan.emulation.links.link_backend import LinkBackend
from helsewan.emulation.links.links import MininetAccessLink, MininetRouterLink
from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.nodes.nodes import SiteNode
from helsewan.emulation.routers.bfd import Timers
from helsewan.emulation.routers.management import ManagementNetwork
from helsewan.emulation.routers.switches import RouterSwitch
from helsewan.topology.mininet_build import NetworkTopo
from helsewan.topology.model import AccessLink, Link, Network, Site


class EmulatedTopo(NetworkTopo):
    """The topology with this project's nodes and links, whose options are the model's objects."""

    def build(self, network: Network, backend: LinkBackend) -> None:  # type: ignore[override]
        """Add every router, site, link and access line; ``backend`` gets the links."""
        self._backend = backend
        super().build(network)

    def site_options(self, site: Site) -> dict[str, Any]:
        """The site itself."""
        return {"site": site}

    def link_options(self, link: Link) -> dict[str, Any]:
        """A link of ``backend``, beside Mininet's own terms."""
        ours = {"cls": MininetRouterLink, "backend": self._backend, "fibre": link, "network": self.network}
        return super().link_options(link) | ours

    def access_options(self, access: AccessLink, line: int) -> dict[str, Any]:
        """An access line of ``backend``, beside Mininet's own terms."""
        ours = {
            "cls": MininetAccessLink,
            "backend": self._backend,
            "access": access,
            "line": line,
            "network": self.network,
        }
        return super().access_options(access, line) | ours


def build(
    network: Network,
    backend: LinkBackend,
    home: Path,
    log_dir: Path,
    management: ManagementNetwork,
    bfd: Timers | None = None,
) -> EmulatedNet:
    """The network as a built, not yet started Mininet of our nodes inside the present world.

    ``backend`` gets all lines, ``home`` the routers' sockets; over ``management`` they reach their controller; ``bfd``
    are the timers of the sessions on fibres (None: none).
    """
    switch = partial(RouterSwitch, home=home, log_dir=log_dir, datapath=backend.dataplane.datapath_type, bfd=bfd)
    net = EmulatedNet(topo=EmulatedTopo(network, backend=backend), host=SiteNode, switch=switch, controller=None)
    for router in net.switches:
        management.connect(router, backend)
    backend.commit()
    return net
