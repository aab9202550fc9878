"""What a job's checks and assertions select from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.spec.timeline.targets import Connectivity, Fate, failed_together
from helsewan.topology.model import Region


@dataclass(frozen=True)
class Scene:
    """The planned traffic; the effect of the timeline's failures on each (client, server) pair of sites that it
    connects; the regions of sites by id."""

    traffic: TrafficPlan
    fates: Mapping[tuple[str, str], Fate]
    regions: Mapping[str, Region]


def scene_of(job: Job) -> Scene:
    """The scene of a job."""
    traffic, network = job.traffic, job.plan.network
    connectivity = Connectivity(network, failed_together(job.scenario.spec, job.timeline.targets, network))
    pairs = {(flow.client, flow.server) for flow in traffic.flows}
    pairs |= {(exchange.client, exchange.server) for exchange in traffic.exchanges}
    pairs |= {(flow.client, flow.server) for replay in traffic.replays for flow in replay.flows}
    fates = {pair: connectivity.fate(*pair) for pair in pairs}
    return Scene(traffic, fates, {site.id: site.region for site in network.sites})
