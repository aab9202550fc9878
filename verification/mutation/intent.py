"""Packets of which two plans expect different dispositions, to see whether their rules differ."""

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
from helsewan.verification.mutation.headers import Header, Headers, address, packet, sampled

_ANYWAY = 600  # packets of which both say the same

Saying = tuple[object, ...]


def disputed(old: Plan, new: Plan, rng: Random) -> Iterator[Probe]:
    """For every pair of roles of either plan, packets about which the plans differ; and some about which they agree."""
    network = old.network
    role = {site.id: (old.role_of_site[site.id].id, new.role_of_site[site.id].id) for site in network.sites}
    lines = {role[line.site]: line for line in old.attachments if not line.backup}
    others = {role[site.id]: site for site in reversed(network.sites)}
    alike: list[Probe] = []
    words = {family: (_Word(old, family), _Word(new, family)) for family in FAMILIES}
    headers = {family: _headers(old, new, family) for family in FAMILIES}
    for line, site, family in product(lines.values(), others.values(), FAMILIES):
        if site.id == line.site:
            continue
        before, after = words[family]
        ends = address(network.site[line.site], family), address(site, family)
        for header in headers[family]:
            probe = Probe(*line.number, packet(family, *ends, header))
            if before.on(line, site.id, header) != after.on(line, site.id, header):
                yield probe
            else:
                alike.append(probe)
    yield from sampled(rng, alike, _ANYWAY)


def _headers(old: Plan, new: Plan, family: IpVersion) -> tuple[Header, ...]:
    return tuple(dict.fromkeys((*Headers(old).every(family), *Headers(new).every(family))))


@dataclass(frozen=True)
class _Word:
    """A plan's expectation of packets between its sites."""

    plan: Plan
    family: IpVersion

    def on(self, line: Attachment, to: str, header: Header) -> Saying:
        """Whether a packet opens something or answers, in which classes, at what rates."""
        a, b = self.plan.role_of_site[line.site].id, self.plan.role_of_site[to].id
        opening, answering = self._services(header)
        opened = [name for name in opening if (a, b, name) in self.plan.allowed]
        answered = [name for name in answering if (b, a, name) in self.plan.allowed]
        classes = (self.plan.traffic_class[self.plan.service[name].class_name] for name in (*opened, *answered))
        rates = self._rates[line.number]
        return bool(opened), bool(answered), [(cls.dscp, cls.path, rates.get(cls.name)) for cls in classes]

    def _services(self, header: Header) -> tuple[list[str], list[str]]:
        """The services that a packet may open, and those that it may answer."""
        if header not in self._known:
            fields, services = dict(header), sorted(self.plan.services, key=lambda service: service.name)
            opening, answering = (
                [service.name for service in services if _is_of(service, fields, side, self.family)]
                for side in ("dst", "src")
            )
            self._known[header] = opening, answering
        return self._known[header]

    @cached_property
    def _known(self) -> dict[Header, tuple[list[str], list[str]]]:
        return {}

    @cached_property
    def _rates(self) -> dict[AccessLinkId, dict[str, int]]:
        return {line.number: dict(line.police) for line in self.plan.attachments}


def _is_of(service: Service, fields: dict[str, int], side: str, family: IpVersion) -> bool:
    """Whether a packet is a service's, its server at the end ``side``."""
    if service.protocol is Protocol.ICMP:
        kind = family.echo_request if side == "dst" else family.echo_reply
        return fields.get(family.icmp_type) == kind
    port = fields.get(f"{service.protocol.name.lower()}_{side}")
    if port is None or fields["ip_proto"] != int(service.protocol):
        return False
    return any(port & each.mask == each.value for each in service.ports)
