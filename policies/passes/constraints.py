"""Passes over the path constraints of classes: resolve names in the network, and check the placed trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from helsewan.common.schema_errors import nearest
from helsewan.common.suggestions import closest
from helsewan.policies.language.policy_report import Path, PolicyReport
from helsewan.policies.language.schema import PartsSpec, PolicySpec
from helsewan.policies.passes.membership import some
from helsewan.policies.paths.placed_trees import Placement
from helsewan.policies.plan import Egress, Parts, PathAlgorithm, PathChoice, Plan, Risk, TrafficClass
from helsewan.topology.model import Network

_SHOWN = 3  # routers named in one message
_HINTS = {
    "avoid": "avoid less, or use prefer instead",
    "disjoint": "let the other class avoid something, or share more",
}


def compile_constraints(
    spec: PolicySpec, classes: Sequence[TrafficClass], network: Network, report: PolicyReport
) -> tuple[TrafficClass, ...]:
    """The classes with their path constraints. Names that are not in the network are reported."""
    parts, order = _NetworkParts(network, report), _Order(spec, report)
    found: dict[str, PathAlgorithm] = {}
    for name in order.names():
        cls = spec.classes[name]
        found[name] = PathAlgorithm(
            cls.path,
            parts.of(("classes", name, "avoid"), cls.avoid),
            parts.of(("classes", name, "prefer"), cls.prefer),
            tuple(dict.fromkeys(found[other] for other in order.before[name])),
            frozenset((Risk.LINKS, *cls.disjoint.share_no)) if cls.disjoint else frozenset(),
        )
    return tuple(replace(cls, path=found.get(cls.name, cls.path)) for cls in classes)


class _Order:
    """The order in which classes choose their paths, from their ``disjoint`` keys."""

    def __init__(self, spec: PolicySpec, report: PolicyReport) -> None:
        self.before: dict[str, list[str]] = {name: [] for name in spec.classes}
        for name, cls in spec.classes.items():
            at, disjoint = ("classes", name, "disjoint"), cls.disjoint
            if disjoint is None:
                continue
            if cls.path is not PathChoice.LEAST_DELAY:
                reason = "does not go with disjoint, which takes the shortest disjoint paths whatever the load"
                report.add((*at[:2], "path"), cls.path.value, reason, "remove path: or disjoint:")
            for i, other in enumerate(disjoint.from_):
                if other not in spec.classes:
                    hint = nearest(other, spec.classes)
                    report.add((*at, "from", i), other, "is no class of this policy", hint, [("classes", other)])
                elif name == other:
                    report.add((*at, "from", i), other, "is this class itself", "name other classes")
                elif self.comes_after(other, name):
                    reason = "would choose its paths both before this class and after it"
                    report.add((*at, "from", i), other, reason, "give disjoint for one of the two only")
                else:
                    self.before[name].append(other)

    def comes_after(self, name: str, other: str) -> bool:
        """Whether ``name`` chooses after ``other``, directly or transitively."""
        return any(each == other or self.comes_after(each, other) for each in self.before[name])

    def names(self) -> list[str]:
        """All classes in topological order."""
        return sorted(self.before, key=self.depth)

    def depth(self, name: str) -> int:
        """Length of the longest chain of classes that choose before ``name``."""
        return max((1 + self.depth(other) for other in self.before[name]), default=0)


class _NetworkParts:
    """The network's links, shared-risk groups and PoPs by name."""

    def __init__(self, network: Network, report: PolicyReport) -> None:
        self.network, self.report = network, report
        self.at_risk: defaultdict[str, set[str]] = defaultdict(set)
        for link in network.links:
            for group in link.srlg:
                self.at_risk[group].add(link.id)

    def of(self, at: Path, spec: PartsSpec | None) -> Parts:
        """The links and routers that ``spec`` names; ``at`` is the path of ``spec`` in the policy."""
        if spec is None:
            return Parts()
        links = set(self.known((*at, "links"), spec.links, self.network.link, "link"))
        for group in self.known((*at, "srlg"), spec.srlg, self.at_risk, "shared-risk group"):
            links |= self.at_risk[group]
        pops = self.known((*at, "pops"), spec.pops, self.network.pop, "PoP")
        return Parts(frozenset(links), frozenset(router for pop in pops for router in self.network.pop[pop].routers))

    def known(self, at: Path, names: Sequence[str], known: Collection[str], what: str) -> list[str]:
        """The ``names`` that are in ``known``; the others are reported."""
        for i, name in enumerate(names):
            if name not in known:
                close = closest(name, known)
                hint = f"did you mean {close!r}?" if close else "helsewan topology export --format yaml lists them"
                self.report.add((*at, i), name, f"is no {what} of this network", hint)
        return [name for name in names if name in known]


@dataclass(frozen=True, slots=True)
class Breach:
    """A path from a router to an egress set that violates its class's constraint ``key``."""

    class_name: str
    key: str
    router: str
    egress: Egress


def breaches(plan: Plan, placement: Placement) -> Iterator[Breach]:
    """All paths in ``placement`` from routers with access links that use what their class avoids, or share what must be
    disjoint. A policy that has any on the network without failures is rejected."""
    starts, routers = {line.router for line in plan.attachments}, placement.graph.arcs.routers
    for cls in (cls for cls in plan.classes if cls.path.is_constrained):
        for egress in (egress for egress in plan.egresses if egress.path == cls.path):
            key, found = "disjoint", placement.disjoint[egress.index].sharing if cls.path.disjoint_from else frozenset()
            if not cls.path.disjoint_from:
                key, trees = "avoid", placement.trees[egress.index][:1]
                found = frozenset(routers[node] for ways in trees for node in ways.last_resort)
            yield from (Breach(cls.name, key, router, egress) for router in sorted(found & starts))


def check_constraints(plan: Plan, placement: Placement, report: PolicyReport) -> None:
    """Report violations of path constraints by trees placed on the network without failures."""
    found: defaultdict[tuple[str, str], list[Breach]] = defaultdict(list)
    for breach in breaches(plan, placement):
        found[breach.class_name, breach.key].append(breach)
    for (name, key), each in found.items():
        ends: defaultdict[str, set[str]] = defaultdict(set)
        for breach in each:
            ends[breach.router].add(breach.egress.routers[0])
        shown = "; ".join(f"from {start} to {some(there)}" for start, there in list(ends.items())[:_SHOWN])
        more = f"; and from {len(ends) - _SHOWN} routers more" if len(ends) > _SHOWN else ""
        report.add(("classes", name, key), None, f"leaves no path {shown}{more}", _HINTS[key])
