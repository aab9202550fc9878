"""Which flows and exchanges of a plan a check or an assertion is about. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowSpec
from helsewan.scenarios.spec.checks.schema import FlowSelection
from helsewan.topology.model import Region


def selects(selection: FlowSelection, spec: FlowSpec | ExchangeSpec, regions: Mapping[str, Region]) -> bool:
    """Whether ``spec`` matches every key of ``selection`` but its scope, which depends on the failures. ``regions``: of
    sites, by id."""
    sites = (spec.client, spec.server)
    return (
        selection.cls in (None, spec.class_name)
        and selection.service in (None, spec.service)
        and (selection.traffic is None or selection.traffic in spec.groups)
        and (selection.region is None or selection.region in {regions.get(site) for site in sites})
        and (selection.site is None or selection.site in sites)
        and (selection.flow is None or fnmatchcase(spec.name, selection.flow))
    )


def judged(selection: FlowSelection, metric: str, flow: FlowSpec) -> bool:
    """Whether a flow is judged by ``metric``: leaks are looked for in denied flows and nothing else is."""
    expected = Expect.DENIED if metric == "leaked" else Expect.DELIVERED
    return flow.expect is expected and flow.is_meant_by(selection.traffic)
