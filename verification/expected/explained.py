"""The explanation of two sites under a policy: who may open which service, why or why not, and the paths of the
packets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby, permutations

from helsewan.controller.rules.ip_version import IP4, IP6
from helsewan.policies.analysis.explain import (
    Denial,
    Explanation,
    StatelessReply,
    explain,
    shared_targets,
    stateless_replies,
    why_denied,
)
from helsewan.policies.plan import Plan, Service, TrafficClass
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.path_trace import Detour, PathTrace, detours, packet_of, path_trace


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether ``client`` may open a service to ``server``, and if not, why."""

    client: str
    server: str
    answer: Explanation
    denial: Denial | None


@dataclass(frozen=True, slots=True)
class RouteSharing:
    """A site's VPN, the other's, and the route targets by which the first imports the other's routes."""

    vpn: str
    towards: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class ClassPath:
    """The path of packets of a class from one site to another: those that open the services ``opens``, and replies of
    the services ``answers``.

    ``path`` is that of IPv4 packets and ``path6`` of IPv6 packets; ``detours`` are those of IPv4. ``police_bps`` is the
    policed rate of the class on the sender's first access link, 0 if it is not policed."""

    sender: str
    receiver: str
    cls: TrafficClass
    opens: tuple[str, ...]
    answers: tuple[str, ...]
    police_bps: int
    path: PathTrace
    path6: PathTrace
    detours: tuple[Detour, ...]


@dataclass(frozen=True)
class Explained:
    """The explanation for two sites."""

    plan: Plan
    sites: tuple[str, str]
    openings: tuple[Opening, ...]
    stateless: tuple[StatelessReply, ...]
    routes: tuple[RouteSharing, ...]
    class_paths: tuple[ClassPath, ...]


def explained(plan: Plan, fabric: Fabric, sites: tuple[str, str], services: Collection[str]) -> Explained:
    """The explanation for two sites and these services. ``fabric`` has the plan's rules. Raises KeyError for a site
    that the plan does not have."""
    openings = tuple(
        Opening(client, server, each, None if each.allowed else why_denied(plan, client, server, each.service))
        for client, server in permutations(sites)
        for each in explain(plan, client, server)
        if each.service in services
    )
    one, other = (plan.role_of_site[site].vpn for site in sites)
    pairs = dict.fromkeys([(one, other), (other, one)])
    routes = tuple(RouteSharing(*pair, targets=shared_targets(plan, *pair)) for pair in pairs)
    stateless = tuple(each for each in stateless_replies(plan, *sites) if each.service in services)
    return Explained(plan, sites, openings, stateless, routes, tuple(_class_paths(plan, fabric, sites, openings)))


def _class_paths(
    plan: Plan, fabric: Fabric, sites: tuple[str, str], openings: Collection[Opening]
) -> Iterator[ClassPath]:
    """The paths for each class in which packets are allowed, in either direction, in the order of queues."""
    allowed = [(plan.service[each.answer.service], each) for each in openings if each.answer.allowed]
    queue = {cls.name: cls.queue for cls in plan.classes}
    by_class = sorted(allowed, key=lambda each: queue[each[0].class_name])
    for name, group in groupby(by_class, key=lambda each: each[0].class_name):
        members = list(group)
        for sender, receiver in permutations(sites):
            opens = [service for service, opening in members if opening.client == sender]
            answers = [service for service, opening in members if opening.server == sender]
            yield _class_path(plan, fabric, sender, receiver, plan.traffic_class[name], opens, answers)


def _class_path(
    plan: Plan,
    fabric: Fabric,
    sender: str,
    receiver: str,
    cls: TrafficClass,
    opens: Collection[Service],
    answers: Collection[Service],
) -> ClassPath:
    endpoints, service = [plan.network.site[site] for site in (sender, receiver)], [*opens, *answers][0]
    packets = [packet_of(service, endpoints[0], endpoints[1], ip_version, reply=not opens) for ip_version in (IP4, IP6)]
    path, path6 = (path_trace(plan, fabric, sender, packet) for packet in packets)
    return ClassPath(
        sender,
        receiver,
        cls,
        tuple(service.name for service in opens),
        tuple(service.name for service in answers),
        dict(plan.attachments_of[sender][0].police).get(cls.name, 0),
        path,
        path6,
        tuple(detours(plan, fabric, sender, packets[0], path)),
    )
