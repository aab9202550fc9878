"""The present paths of packets between two places: the paths in use, and detours around links that are down. Pure."""

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
    """The failures that the paths in use avoid."""
    paths = state["paths"]
    return Failures(frozenset(paths["links_down"]), frozenset(paths["routers_out"]), frozenset(paths["withdrawn"]))


def demand_bps(plan: Plan, failures: Failures) -> dict[tuple[str, str], int]:
    """The load of the paths in use at the busiest hour, in bit/s by (link, router that it leaves)."""
    graph = BackboneGraph(plan.network).avoiding(failures.avoided).without(failures.links, failures.routers)
    placed: Placement = place(graph, plan.egresses, plan.traffic)
    arcs = graph.arcs
    return {
        (graph.carrier[arc], arcs.routers[start]): round(placed.load_bps[arc])
        for arc, (start, _) in enumerate(arcs.ends)
        if graph.carrier[arc]
    }


def class_paths(
    plan: Plan, paths: Paths, start: str, end: tuple[tuple[str, ...], bool], down: Collection[str]
) -> list[ClassPathOut]:
    """For every class the path from router ``start`` to the egress set ``end`` (its routers, and whether both are in
    use), while the links ``down`` are down."""
    by_egress: dict[int, ClassPathOut] = {}
    routers, both = end
    for cls in plan.classes:
        egress = plan.egress_index[routers, both, cls.path]
        if egress not in by_egress:
            by_egress[egress] = _class_path(plan.network, paths, start, egress, frozenset(down))
    return [
        by_egress[plan.egress_index[routers, both, cls.path]].model_copy(
            update={"name": cls.name, "choice": cls.path.choice.value}
        )
        for cls in plan.classes
    ]


def path_out(path: BackbonePath) -> WayOut:
    """A path as a part of a response."""
    return WayOut(routers=list(path.routers), lines=list(path.links), delay_us=path.delay_us)


def _class_path(network: Network, paths: Paths, start: str, egress: int, down: frozenset[str]) -> ClassPathOut:
    path, repaired = _trace(network, paths, start, egress, down)
    repairs = []
    for number, link in enumerate(path.links if path else ()):
        assert path is not None
        detour, _ = _trace(network, paths, start, egress, down | {link})
        shares = _shared_risks(network, path, number, detour) if detour else []
        repairs.append(RepairOut(line=link, way=path_out(detour) if detour else None, shares=shares))
    return ClassPathOut(name="", choice="", way=path_out(path) if path else None, repaired=repaired, repairs=repairs)


def _trace(
    network: Network, paths: Paths, start: str, egress: int, down: frozenset[str]
) -> tuple[BackbonePath | None, bool]:
    """The path that the switches' rules give a packet (None where it is dropped), and whether a detour is on it."""
    routers, links = [start], list[str]()

    def follow(link: str) -> bool:
        links.append(link)
        routers.append(network.link[link].other(routers[-1]))
        return link not in down

    def arrived(repaired: bool) -> tuple[BackbonePath, bool]:
        return BackbonePath(tuple(routers), tuple(links), sum(network.link[link].delay_us for link in links)), repaired

    egress = paths.entry_tree.get((start, egress), egress)
    while link := paths.primary.get((routers[-1], egress)):
        if link not in down:
            follow(link)
            continue
        repair = paths.repair.get((routers[-1], egress))
        if repair is None:
            return None, False
        if repair.detour is None:  # this router belongs to the egress set too
            return arrived(True)
        hops, end = paths.detour_hops[repair.detour], paths.detours[repair.detour].end
        while routers[-1] != end:
            if not follow(hops[routers[-1]]):
                return None, False
        return arrived(True)
    return arrived(False) if (routers[-1], egress) in paths.target else (None, False)


def _shared_risks(network: Network, path: BackbonePath, number: int, detour: BackbonePath) -> list[str]:
    """The shared-risk groups, and the PoP, that the ``detour`` still has in common with the failed link, which is that
    at position ``number`` of the ``path``."""
    failed, around = network.link[path.links[number]], detour.links[number:]
    risks = set(failed.srlg).intersection(*[{group for link in around for group in network.link[link].srlg}])
    town = network.router[path.routers[number + 1]].pop
    passes = town in {network.router[router].pop for router in detour.routers[number + 1 : -1]}
    ends_there = network.router[detour.routers[-1]].pop == town
    return sorted(risks) + ([town] if passes and not ends_there else [])
