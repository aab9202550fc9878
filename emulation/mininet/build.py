"""A network as a ``Mininet`` of this project's nodes, routers and links."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import LinkBackend
from helsewan.emulation.links.mininet_links import MininetAccessLink, MininetRouterLink
from helsewan.emulation.mininet.net import EmulatedNet, disable_mininet_init
from helsewan.emulation.nodes.nodes import SiteNode
from helsewan.emulation.routers.bfd import Timers
from helsewan.emulation.routers.management import ManagementNetwork
from helsewan.emulation.routers.private_switch import PrivateSwitch
from helsewan.emulation.routers.shared_switch import SharedOpenVSwitch, SharedSwitch
from helsewan.emulation.routers.switches import RouterKind
from helsewan.topology.mininet_build import NetworkTopo
from helsewan.topology.model import AccessLink, Link, Network, Site


class EmulatedTopo(NetworkTopo):
    """The topology with this project's nodes and links, whose options contain the model's objects."""

    def build(self, network: Network, backend: LinkBackend) -> None:  # type: ignore[override]
        """Add every router, site, link and access link; ``backend`` carries the links."""
        self._backend = backend
        super().build(network)

    def site_options(self, site: Site) -> dict[str, Any]:
        """Options of a site's node: the site."""
        return {"site": site}

    def link_options(self, link: Link) -> dict[str, Any]:
        """Options of a link: those of Mininet, plus the backend, the link and the network."""
        ours = {"cls": MininetRouterLink, "backend": self._backend, "link": link, "network": self.network}
        return super().link_options(link) | ours

    def access_options(self, access: AccessLink, number: int) -> dict[str, Any]:
        """Options of an access link: those of Mininet, plus the backend, the access link and the network."""
        ours = {
            "cls": MininetAccessLink,
            "backend": self._backend,
            "access": access,
            "number": number,
            "network": self.network,
        }
        return super().access_options(access, number) | ours


def build(
    network: Network,
    backend: LinkBackend,
    home: Path,
    log_dir: Path,
    management: ManagementNetwork,
    bfd: Timers | None = None,
    routers: RouterKind = RouterKind.PRIVATE,
) -> EmulatedNet:
    """Build, but do not start, the network as a Mininet of this project's nodes in the current sandbox.

    ``backend`` carries all links; ``home`` is the directory of the routers' sockets; ``management`` connects them to
    their controller; ``bfd`` are the timers of the BFD sessions on router links (None: no sessions); ``routers`` the
    kind of routers, of which the kernel's links have private ones only.
    Process-wide effect: `disable_mininet_init`.
    """
    if routers is RouterKind.SHARED:
        assert isinstance(backend, EngineBackend)
        open_vswitch = SharedOpenVSwitch(home, log_dir, backend.rings)
        switch = partial(SharedSwitch, home=home, log_dir=log_dir, open_vswitch=open_vswitch, bfd=bfd)
    else:
        datapath = backend.dataplane.datapath_type
        switch = partial(PrivateSwitch, home=home, log_dir=log_dir, datapath=datapath, bfd=bfd)
    disable_mininet_init()
    net = EmulatedNet(topo=EmulatedTopo(network, backend=backend), host=SiteNode, switch=switch, controller=None)
    for router in net.switches:
        management.connect(router, backend)
    backend.commit()
    return net
