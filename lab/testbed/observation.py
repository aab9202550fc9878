"""Observation of a running network: names of the link engine's pipes, frames the machine dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import numpy as np

from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineLink
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.management import management_link_name
from helsewan.emulation.routers.shared_switch import SharedOpenVSwitch
from helsewan.emulation.sandbox.procfs import transmit_drops
from helsewan.topology.model import Network, access_link_name


def pipe_names(network: Network, links: Mapping[str, EngineLink]) -> dict[int, str]:
    """The names ``from > to`` of the engine's pipes, by number; ``links`` are the engine's, by name."""
    return {pipe: f"{a} > {b}" for pipe, (a, b) in pipe_ends(network, links).items()}


def pipe_ends(network: Network, links: Mapping[str, EngineLink]) -> dict[int, tuple[str, str]]:
    """Ids of the nodes (from, to) of the engine's pipes, by number; ``links`` are the engine's, by name."""
    ends = {link.id: (link.a, link.b) for link in network.links}
    for site in network.sites:
        for number, access in enumerate(site.accesses):
            ends[access_link_name(site.id, number)] = (site.id, access.router)
    ends |= {management_link_name(router.id): (router.id, "operations") for router in network.routers}
    pipes: dict[int, tuple[str, str]] = {}
    for name, (a, b) in ends.items():
        pipes |= {links[name].forward: (a, b), links[name].back: (b, a)}
    return pipes


def engine_drops(engine: EngineProcess, names: Mapping[int, str]) -> dict[str, int]:
    """Frames that the engine could not write, or had no memory for, by pipe name."""
    pipes = engine.counters()
    lost = pipes["drop_machine"] + pipes["drop_memory"]
    return {names[int(pipe)]: int(lost[pipe]) for pipe in np.flatnonzero(lost)}


def shared_drops(open_vswitch: SharedOpenVSwitch, excluded: Collection[tuple[str, str]]) -> dict[str, int]:
    """Frames that ports of shared routers dropped, mostly for a full ring, by ``ROUTER's INTERFACE``, without those of
    ``excluded`` interfaces (router, name)."""
    counted = open_vswitch.counted()
    drops = {}
    for router in open_vswitch.routers:
        for name in router.rings:
            count = counted.drops.get(router.interface_name(name))
            if count and (router.name, name) not in excluded:
                drops[f"{router.name}'s {name}"] = count
    return drops | ({"routers' flow misses": counted.missed} if counted.missed else {})


def interface_drops(nodes: Iterable[NamespaceNode], excluded: Collection[tuple[str, str]]) -> dict[str, int]:
    """Frames that the nodes' interfaces dropped on transmission, by ``NODE's INTERFACE``, without those of ``excluded``
    interfaces (node, name)."""
    drops = {}
    for node in nodes:
        sent = transmit_drops(node.namespace)
        for name in {intf.name.partition(".")[0] for intf in node.intfList()}:
            if sent.get(name) and (node.name, name) not in excluded:  # a shared router has no such interfaces
                drops[f"{node.name}'s {name}"] = sent[name]
    return drops
