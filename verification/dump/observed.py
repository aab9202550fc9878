"""What switches report as failed, by the states of their ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import starmap

from helsewan.common.errors import Problem
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.topology.model import Network, access_link_name


def observed_failures(network: Network, found: Mapping[str, RuleSet | None]) -> Failures:
    """The failures that the switches report, by router; None for a router that is off. A link is down if either end
    reports it, except for links of routers that are off."""
    off = frozenset(router for router, held in found.items() if held is None)
    dead = {
        router: frozenset(port.number for port in held.ports if port.is_dead) if held is not None else frozenset()
        for router, held in found.items()
    }
    links = frozenset(
        link.id
        for link in network.links
        if not {link.a, link.b} & off and any(network.ports[end][link.id] in dead[end] for end in (link.a, link.b))
    )
    access_links = frozenset(
        access_link
        for router, ports in network.access_link_ports.items()
        for access_link, port in ports.items()
        if port in dead[router]
    )
    return Failures(links, off, access_links=access_links)


def contradictions(network: Network, rules: Mapping[str, RuleSet], down: Failures, name: str) -> Iterator[Problem]:
    """Where the first line of a dump, by which ``down`` has failed, contradicts the ports of its switches. Dumps
    without ports contradict nothing: they are not from switches, or of the first format."""
    if not any(held.ports for held in rules.values()):
        return
    hint = "dump the rules again, or correct the first line"
    for router, held in rules.items():
        if router in down.routers and len(held):
            yield Problem(f"{name}:1: down.routers", router, f"has {len(held)} entries", hint)
        elif router not in down.routers and not held.ports:
            yield Problem(f"{name}:1: down.routers", router, "is missing, or its ports are", hint)
    seen = observed_failures(
        network, {router: None if router in down.routers else held for router, held in rules.items()}
    )
    named = (
        ("links", down.links, seen.links),
        (
            "lines",
            frozenset(starmap(access_link_name, down.access_links)),
            frozenset(starmap(access_link_name, seen.access_links)),
        ),
    )
    for what, claimed, by_ports in named:
        for each in sorted(claimed ^ by_ports):
            reason = "is up by its ports" if each in claimed else "is missing: it is down by its ports"
            yield Problem(f"{name}:1: down.{what}", each, reason, hint)
