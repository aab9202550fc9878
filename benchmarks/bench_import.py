"""Time to import a map of 200 nodes, the size of the Topology Zoo's larger ones, as a network with sites."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from benchmarks import Figure
from helsewan.topology.importers import network_from

NODES = 200
ROUNDS = 5


def run() -> list[Figure]:
    """Read the same map several times; the shortest time counts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.gml"
        path.write_text(_map(random.Random(1)), encoding="utf-8")
        best_s = min(_seconds(path) for _ in range(ROUNDS))
    return [Figure(f"a map of {NODES} nodes to a network", best_s, "s", "< 0.5")]


def _seconds(path: Path) -> float:
    begun = time.perf_counter()
    network_from(path)
    return time.perf_counter() - begun


def _map(rng: random.Random) -> str:
    """A long chain of places with a chord from every third one."""
    ends = [(node, rng.randrange(max(0, node - 5), node)) for node in range(1, NODES)]
    ends += [(node, max(0, node - rng.randrange(2, 20))) for node in range(1, NODES, 3)]
    nodes = [
        f'node [ id {node} label "Town {node}" Latitude {rng.uniform(35, 70)} Longitude {rng.uniform(-10, 30)} ]'
        for node in range(NODES)
    ]
    edges = [f'edge [ source {a} target {b} LinkLabel "10 Gbps" ]' for a, b in ends]
    return "\n".join(["graph [", *nodes, *edges, "]"])
