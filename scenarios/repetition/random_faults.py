"""Draws faults for a scenario's timeline from a stated distribution, by the scenario's seed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import exp, log
from random import Random
from typing import Any

from helsewan.common.units import format_duration
from helsewan.scenarios.run.kept_inputs import filled_in
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.spec import Scenario, read_scenario
from helsewan.topology.model import Network, access_link_name

STEP_US = 10_000  # times are drawn in these steps, so that a person can read them
PREFIX = "fault-"


@dataclass(frozen=True)
class FaultDistribution:
    """What faults are drawn. Their number is 1 and a Poisson number of ``more`` on average, ``most`` at most. A kind is
    drawn by its weight, its target evenly from those of the network that no other fault of the run has. A fault begins
    with the one before it with the probability ``together``, else evenly from the end of the warm-up to
    ``last_begin`` of the run; it lasts for a time between ``shortest_us`` and the rest of the run, less ``rest`` of the
    run, whose logarithm is even: short faults are as frequent as they are in networks."""

    kinds: Mapping[str, int] = field(
        default_factory=lambda: {
            "link": 8,  # a fibre, the most frequent of all (docs/scenarios/repetition.md has the sources)
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
    seed: int, spec: ScenarioSpec, network: Network, distribution: FaultDistribution = DISTRIBUTION
) -> list[DrawnFault]:
    """The faults of a seed, in order of their begin. Targets of the scenario's own timeline are left alone."""
    rng = Random(f"{seed}/faults")
    targets = {kind: sorted(set(found) - _named(spec)) for kind, found in _targets(network).items()}
    kinds = {kind: weight for kind, weight in distribution.kinds.items() if targets[kind]}
    count = min(1 + _poisson(rng, distribution.more), distribution.most)
    last_us = round(spec.duration * distribution.last_begin)
    end_us = round(spec.duration * (1 - distribution.rest))
    faults: list[DrawnFault] = []
    for _ in range(count):
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        free = [each for each in targets[kind] if all(_apart(kind, each, fault) for fault in faults)]
        begin_us = _steps(rng.uniform(min(spec.warmup, last_us), last_us))
        if faults and rng.random() < distribution.together:
            begin_us = faults[-1].begin_us
        longest_us = max(end_us - begin_us, distribution.shortest_us)
        lasts_us = _steps(exp(rng.uniform(log(distribution.shortest_us), log(longest_us))))
        if free:
            faults.append(DrawnFault(kind, rng.choice(free), begin_us, lasts_us))
    return sorted(faults, key=lambda fault: fault.begin_us)


def with_random_faults(scenario: Scenario, network: Network) -> Scenario:
    """The scenario with faults drawn by its seed in its timeline, after its own events. Raises InputError where it has
    events of their names."""
    data = filled_in(scenario)
    drawn = draw_faults(scenario.network.seed, scenario.spec, network)
    names = (f"{PREFIX}{number}" for number in range(1, len(drawn) + 1))
    entries = {name: fault.as_entry() for name, fault in zip(names, drawn, strict=True)}
    data["timeline"] = {**(data.get("timeline") or {}), **entries}
    return read_scenario(replace(scenario.document, data=data))


def _targets(network: Network) -> dict[str, list[str]]:
    """The targets of each kind."""
    links = [link.id for link in network.links]
    return {
        "link": links,
        "blackhole": links,
        "access": [access_link_name(site.id, n) for site in network.sites for n in range(len(site.accesses))],
        "srlg": [group for link in network.links for group in link.srlg],
        "router": [router.id for router in network.routers],
        "pop": [pop.id for pop in network.pops],
    }


def _named(spec: ScenarioSpec) -> set[str]:
    """Everything that the scenario's own events name, whatever it is to them."""
    return set(_texts([event.model_dump(exclude_none=True) for event in spec.timeline.values()]))


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        yield from _texts(list(data.values()))
    elif isinstance(data, list | tuple):
        for each in data:
            yield from _texts(each)
    elif isinstance(data, str):
        yield data


def _apart(kind: str, target: str, fault: DrawnFault) -> bool:
    """Whether a target is another one than that of a fault. A link that is cut and drops frames too is one target."""
    same = {kind, fault.kind} <= {"link", "blackhole"} or kind == fault.kind
    return not (same and target == fault.target)


def _poisson(rng: Random, mean: float) -> int:
    """A Poisson number (Knuth, TAOCP 2, 3.4.1, method of uniform products)."""
    bound, count, product = exp(-mean), 0, rng.random()
    while product > bound:
        count += 1
        product *= rng.random()
    return count


def _steps(time_us: float) -> int:
    return max(round(time_us / STEP_US), 1) * STEP_US
