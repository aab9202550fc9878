"""The present paths of packets between two places: the paths in use, and detours round links that are down. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from helsewan.controller.northbound.views.models import ClassPathOut, RepairOut, WayOut
from helsewan.controller.rules.paths import Failures, Paths
from helsewan.policies.paths.placed_trees import Placement
from helsewan.policies.paths.placement import place
from helsewan.policies.plan import Plan
from helsewan.topology.graph.backbone_graph import BackboneGraph
from helsewan.topology.graph.independence import BackbonePath
from helsewan.topology.model import Network


def failures_of(state: Mapping[str, Any]) -> Failures:
    """What the paths in use keep clear of."""
    paths = state["paths"]
    return Failures(frozenset(paths["links_down"]), frozenset(paths["routers_out"]), frozenset(paths["withdrawn"]))


def demand_bps(plan: Plan, failures: Failures) -> dict[tuple[str, str], int]:
    """What the paths in use carry at the busiest hour, by line and the router it leaves."""
    fibres = BackboneGraph(plan.network).avoiding(failures.avoided).without(failures.links, failures.routers)
    placed: Placement = place(fibres, plan.egresses, plan.traffic)
    arcs = fibres.arcs
    return {
        (fibres.carrier[arc], arcs.routers[start]): round(placed.load_bps[arc])
        for arc, (start, _) in enumerate(arcs.ends)
        if fibres.carrier[arc]
    }


def class_paths(
    plan: Plan, paths: Paths, start: str, end: tuple[tuple[str, ...], bool], down: Collection[str]
) -> list[ClassPathOut]:
    """For every class the way from router ``start`` to the egress set ``end`` (its routers, and whether both are in
    use), while the links ``down`` are down."""
    ways: dict[int, ClassPathOut] = {}
    routers, both = end
    for cls in plan.classes:
        egress = plan.egress_index[routers, both, cls.path]
        if egress not in ways:
            ways[egress] = _class_path(plan.network, paths, start, egress, frozenset(down))
    return [
        ways[plan.egress_index[routers, both, cls.path]].model_copy(
            update={"name": cls.name, "choice": cls.path.choice.value}
        )
        for cls in plan.classes
    ]


def way_out(way: BackbonePath) -> WayOut:
    """A way as an answer."""
    return WayOut(routers=list(way.routers), lines=list(way.links), delay_us=way.delay_us)


def _class_path(network: Network, paths: Paths, start: str, egress: int, down: frozenset[str]) -> ClassPathOut:
    way, repaired = _walk(network, paths, start, egress, down)
    repairs = []
    for number, line in enumerate(way.links if way else ()):
        assert way is not None
        then, _ = _walk(network, paths, start, egress, down | {line})
        shares = _shared(network, way, number, then) if then else []
        repairs.append(RepairOut(line=line, way=way_out(then) if then else None, shares=shares))
    return ClassPathOut(name="", choice="", way=way_out(way) if way else None, repaired=repaired, repairs=repairs)


def _walk(
    network: Network, paths: Paths, start: str, egress: int, down: frozenset[str]
) -> tuple[BackbonePath | None, bool]:
    """The way that switches lead a packet, if it arrives; and whether a repair is on it."""
    routers, links = [start], list[str]()

    def take(link: str) -> bool:
        links.append(link)
        routers.append(network.link[link].other(routers[-1]))
        return link not in down

    def arrived(repaired: bool) -> tuple[BackbonePath, bool]:
        return BackbonePath(tuple(routers), tuple(links), sum(network.link[link].delay_us for link in links)), repaired

    egress = paths.entry_tree.get((start, egress), egress)
    while link := paths.primary.get((routers[-1], egress)):
        if link not in down:
            take(link)
            continue
        repair = paths.repair.get((routers[-1], egress))
        if repair is None:
            return None, False
        if repair.detour is None:  # this router is of the set too
            return arrived(True)
        hops, end = paths.detour_hops[repair.detour], paths.detours[repair.detour].end
        while routers[-1] != end:
            if not take(hops[routers[-1]]):
                return None, False
        return arrived(True)
    return arrived(False) if (routers[-1], egress) in paths.target else (None, False)


def _shared(network: Network, way: BackbonePath, number: int, then: BackbonePath) -> list[str]:
    """What the way after a failure still has in common with the line that failed."""
    failed, around = network.link[way.links[number]], then.links[number:]
    risks = set(failed.srlg).intersection(*[{group for link in around for group in network.link[link].srlg}])
    town = network.router[way.routers[number + 1]].pop
    passes = town in {network.router[router].pop for router in then.routers[number + 1 : -1]}
    ends_there = network.router[then.routers[-1]].pop == town
    return sorted(risks) + ([town] if passes and not ends_there else [])
