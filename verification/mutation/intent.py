"""Packets of which two plans say different things, to see whether their rules treat them differently."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

from controller.family import FAMILIES, Family
from policies.plan import Attachment, Plan, Protocol, Service
from verification.mutation.effect import Probe
from verification.mutation.headers import Header, Headers, address, packet, sampled

_ANYWAY = 600  # packets of which both say the same

Saying = tuple[object, ...]


def disputed(old: Plan, new: Plan, rng: Random) -> Iterator[Probe]:
    """For every pair of roles of either plan, packets about which the plans differ; and some about which they agree."""
    network = old.network
    role = {site.id: (old.role_of_site[site.id].id, new.role_of_site[site.id].id) for site in network.sites}
    lines = {role[line.site]: line for line in old.attachments if not line.backup}
    others = {role[site.id]: site for site in reversed(network.sites)}
    alike: list[Probe] = []
    for line, site, family in product(lines.values(), others.values(), FAMILIES):
        if site.id == line.site:
            continue
        ends = address(network.site[line.site], family), address(site, family)
        for header in _headers(old, new, family):
            probe = Probe(*line.number, packet(family, *ends, header))
            if _says(old, line, site.id, header, family) != _says(new, line, site.id, header, family):
                yield probe
            else:
                alike.append(probe)
    yield from sampled(rng, alike, _ANYWAY)


def _headers(old: Plan, new: Plan, family: Family) -> tuple[Header, ...]:
    return tuple(dict.fromkeys((*Headers(old).every(family), *Headers(new).every(family))))


def _says(plan: Plan, line: Attachment, to: str, header: Header, family: Family) -> Saying:
    """What a plan has to do with a packet: the services it opens or answers between these, their classes and rates."""
    a, b = plan.role_of_site[line.site].id, plan.role_of_site[to].id
    fields = dict(header)
    opened = sorted(
        s.name for s in plan.services if _is_of(s, fields, "dst", family) and (a, b, s.name) in plan.allowed
    )
    answered = sorted(
        s.name for s in plan.services if _is_of(s, fields, "src", family) and (b, a, s.name) in plan.allowed
    )
    classes = [plan.service[name].class_name for name in (*opened, *answered)]
    rates = dict(next(each for each in plan.attachments if each.number == line.number).police)
    marks = [(plan.traffic_class[name].dscp, plan.traffic_class[name].path, rates.get(name)) for name in classes]
    return bool(opened), bool(answered), marks


def _is_of(service: Service, fields: dict[str, int], side: str, family: Family) -> bool:
    """Whether a packet is a service's, its server at the end ``side``."""
    if service.protocol is Protocol.ICMP:
        kind = family.echo_request if side == "dst" else family.echo_reply
        return fields.get(family.icmp_type) == kind
    port = fields.get(f"{service.protocol.name.lower()}_{side}")
    if port is None or fields["ip_proto"] != int(service.protocol):
        return False
    return any(port & each.mask == each.value for each in service.ports)
