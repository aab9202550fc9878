"""Draws faults for a scenario's timeline from a stated distribution, by the scenario's seed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import exp, log
from random import Random
from typing import Any

from helsewan.common.units import format_duration
from helsewan.lab.testbed.failure_state import Target
from helsewan.scenarios.run.kept_inputs import filled_in
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import Scenario, read_scenario
from helsewan.scenarios.spec.timeline.targets import link_names, resolve_timeline
from helsewan.topology.model import Network, access_link_name

STEP_US = 10_000  # times are drawn in these steps, so that a person can read them
PREFIX = "fault-"


@dataclass(frozen=True)
class FaultDistribution:
    """What faults are drawn. Their number is 1 and a Poisson number of ``more`` on average, ``most`` at most. A kind is
    drawn by its weight, its target evenly from those of the network that have no part in another fault of the run, or
    in the scenario's own events. A fault begins with the one before it with the probability ``together``, else evenly
    from the end of the warm-up to ``last_begin`` of the run. The logarithm of the time that it lasts is even between
    ``shortest_us`` and the rest of the run, less ``rest`` of the run: short faults are more frequent than long ones."""

    kinds: Mapping[str, int] = field(
        default_factory=lambda: {
            "link": 8,  # docs/scenarios/repetition.md says why these
            "access": 4,
            "srlg": 2,
            "router": 2,
            "blackhole": 2,
            "pop": 1,
        }
    )
    more: float = 1.0
    most: int = 6
    together: float = 0.25
    last_begin: float = 0.7
    shortest_us: int = 200_000
    rest: float = 0.1


DISTRIBUTION = FaultDistribution()


@dataclass(frozen=True, slots=True)
class DrawnFault:
    """A fault of ``kind`` at ``target`` from ``begin_us``, for ``lasts_us``."""

    kind: str
    target: str
    begin_us: int
    lasts_us: int

    def as_entry(self) -> dict[str, Any]:
        """The entry of a timeline that says the same."""
        action, key = ("blackhole", "link") if self.kind == "blackhole" else ("fail", self.kind)
        times = {"at": format_duration(self.begin_us), "for": format_duration(self.lasts_us)}
        return {**times, action: {key: self.target}}


def draw_faults(
    spec: ScenarioSpec,
    network: Network,
    taken: Iterable[Target] = (),
    distribution: FaultDistribution = DISTRIBUTION,
) -> list[DrawnFault]:
    """The faults that the scenario's seed draws, in order of their begin. What ``taken`` has is left alone."""
    rng = Random(f"{spec.network.seed}/faults")
    targets = _targets(network)
    kinds = {kind: weight for kind, weight in distribution.kinds.items() if targets[kind]}
    count = min(1 + _poisson(rng, distribution.more), distribution.most)
    last_us = round(spec.duration * distribution.last_begin)
    end_us = round(spec.duration * (1 - distribution.rest))
    used = frozenset(part for target in taken for part in _parts(target, network))
    faults: list[DrawnFault] = []
    for _ in range(count):
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        begin_us = _steps(rng.uniform(min(spec.warmup, last_us), last_us))
        if faults and rng.random() < distribution.together:
            begin_us = faults[-1].begin_us
        longest_us = max(end_us - begin_us, distribution.shortest_us)
        lasts_us = _steps(exp(rng.uniform(log(distribution.shortest_us), log(longest_us))))
        free = [name for name, parts in targets[kind].items() if not parts & used]
        if free:
            faults.append(DrawnFault(kind, rng.choice(free), begin_us, lasts_us))
            used |= targets[kind][faults[-1].target]
    return sorted(faults, key=lambda fault: fault.begin_us)


def with_random_faults(scenario: Scenario, network: Network) -> Scenario:
    """The scenario with faults drawn by its seed in its timeline, after its own events. Raises InputError where it has
    events of their names."""
    data = filled_in(scenario)
    taken = resolve_timeline(scenario.spec, network, scenario.document).values()
    drawn = draw_faults(scenario.spec, network, taken)
    names = (f"{PREFIX}{number}" for number in range(1, len(drawn) + 1))
    entries = {name: fault.as_entry() for name, fault in zip(names, drawn, strict=True)}
    data["timeline"] = {**(data.get("timeline") or {}), **entries}
    return read_scenario(replace(scenario.document, data=data))


def _targets(network: Network) -> dict[str, dict[str, frozenset[str]]]:
    """The targets of each kind, and the parts of the network that each takes out of use."""
    links = {link.id: frozenset({link.id}) for link in network.links}
    accesses = (access_link_name(site.id, n) for site in network.sites for n in range(len(site.accesses)))
    groups = sorted({group for link in network.links for group in link.srlg})
    return {
        "link": links,
        "blackhole": links,
        "access": {name: frozenset({name}) for name in accesses},
        "srlg": {name: frozenset(link.id for link in network.links if name in link.srlg) for name in groups},
        "router": {router.id: _parts(Target("", routers=(router.id,)), network) for router in network.routers},
        "pop": {pop.id: _parts(Target("", routers=pop.routers), network) for pop in network.pops},
    }


def _parts(target: Target, network: Network) -> frozenset[str]:
    """Routers and links of a target, by name; a router takes its links and its sites' access links with it."""
    routers = set(target.routers)
    accesses = (
        access_link_name(site.id, n)
        for site in network.sites
        for n, access in enumerate(site.accesses)
        if access.router in routers
    )
    return frozenset((*routers, *link_names(target, network), *accesses))


def _poisson(rng: Random, mean: float) -> int:
    """A Poisson number (Knuth, TAOCP 2, 3.4.1, method of uniform products)."""
    bound, count, product = exp(-mean), 0, rng.random()
    while product > bound:
        count += 1
        product *= rng.random()
    return count


def _steps(time_us: float) -> int:
    return max(round(time_us / STEP_US), 1) * STEP_US
