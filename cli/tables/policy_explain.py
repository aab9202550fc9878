"""``helsewan policy explain``: what two sites may open to each other and on which paths, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import chain
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from helsewan.common.errors import InputError, Problem
from helsewan.common.schema_errors import nearest
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table
from helsewan.common.units import format_rate
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.analysis.explain import Denial
from helsewan.policies.language.dscp import dscp_name
from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.path_trace import PathTrace
from helsewan.verification.expected.explained import ClassPath, Explained, Opening, explained


def show_explained(plan: Plan, sites: tuple[str, str], service: str | None, as_json: bool) -> None:
    """Print the answer. Raises InputError for an unknown site or service."""
    for argument, site in zip(("SITE", "OTHER"), sites, strict=True):
        if site not in plan.network.site:
            raise InputError(Problem(argument, site, "is no site of this network", nearest(site, plan.network.site)))
    if sites[0] == sites[1]:
        raise InputError(Problem("OTHER", sites[1], "is the first site again", "name two sites"))
    if service is not None and service not in plan.service:
        raise InputError(Problem("--service", service, "is no service of this policy", nearest(service, plan.service)))
    rules = first_generation(plan)
    fabric = Fabric.of(plan.network, {router: rules.rules(router) for router in plan.network.router})
    found = explained(plan, fabric, sites, [service] if service else list(plan.service))
    if as_json:
        print(json.dumps(to_json(found), indent=2))
    else:
        to_screen(found, Screen())


def to_json(found: Explained) -> dict[str, Any]:
    """The answer as JSON: names as in the policy and the network, delays in microseconds one way."""
    return {
        "policy": found.plan.policy,
        "sites": [
            {"site": site, "vpn": found.plan.role_of_site[site].vpn, "routers": found.plan.network.site[site].homing}
            for site in found.sites
        ],
        "routes": [asdict(each) for each in found.routes],
        "services": [
            {
                "client": each.client,
                "server": each.server,
                **asdict(each.answer),
                "denial": asdict(each.denial) if each.denial else None,
            }
            for each in found.openings
        ],
        "stateless_replies": [asdict(each) for each in found.stateless],
        "ways": [
            {
                "sender": each.sender,
                "receiver": each.receiver,
                "class": each.cls.name,
                "queue": each.cls.queue,
                "dscp": each.cls.dscp,
                "mpls_tc": each.cls.mpls_tc,
                "police_bps": each.police_bps,
                "opens": each.opens,
                "answers": each.answers,
                "ipv4": asdict(each.path),
                "ipv6": asdict(each.path6),
                "detours": [asdict(detour) for detour in each.detours],
            }
            for each in found.class_paths
        ],
    }


def to_screen(found: Explained, console: Console) -> None:
    """Print the answer as text."""
    for text in _sites(found):
        console.print(text, markup=False, soft_wrap=True)
    print_table(console, _services(found))
    for text in chain(_contracts(found), _denials(found), _stateless(found), *map(_carried, found.class_paths)):
        console.print(text, markup=False, soft_wrap=True)


def _sites(found: Explained) -> Iterator[str]:
    plan = found.plan
    for site in (plan.network.site[name] for name in found.sites):
        role, routers = plan.role_of_site[site.id], ", else ".join(site.homing)
        yield f"{site.id}: {site.name}, {site.kind.value}, in VPN {role.vpn}, at {routers}"
    for route in found.routes:
        what = "its own routes" if route.towards == route.vpn else f"the routes of VPN {route.towards}"
        targets = ", ".join(route.targets)
        yield f"VPN {route.vpn} " + (f"has {what}, by route target {targets}" if targets else f"does not have {what}")


def _services(found: Explained) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("service")
    table.add_column("class")
    for client in found.sites:
        table.add_column(f"{client} may open it")
    by_service: dict[str, list[Opening]] = {}
    for opening in found.openings:
        by_service.setdefault(opening.answer.service, []).append(opening)
    for service, openings in by_service.items():
        answers = (each.answer.contract and f"yes, by {each.answer.contract}" for each in openings)
        table.add_row(service, found.plan.service[service].class_name, *(answer or "no" for answer in answers))
    return table


def _contracts(found: Explained) -> Iterator[str]:
    """Each contract with its file and line."""
    answers = (opening.answer for opening in found.openings if opening.answer.allowed)
    for name, source in dict.fromkeys((answer.contract, answer.source) for answer in answers):
        yield f"{name}: {source}"


def _denials(found: Explained) -> Iterator[str]:
    """Reasons for denials, one for all services that share it; for a single service with the most similar contracts."""
    alone = len({opening.answer.service for opening in found.openings}) == 1
    alike: dict[tuple[str, str, Denial], list[str]] = {}
    for each in found.openings:
        if each.denial is not None:
            denial = each.denial if alone else replace(each.denial, nearest=())
            alike.setdefault((each.client, each.server, denial), []).append(each.answer.service)
    for (client, server, denial), services in alike.items():
        yield f"{client} may not open {', '.join(services)} to {server}:"
        for route in denial.no_routes:
            targets = ", ".join(route.targets)
            yield f"  no route: VPN {route.vpn} imports none of {targets}, which VPN {route.towards} exports"
        similar = "; the most similar:" if denial.nearest else ", and none is similar" if alone else ""
        yield f"  no contract allows it{similar}"
        for contract in denial.nearest:
            yield f"    {contract.contract} ({contract.source}) allows {contract.allows}"


def _stateless(found: Explained) -> Iterator[str]:
    """What passes as a reply without having been asked for, one line for each direction and protocol."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for each in found.stateless:
        shown = f"from port {each.ports} ({each.service})" if each.ports else f"({each.service})"
        alike.setdefault((each.sender, each.receiver, each.protocol.upper()), []).append(shown)
    for (sender, receiver, protocol), sources in alike.items():
        yield f"{sender} may send {receiver} {protocol} {', '.join(sources)} to any port, unasked: it counts as a reply"


def _carried(carried: ClassPath) -> Iterator[str]:
    cls = carried.cls
    limit = f", at most {format_rate(carried.police_bps)} from this access link" if carried.police_bps else ""
    yield ""
    yield (
        f"{carried.sender} > {carried.receiver}, class {cls.name}: queue {cls.queue}, {dscp_name(cls.dscp)}, "
        f"MPLS traffic class {cls.mpls_tc}{limit}"
    )
    what = [("opens", carried.opens), ("answers", carried.answers)]
    yield "  " + ", ".join(f"{verb} {', '.join(services)}" for verb, services in what if services)
    yield f"  {_path(carried.path)}"
    yield f"  labels {_labels(carried.path)}; IPv6: {_labels(carried.path6)}"
    for detour in carried.detours:
        yield f"  if {detour.failed} fails: {_path(detour.path)}; labels {_labels(detour.path)}"


def _path(trace: PathTrace) -> str:
    if trace.site is None:
        return f"{' > '.join(trace.routers)}, not delivered"
    return f"{' > '.join(trace.routers)}, {trace.delay_us / 1000:.2f} ms"


def _labels(trace: PathTrace) -> str:
    """The label stacks along the path, the transport label first, each once."""
    stacks = dict.fromkeys(" ".join(str(label.label) for label in leg.labels) for leg in trace.legs)
    return ", then ".join(stacks) or "none"
