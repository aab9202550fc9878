"""The management network: out of band, a line from the network's operations centre to every router.

Its lines follow the fibres, so they have their delay, but fail apart from them: an operator leases this way so that a
cut fibre does not take with it the means of mending it. A router that fails takes its own line along.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

import networkx as nx

from helsewan.topology.model import Network

PREFIX4 = IPv4Network("172.31.248.0/22")  # outside addressing.SUPERNET4, with room for backbone.MAX_ROUTERS
CONTROLLER4 = PREFIX4[1]
OPENFLOW_PORT = 6653  # IANA's, for OpenFlow with TLS and without
STANDBY_PORT = 6654  # a second controller's
RATE_BPS = 100_000_000


@dataclass(frozen=True, slots=True)
class ManagementLink:
    """From router ``router``, which has ``address4``, to the operations centre."""

    router: str
    address4: IPv4Address
    delay_us: int


@dataclass(frozen=True)
class Management:
    """The management network of ``network``."""

    network: Network

    @property
    def centre(self) -> str:
        """The PoP where the operations centre stands: the network's, else the first."""
        return self.network.operations or self.network.pops[0].id

    @cached_property
    def lines(self) -> dict[str, ManagementLink]:
        """Each router's line: as long as the quickest way over fibres from the centre's PoP. A router that no fibre
        leads to is as far away as the farthest."""
        near = self.network.pop[self.centre].routers
        delays_us = nx.multi_source_dijkstra_path_length(self.network.graph, near, weight="delay_us")
        farthest_us = max(delays_us.values())
        return {
            router.id: ManagementLink(router.id, PREFIX4[1 + number], delays_us.get(router.id, farthest_us))
            for number, router in enumerate(self.network.routers, start=1)
        }


def datapath_name(datapath_id: int) -> str:
    """What a certificate names that may speak for a switch: its datapath id, as a URI."""
    return f"dpid:{datapath_id:016x}"
