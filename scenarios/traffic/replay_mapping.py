"""Which site an address of a capture is here. Pure; the same for the same capture, network and seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random

from helsewan.lab.flows.replay_plan import FlowKey, Host
from helsewan.policies.plan import Plan, Protocol, Role
from helsewan.scenarios.spec.traffic.replay import CapturePrefix
from helsewan.topology.model import Site

FIRST_HOST = 3  # of a site's prefix: 1 is the gateway's, 2 the site's own
MOST_HOSTS = 4096  # of one site, where its prefix has more


class NoRoom(Exception):
    """A site, or all of a selection, has no free address left."""


@dataclass
class HostBook:
    """Gives addresses at sites, each once over all replays of a scenario."""

    _given: Counter[tuple[str, int]] = field(default_factory=Counter)

    def room(self, site: Site, version: int) -> int:
        """The number of addresses that ``site`` has left."""
        prefix = site.prefix4 if version == 4 else site.prefix6
        last = 1 if version == 4 else 0  # the broadcast address is nobody's
        return min(prefix.num_addresses - FIRST_HOST - last, MOST_HOSTS) - self._given[site.id, version]

    def host(self, site: Site, version: int) -> Host:
        """The next address of ``site``. Raises NoRoom."""
        if self.room(site, version) <= 0:
            raise NoRoom(site.id)
        self._given[site.id, version] += 1
        prefix = site.prefix4 if version == 4 else site.prefix6
        return Host(site.id, prefix[FIRST_HOST - 1 + self._given[site.id, version]])


def longest_match(address: IPv4Address | IPv6Address, prefixes: Iterable[CapturePrefix]) -> CapturePrefix | None:
    """The longest of ``prefixes`` that has ``address``; None if none has."""
    fitting = (prefix for prefix in prefixes if prefix.version == address.version and address in prefix)
    return max(fitting, key=lambda prefix: prefix.prefixlen, default=None)


def by_prefix(
    addresses: Iterable[bytes], sites: Mapping[CapturePrefix, Sequence[Site]], book: HostBook, rng: Random
) -> dict[bytes, Host]:
    """A host for each of ``addresses``: of the longest prefix that has it, the sites of its selection in turn. Raises
    NoRoom with the prefix."""
    hosts: dict[bytes, Host] = {}
    turns = {prefix: _Turns(rng.sample(own, len(own)), book) for prefix, own in sites.items()}
    for packed in addresses:
        address = ip_address(packed)
        if (prefix := longest_match(address, turns)) is not None:
            try:
                hosts[packed] = turns[prefix].next(address.version)
            except NoRoom:
                raise NoRoom(str(prefix)) from None
    return hosts


@dataclass
class _Turns:
    """Sites that get hosts in turn, those without room left out."""

    sites: list[Site]
    book: HostBook
    place: int = 0

    def next(self, version: int) -> Host:
        """The next host. Raises NoRoom."""
        for _ in self.sites:
            site = self.sites[self.place % len(self.sites)]
            self.place += 1
            if self.book.room(site, version) > 0:
                return self.book.host(site, version)
        raise NoRoom


def by_owner(addresses: Iterable[bytes], plan: Plan, book: HostBook) -> dict[bytes, Host]:
    """A host for each of ``addresses`` that is in a site's prefix, at that site; for a capture of this network. Raises
    NoRoom with the site."""
    owners = {(prefix.version, prefix): site for site in plan.network.sites for prefix in site.prefixes}
    lengths = {(prefix.version, prefix.prefixlen) for _, prefix in owners}
    hosts: dict[bytes, Host] = {}
    for packed in addresses:
        address = ip_address(packed)
        for version, length in lengths:
            if version != address.version:
                continue
            prefix = ip_network((packed, length), strict=False)
            if (site := owners.get((version, prefix))) is not None:
                hosts[packed] = book.host(site, version)
                break
    return hosts


@dataclass(frozen=True)
class Exchanged:
    """Bytes of one kind of packets between two addresses, with the ports that services have."""

    key: FlowKey
    ip_bytes: int


@dataclass(frozen=True)
class AutoMapper:
    """Maps addresses by what they do and how much: the one with most traffic first, each to a site of the role that the
    policy lets do most of it, and there to the site with the fastest line that none of them has yet."""

    plan: Plan
    book: HostBook

    def map(self, exchanged: Sequence[Exchanged]) -> dict[bytes, Host]:
        """A host for each address of ``exchanged``. Raises NoRoom where the network has too few."""
        own: defaultdict[bytes, list[Exchanged]] = defaultdict(list)
        for each in exchanged:
            own[each.key[0]].append(each)
            own[each.key[1]].append(each)
        size = {address: sum(each.ip_bytes for each in having) for address, having in own.items()}
        hosts: dict[bytes, Host] = {}
        used: Counter[str] = Counter()
        for address in sorted(own, key=lambda address: (-size[address], address)):
            version = 4 if len(address) == 4 else 6
            for role in self._roles(address, own[address], hosts):
                able = [site for site in self._by_rate[role.id] if self.book.room(site, version) > 0]
                if able:
                    site = min(able, key=lambda site: used[site.id])  # of equals the first, which is the fastest
                    used[site.id] += 1
                    hosts[address] = self.book.host(site, version)
                    break
            else:
                raise NoRoom("the network")
        return hosts

    def _roles(self, address: bytes, having: Sequence[Exchanged], hosts: Mapping[bytes, Host]) -> list[Role]:
        """The roles, the one in which ``address`` may do most of what it does first."""
        roles = self.plan.role_of_site
        gain: Counter[int] = Counter()
        for each in having:
            source, destination, protocol, source_port, destination_port, *_ = each.key
            other = hosts.get(destination if source == address else source)
            peer = roles[other.site].id if other else None
            opens = (source == address) == bool(destination_port)
            answers = not opens
            if not (source_port or destination_port):  # nothing tells who serves whom
                opens = answers = True
            fitting = set()
            for client, server in self._pairs_using(protocol, destination_port or source_port):
                if opens and peer in (None, server):
                    fitting.add(client)
                if answers and peer in (None, client):
                    fitting.add(server)
            for role in fitting:
                gain[role] += each.ip_bytes
        return sorted(self.plan.roles, key=lambda role: (-gain[role.id], -len(role.sites), role.id))

    def _pairs_using(self, protocol: int, port: int) -> Iterator[tuple[int, int]]:
        """The (client role, server role) pairs that may use a port of a protocol."""
        for key in {(protocol, port), (protocol, 0), (int(Protocol.ANY), 0)}:
            for name in self._services_of.get(key, ()):
                yield from self._pairs_of[name]

    @cached_property
    def _services_of(self) -> Mapping[tuple[int, int], list[str]]:
        """Services by protocol and port, those without ports by port 0."""
        found: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        for service in self.plan.services:
            for port in service.port_numbers if service.protocol.has_ports and service.ports else (0,):
                found[int(service.protocol), port].append(service.name)
        return found

    @cached_property
    def _pairs_of(self) -> Mapping[str, set[tuple[int, int]]]:
        """(client role, server role) pairs by service."""
        found: defaultdict[str, set[tuple[int, int]]] = defaultdict(set)
        for client, server, service in self.plan.allowed:
            found[service].add((client, server))
        return found

    @cached_property
    def _by_rate(self) -> Mapping[int, list[Site]]:
        """The sites of each role, the fastest primary access link first."""
        site = self.plan.network.site
        return {
            role.id: sorted((site[name] for name in role.sites), key=lambda site: -site.accesses[0].rate_bps)
            for role in self.plan.roles
        }
