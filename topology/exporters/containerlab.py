"""A network as a containerlab topology (containerlab.dev/manual/topo-def-file): Linux nodes with the same links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from helsewan.common.yaml_writer import to_yaml
from helsewan.topology.construction.naming import slug
from helsewan.topology.model import Network

IMAGE = "alpine:3"

_HEAD = """\
# {name}: a containerlab topology (containerlab deploy --topo FILE). Routers and sites are plain
# Linux containers without a routing daemon. A topology file has no rates and delays; containerlab
# sets them on a running lab (containerlab.dev/cmd/tools/netem/set). The commands for that are at
# the end of this file:   sed -n 's/^#! //p' FILE | sudo sh
"""


@dataclass(frozen=True, slots=True)
class _Edge:
    """A link or access link: its ends as (node, interface number), rate and one-way delay."""

    ends: tuple[tuple[str, int], tuple[str, int]]
    rate_bps: int
    delay_us: int


def to_containerlab(network: Network) -> str:
    """The topology file. Interfaces are eth1, eth2 ... in order of use; a link's ``vars`` have its rate and delay."""
    lab = slug(network.name).replace("-", "_") or "lab"  # dashes are discouraged in a lab's name
    edges = list(_edges(network))
    nodes: dict[str, Any] = {
        router.id: {"labels": {"role": "router", "pop": router.pop}, "group": network.pop_of(router.id).region.value}
        for router in network.routers
    }
    nodes |= {
        site.id: {
            "labels": {"role": site.kind.value, "address": f"{site.address4}/{site.prefix4.prefixlen}"},
            "group": site.region.value,
        }
        for site in network.sites
    }
    links = [
        {
            "endpoints": [f"{node}:eth{number}" for node, number in edge.ends],
            "vars": {"rate_bps": edge.rate_bps, "delay_us": edge.delay_us},
        }
        for edge in edges
    ]
    topology: dict[str, Any] = {"defaults": {"kind": "linux"}, "kinds": {"linux": {"image": IMAGE}}, "nodes": nodes}
    whole = {"name": lab, "topology": topology | ({"links": links} if links else {})}
    text = to_yaml(whole)
    commands = (f"#! {command}\n" for edge in edges for command in _impairments(lab, edge))
    return _HEAD.format(name=lab) + text + "".join(commands)


def _edges(network: Network) -> Iterator[_Edge]:
    """Every link, then every access link, with interfaces numbered in order of use."""
    used: Counter[str] = Counter()
    links_between = [(link.a, link.b, link.rate_bps, link.delay_us) for link in network.links]
    accesses = [
        (site.id, each.router, each.rate_bps, each.delay_us) for site in network.sites for each in site.accesses
    ]
    for a, b, rate_bps, delay_us in links_between + accesses:
        used[a] += 1
        used[b] += 1
        yield _Edge(((a, used[a]), (b, used[b])), rate_bps, delay_us)


def _impairments(lab: str, edge: _Edge) -> Iterator[str]:
    """The commands that set rate (in kbit/s, rounded up) and delay at both ends: each end shapes one direction."""
    for node, number in edge.ends:
        rate_kbps = -(-edge.rate_bps // 1000)
        where = f"--node clab-{lab}-{node} --interface eth{number}"
        yield f"containerlab tools netem set {where} --delay {edge.delay_us}us --rate {rate_kbps}"
