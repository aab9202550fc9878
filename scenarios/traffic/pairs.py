"""Samples pairs of sites that the policy allows to use a service, and assigns their ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Literal

from helsewan.lab.flows.flowspec import Endpoint
from helsewan.policies.language.schema import Selector
from helsewan.policies.passes.selection import Population
from helsewan.policies.plan import Plan, Protocol, Service
from helsewan.scenarios.spec.traffic.media import DatagramsOf
from helsewan.scenarios.spec.traffic.pairs import Relation
from helsewan.topology.model import Site

IpVersion = Literal[4, 6]
CLIENT_PORTS = range(40_000, 60_000)  # outside every service of the catalogue, below Linux's ephemeral ports


@dataclass(frozen=True)
class PairFinder:
    """Samples allowed (client, server) pairs of ``plan``."""

    plan: Plan

    @cached_property
    def population(self) -> Population:
        """The network's sites, for selectors."""
        return Population(self.plan.network)

    def sites(self, selector: Selector) -> list[Site]:
        """The selected sites, in the network's order."""
        chosen = self.population.select(selector)
        return [site for site in self.plan.network.sites if site.id in chosen]

    def sample(
        self,
        service: str,
        count: int,
        clients: Sequence[Site],
        servers: Sequence[Site],
        relation: Relation,
        rng: Random,
    ) -> list[tuple[Site, Site]]:
        """``count`` pairs that may use ``service``, of as many different clients, then servers, as possible. Sites
        are used more than once where fewer than ``count`` fit; the list is empty where none do."""
        shuffled = rng.sample(clients, len(clients))
        used: Counter[str] = Counter()
        pairs: list[tuple[Site, Site]] = []
        while len(pairs) < count:
            before = len(pairs)
            for client in shuffled:
                if len(pairs) == count:
                    break
                able = [server for server in servers if self._fits(service, client, server, relation)]
                if able:
                    least = min(used[server.id] for server in able)
                    server = rng.choice([server for server in able if used[server.id] == least])
                    used[server.id] += 1
                    pairs.append((client, server))
            if len(pairs) == before:
                return []
        return pairs

    def _fits(self, service: str, client: Site, server: Site, relation: Relation) -> bool:
        if client.id == server.id or not self.allowed(service, client, server):
            return False
        return relation is Relation.ANY or (client.region == server.region) == (relation is Relation.WITHIN)

    def allowed(self, service: str, client: Site, server: Site) -> bool:
        """Whether a contract lets ``client`` open ``service`` to ``server``."""
        roles = self.plan.role_of_site
        return (roles[client.id].id, roles[server.id].id, service) in self.plan.allowed


@dataclass
class PortBook:
    """Assigns UDP ports at sites, each once."""

    _used: Counter[str] = field(default_factory=Counter)

    def of_service(self, site: Site, service: Service, version: IpVersion = 4) -> Endpoint:
        """The next of the service's ports at ``site``; the first again when all are in use."""
        return self._next_of(service.port_numbers, site, service, version)

    def of_media(self, site: Site, service: Service, version: IpVersion = 4) -> Endpoint | None:
        """The next even port of the service at ``site`` whose next port is the service's too, as RTP and RTCP need (RFC
        3550, 11); the first again when all are in use, None where the service has no such port."""
        ports = rtp_ports(service)
        return self._next_of(ports, site, service, version) if ports else None

    def _next_of(self, ports: Sequence[int], site: Site, service: Service, version: IpVersion) -> Endpoint:
        port = ports[self._next(f"{site.id} {service.name}") % len(ports)]
        return Endpoint(site.id, address_of(site, version), port)

    def of_client(self, site: Site, version: IpVersion = 4) -> Endpoint:
        """The next port at ``site`` that belongs to no service."""
        return Endpoint(site.id, address_of(site, version), CLIENT_PORTS[self._next(site.id) % len(CLIENT_PORTS)])

    def _next(self, key: str) -> int:
        self._used[key] += 1
        return self._used[key] - 1


def ip_versions(traffic: DatagramsOf, count: int, rng: Random) -> list[IpVersion]:
    """The IP versions of an entry's ``count`` pairs: as many of IPv6 as its share says, at random places."""
    six = round(traffic.share_of_6 * count)
    sixes = set(rng.sample(range(count), six))
    return [6 if number in sixes else 4 for number in range(count)]


def address_of(site: Site, version: IpVersion) -> IPv4Address | IPv6Address:
    """A site's own address of an IP version."""
    return site.address4 if version == 4 else site.address6


def rtp_ports(service: Service) -> list[int]:
    """The even ports of a service that have the next one beside them, for RTP and RTCP (RFC 3550, 11)."""
    ports = set(service.port_numbers)
    return sorted(port for port in ports if port % 2 == 0 and port + 1 in ports)


def fixed_port(site: Site, service: Service, version: IpVersion = 4) -> Endpoint:
    """The socket of a service's first port at ``site``."""
    return Endpoint(site.id, address_of(site, version), service.port_numbers[0])


def probed_services(plan: Plan) -> tuple[Service, ...]:
    """The services that datagram probes can test: those over UDP."""
    return tuple(service for service in plan.services if service.protocol is Protocol.UDP)
