"""The explanation of two sites under a policy: who may open which service, why or why not, and the paths of the
packets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby, permutations

from helsewan.controller.rules.ip_version import IP4, IP6
from helsewan.policies.analysis.explain import Denial, Explanation, explain, shared_targets, why_denied
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
class Carried:
    """How packets of a class go from one site to another: those that open ``opens`` and those that answer ``answers``.

    ``way`` is IPv4's and ``way6`` IPv6's; ``detours`` are IPv4's. ``police_bps`` is what the sender's first line may
    send in the class, 0 if it is not limited."""

    sender: str
    receiver: str
    cls: TrafficClass
    opens: tuple[str, ...]
    answers: tuple[str, ...]
    police_bps: int
    way: PathTrace
    way6: PathTrace
    detours: tuple[Detour, ...]


@dataclass(frozen=True)
class Explained:
    """The explanation for two sites."""

    plan: Plan
    sites: tuple[str, str]
    openings: tuple[Opening, ...]
    routes: tuple[RouteSharing, ...]
    carried: tuple[Carried, ...]


def explained(plan: Plan, fabric: Fabric, sites: tuple[str, str], services: Collection[str]) -> Explained:
    """What is to say of two sites and these services. ``fabric`` has the plan's rules. Raises ``KeyError`` for a site
    the plan does not know."""
    openings = tuple(
        Opening(client, server, each, None if each.allowed else why_denied(plan, client, server, each.service))
        for client, server in permutations(sites)
        for each in explain(plan, client, server)
        if each.service in services
    )
    here, there = (plan.role_of_site[site].vpn for site in sites)
    pairs = dict.fromkeys([(here, there), (there, here)])
    routes = tuple(RouteSharing(*pair, targets=shared_targets(plan, *pair)) for pair in pairs)
    return Explained(plan, sites, openings, routes, tuple(_carried(plan, fabric, sites, openings)))


def _carried(plan: Plan, fabric: Fabric, sites: tuple[str, str], openings: Collection[Opening]) -> Iterator[Carried]:
    """Every class in which packets go one way or the other, by its queue."""
    allowed = [(plan.service[each.answer.service], each) for each in openings if each.answer.allowed]
    queue = {cls.name: cls.queue for cls in plan.classes}
    by_class = sorted(allowed, key=lambda each: queue[each[0].class_name])
    for name, group in groupby(by_class, key=lambda each: each[0].class_name):
        members = list(group)
        for sender, receiver in permutations(sites):
            opens = [service for service, opening in members if opening.client == sender]
            answers = [service for service, opening in members if opening.server == sender]
            yield _carry(plan, fabric, sender, receiver, plan.traffic_class[name], opens, answers)


def _carry(
    plan: Plan,
    fabric: Fabric,
    sender: str,
    receiver: str,
    cls: TrafficClass,
    opens: Collection[Service],
    answers: Collection[Service],
) -> Carried:
    ends, shown = [plan.network.site[site] for site in (sender, receiver)], [*opens, *answers][0]
    packets = [packet_of(shown, ends[0], ends[1], family, reply=not opens) for family in (IP4, IP6)]
    way, way6 = (path_trace(plan, fabric, sender, packet) for packet in packets)
    return Carried(
        sender,
        receiver,
        cls,
        tuple(service.name for service in opens),
        tuple(service.name for service in answers),
        dict(plan.attachments_of[sender][0].police).get(cls.name, 0),
        way,
        way6,
        tuple(detours(plan, fabric, sender, packets[0], way)),
    )
