"""Packets that two plans treat differently, to find out whether their rules do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random

from helsewan.controller.rules.ip_version import FAMILIES, IpVersion
from helsewan.policies.plan import Attachment, Plan, Protocol, Service
from helsewan.topology.model import AccessLinkId
from helsewan.verification.mutation.effect import Probe
from helsewan.verification.mutation.headers import Header, Headers, address, packet, sample

_AGREEING = 600  # packets that both plans treat alike

Treatment = tuple[object, ...]


def differing_packets(old: Plan, new: Plan, rng: Random) -> Iterator[Probe]:
    """For every pair of roles of either plan, the packets that the plans treat differently; and a sample of those that
    they treat alike."""
    network = old.network
    role = {site.id: (old.role_of_site[site.id].id, new.role_of_site[site.id].id) for site in network.sites}
    lines = {role[line.site]: line for line in old.attachments if not line.backup}
    others = {role[site.id]: site for site in reversed(network.sites)}
    alike: list[Probe] = []
    expectations = {family: (_PlanExpectation(old, family), _PlanExpectation(new, family)) for family in FAMILIES}
    headers = {family: _headers(old, new, family) for family in FAMILIES}
    for line, site, family in product(lines.values(), others.values(), FAMILIES):
        if site.id == line.site:
            continue
        before, after = expectations[family]
        ends = address(network.site[line.site], family), address(site, family)
        for header in headers[family]:
            probe = Probe(*line.number, packet(family, *ends, header))
            if before.treatment(line, site.id, header) != after.treatment(line, site.id, header):
                yield probe
            else:
                alike.append(probe)
    yield from sample(rng, alike, _AGREEING)


def _headers(old: Plan, new: Plan, family: IpVersion) -> tuple[Header, ...]:
    return tuple(dict.fromkeys((*Headers(old).all_services(family), *Headers(new).all_services(family))))


@dataclass(frozen=True)
class _PlanExpectation:
    """How one plan treats packets between its sites."""

    plan: Plan
    family: IpVersion

    def treatment(self, line: Attachment, to: str, header: Header) -> Treatment:
        """Whether the packet is an allowed request or reply, and for each service its DSCP, path and policed rate."""
        a, b = self.plan.role_of_site[line.site].id, self.plan.role_of_site[to].id
        opening, answering = self._services(header)
        opened = [name for name in opening if (a, b, name) in self.plan.allowed]
        answered = [name for name in answering if (b, a, name) in self.plan.allowed]
        classes = (self.plan.traffic_class[self.plan.service[name].class_name] for name in (*opened, *answered))
        rates = self._rates[line.number]
        return bool(opened), bool(answered), [(cls.dscp, cls.path, rates.get(cls.name)) for cls in classes]

    def _services(self, header: Header) -> tuple[list[str], list[str]]:
        """The services of which a header is a request, and those of which it is a reply."""
        if header not in self._services_of:
            fields, services = dict(header), sorted(self.plan.services, key=lambda service: service.name)
            opening, answering = (
                [service.name for service in services if _is_of(service, fields, side, self.family)]
                for side in ("dst", "src")
            )
            self._services_of[header] = opening, answering
        return self._services_of[header]

    @cached_property
    def _services_of(self) -> dict[Header, tuple[list[str], list[str]]]:
        return {}

    @cached_property
    def _rates(self) -> dict[AccessLinkId, dict[str, int]]:
        return {line.number: dict(line.police) for line in self.plan.attachments}


def _is_of(service: Service, fields: dict[str, int], side: str, family: IpVersion) -> bool:
    """Whether a packet belongs to a service whose server is at the end ``side`` (``src`` or ``dst``)."""
    if service.protocol is Protocol.ICMP:
        kind = family.echo_request if side == "dst" else family.echo_reply
        return fields.get(family.icmp_type) == kind
    if not service.protocol.has_ports:
        return service.protocol is Protocol.ANY or fields["ip_proto"] == int(service.protocol)
    port = fields.get(f"{service.protocol.name.lower()}_{side}")
    if port is None or fields["ip_proto"] != int(service.protocol):
        return False
    return any(port & each.mask == each.value for each in service.ports)
