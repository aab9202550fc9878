"""The out-of-band management network: a link from the operations centre to every router.

A management link has the delay of the least-delay path over the backbone, but does not fail with backbone links: an
operator leases separate capacity so that a cut link can still be repaired. It fails with its own router.
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
    """A link from the operations centre to ``router``, whose management address is ``address4``; one-way delay."""

    router: str
    address4: IPv4Address
    delay_us: int


@dataclass(frozen=True)
class Management:
    """The management network of ``network``."""

    network: Network

    @property
    def centre(self) -> str:
        """Id of the PoP with the operations centre: ``network.operations``, or the first PoP if that is empty."""
        return self.network.operations or self.network.pops[0].id

    @cached_property
    def links(self) -> dict[str, ManagementLink]:
        """Management links by router id. The delay is that of the least-delay path from the centre's PoP; an
        unreachable router gets the largest delay of all others."""
        near = self.network.pop[self.centre].routers
        delays_us = nx.multi_source_dijkstra_path_length(self.network.graph, near, weight="delay_us")
        farthest_us = max(delays_us.values())
        return {
            router.id: ManagementLink(router.id, PREFIX4[1 + number], delays_us.get(router.id, farthest_us))
            for number, router in enumerate(self.network.routers, start=1)
        }


def datapath_name(datapath_id: int) -> str:
    """The URI that identifies a switch in its certificate: ``dpid:`` and the datapath id, 16 hex digits."""
    return f"dpid:{datapath_id:016x}"
