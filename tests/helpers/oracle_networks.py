"""Small random networks and policies: a few routers and sites, some of them dual-homed, random VPNs, imports, contracts
and services."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from random import Random

import yaml
from policy_golden import policy
from policy_network import Row, small_network

from helsewan.common.errors import InputError
from helsewan.policies.compile import compile_policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import Kind, Link, Network, Pop, Region, Router

_KINDS = (Kind.HOSPITAL, Kind.GP, Kind.PHARMACY, Kind.MUNICIPALITY, Kind.SERVICE)
_TARGETS = {"delay": "100 ms", "jitter": "50 ms", "loss": "1 %"}
_CLASSES = {
    "voice": {"queue": 0, "dscps": ["EF"], "scheduling": "strict", "police": [{"share": "25 %"}]},
    "data": {"queue": 1, "dscps": ["AF21", "AF31"], "scheduling": "weighted", "weight": 40},
    "rest": {"queue": 2, "dscps": ["BE"], "scheduling": "weighted", "weight": 10},
}


def random_network(rng: Random) -> Network:
    """Three to five routers, connected, and four to eight sites."""
    names = [f"r{i}" for i in range(1, rng.randint(3, 5) + 1)]
    pairs = [(name, rng.choice(names[:i])) for i, name in enumerate(names) if i]
    pairs += [pair for pair in combinations(names, 2) if not {pair, pair[::-1]} & set(pairs) and rng.random() < 0.5]
    rows: list[Row] = []
    for i in range(rng.randint(4, 8)):
        homing = rng.sample(names, 2) if rng.random() < 0.3 else [rng.choice(names)]
        row = f"s{i}", rng.choice(_KINDS), rng.choice((Region.MIDT, Region.NORD)), " ".join(homing), 10, "", ""
        rows.append(row)
    links = [Link(f"{a}-{b}", a, b, 10**9, rng.randint(1, 30) * 100, 200.0) for a, b in pairs]
    return replace(
        small_network(rows),
        routers=tuple(Router(name, f"pop-{i}", i) for i, name in enumerate(names, start=1)),
        pops=tuple(
            Pop(f"pop-{i}", f"Town {i}", Region.MIDT, 63.0, 10.0, (name,)) for i, name in enumerate(names, start=1)
        ),
        links=tuple(links),
    )


def random_plan(rng: Random, network: Network) -> Plan:
    """A random policy that compiles; one whose contracts lack an import is discarded."""
    while True:
        try:
            return compile_policy(policy(yaml.safe_dump(_policy(rng, network)), "random.yaml"), network)
        except InputError:
            continue


def _policy(rng: Random, network: Network) -> dict[str, object]:
    sites = [site.id for site in network.sites]
    rng.shuffle(sites)
    cuts = sorted(rng.sample(range(1, len(sites)), rng.randint(1, 2)))
    members = [sites[a:b] for a, b in zip([0, *cuts], [*cuts, len(sites)], strict=True)]
    names = [f"v{i}" for i in range(len(members))]
    vpns = {
        name: {
            "members": {"site": part},
            "import": sorted({name, *(each for each in names if rng.random() < 0.7)}),
            "export": [name],
            "lines": rng.choice(("primary", "both")),
        }
        for name, part in zip(names, members, strict=True)
    }
    services = _services(rng)
    contracts = {
        f"c{i}": {
            "from": {"site": rng.sample(sites, rng.randint(1, 3))},
            "to": {"site": rng.sample(sites, rng.randint(1, 3))},
            "services": rng.sample(sorted(services), rng.randint(1, len(services))),
            "both_ways": rng.random() < 0.3,
        }
        for i in range(rng.randint(1, 3))
    }
    classes = {name: {**each, "buffer": "50 ms", "targets": _TARGETS} for name, each in _CLASSES.items()}
    return {"name": "random", "classes": classes, "services": services, "vpns": vpns, "contracts": contracts}


def _services(rng: Random) -> dict[str, object]:
    first = rng.randint(1, 60_000)
    return {
        "calls": {"protocol": "udp", "ports": [f"{first}-{first + rng.randint(0, 300)}"], "class": "voice"},
        "web": {
            "protocol": "tcp",
            "ports": rng.choice(([rng.randint(1, 65_535)], ["any"], [80, "8000-8100"])),
            "class": "data",
            "keep": rng.choice(([], ["voice"])),
        },
        "ping": {"protocol": "icmp", "class": "rest"},
        "signalling": {"protocol": "sctp", "ports": [rng.randint(1, 65_535)], "class": "rest"},
    }
