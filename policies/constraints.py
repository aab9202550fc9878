"""Passes over what classes say of their paths: names to parts of the network, and whether the trees keep to it all."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from policies.membership import some
from policies.placement import Placement
from policies.plan import Egress, Parts, Plan, TrafficClass
from policies.report import Path, Report
from policies.schema import PartsSpec, PolicySpec
from topology.model import Network

_SHOWN = 3  # routers named in one message


def compile_constraints(
    spec: PolicySpec, classes: Sequence[TrafficClass], network: Network, report: Report
) -> tuple[TrafficClass, ...]:
    """The classes with what their paths keep to. Every name must be one of the network's."""
    parts = _Parts(network, report)
    return tuple(
        replace(
            cls,
            path=replace(
                cls.path,
                avoid=parts.of(("classes", cls.name, "avoid"), spec.classes[cls.name].avoid),
                prefer=parts.of(("classes", cls.name, "prefer"), spec.classes[cls.name].prefer),
            ),
        )
        for cls in classes
    )


class _Parts:
    """The network's links, shared-risk groups and PoPs by name."""

    def __init__(self, network: Network, report: Report) -> None:
        self.network, self.report = network, report
        self.at_risk: defaultdict[str, set[str]] = defaultdict(set)
        for link in network.links:
            for group in link.srlg:
                self.at_risk[group].add(link.id)

    def of(self, at: Path, spec: PartsSpec | None) -> Parts:
        """What ``spec`` names."""
        if spec is None:
            return Parts()
        links = set(self.known((*at, "links"), spec.links, self.network.link, "link"))
        for group in self.known((*at, "srlg"), spec.srlg, self.at_risk, "shared-risk group"):
            links |= self.at_risk[group]
        pops = self.known((*at, "pops"), spec.pops, self.network.pop, "PoP")
        return Parts(frozenset(links), frozenset(router for pop in pops for router in self.network.pop[pop].routers))

    def known(self, at: Path, names: Sequence[str], known: Collection[str], what: str) -> list[str]:
        """Those of ``names`` that there are."""
        for i, name in enumerate(names):
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]!r}?" if close else "helsewan topology export --format yaml lists them"
                self.report.add((*at, i), name, f"is no {what} of this network", hint)
        return [name for name in names if name in known]


@dataclass(frozen=True, slots=True)
class Breach:
    """A way that takes what its class avoids, from a router to an egress set."""

    class_name: str
    router: str
    egress: Egress


def breaches(plan: Plan, placement: Placement) -> Iterator[Breach]:
    """All ways from routers that have access lines, as ``placement`` leads them, that do not keep to what their class
    avoids. On the whole network there are none, or the policy is refused."""
    starts = {line.router for line in plan.attachments}
    routers = placement.fibres.arcs.routers
    for cls in plan.classes:
        for egress in plan.egresses if cls.path.avoid else ():
            for ways in placement.trees[egress.index][:1] if egress.path == cls.path else ():
                strays = (routers[place] for place in sorted(ways.strays))
                yield from (Breach(cls.name, router, egress) for router in strays if router in starts)


def check_constraints(plan: Plan, placement: Placement, report: Report) -> None:
    """The trees of paths, placed on the whole network, must keep to what every class avoids."""
    found: defaultdict[str, list[Breach]] = defaultdict(list)
    for breach in breaches(plan, placement):
        found[breach.class_name].append(breach)
    for name, each in found.items():
        ends: defaultdict[str, set[str]] = defaultdict(set)
        for breach in each:
            ends[breach.router].add(breach.egress.routers[0])
        shown = "; ".join(f"from {start} to {some(there)}" for start, there in list(ends.items())[:_SHOWN])
        more = f"; and from {len(ends) - _SHOWN} routers more" if len(ends) > _SHOWN else ""
        report.add(("classes", name, "avoid"), None, f"leaves no way {shown}{more}", "avoid less, or prefer other ways")
