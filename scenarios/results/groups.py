"""Sets of flows and exchanges that are looked at together: classes, services, entries of the traffic, sites. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowSpec, TrafficPlan
from helsewan.scenarios.results.exchange_figures import ExchangeFigures, ExchangeMeasurement
from helsewan.scenarios.results.measure import Figures, Measurement


class Level(str, Enum):
    """What the members of a group have in common. Probes, controls, scans and RTCP are in their entry's groups only."""

    CLASS = "class"
    SERVICE = "service"
    ENTRY = "entry"  # of the scenario's traffic; of isolation, the parts of one
    SITE = "site"  # all traffic with an end there


@dataclass(frozen=True)
class Group:
    """Ids of the flows and exchanges that belong together."""

    flows: list[int] = field(default_factory=list)
    exchanges: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Together:
    """A group's figures in a phase; None of a kind of traffic that it has none of."""

    flows: Figures | None
    exchanges: ExchangeFigures | None

    @property
    def minutes_lost(self) -> float | None:
        """The minutes in which it was unavailable (`datagrams.availability`); None where nothing was due."""
        return self.flows.unavailable_us / 60e6 if self.flows is not None and self.flows.sent else None


Grouped = Mapping[Level, Mapping[str, Mapping[str, Together]]]
"""Figures by level, name of the group, and phase."""


def grouped(traffic: TrafficPlan, flows: Measurement, exchanges: ExchangeMeasurement, phases: Sequence[str]) -> Grouped:
    """The figures of every group in every phase."""
    known: dict[tuple[tuple[int, ...], str], Figures] = {}  # a class is often one service, a service one entry

    def pooled(ids: Sequence[int], phase: str) -> Figures:
        key = tuple(ids), phase
        if key not in known:
            known[key] = flows.pool(ids, phase)
        return known[key]

    return {
        level: {
            name: {
                phase: Together(
                    pooled(group.flows, phase) if group.flows else None,
                    exchanges.pool(group.exchanges, phase) if group.exchanges else None,
                )
                for phase in phases
            }
            for name, group in groups.items()
        }
        for level, groups in groups_of(traffic).items()
    }


def groups_of(traffic: TrafficPlan) -> dict[Level, dict[str, Group]]:
    """The groups of each level by name, in the order of their first members, flows first."""
    found: dict[Level, dict[str, Group]] = {level: {} for level in Level}
    for flow in traffic.flows:
        for level, name in _names(flow, flow.expect is Expect.DELIVERED and flow.is_meant_by(None)):
            found[level].setdefault(name, Group()).flows.append(flow.id)
    for exchange in traffic.exchanges:
        for level, name in _names(exchange, exchange.expect is Expect.DELIVERED):
            found[level].setdefault(name, Group()).exchanges.append(exchange.id)
    return found


def _names(spec: FlowSpec | ExchangeSpec, is_regular: bool) -> Iterator[tuple[Level, str]]:
    if not is_regular:
        yield Level.ENTRY, spec.groups[1]  # by the part of its entry that it is
        return
    yield Level.CLASS, spec.class_name
    yield Level.SERVICE, spec.service
    yield Level.ENTRY, spec.entry
    for site in dict.fromkeys((spec.client, spec.server)):
        yield Level.SITE, site
