"""Cached results computed from the policy and the network's state, in this process so that the controller is not
delayed."""

from __future__ import annotations

import threading

from helsewan.controller.northbound.controller_client import State
from helsewan.controller.northbound.views import path_view
from helsewan.controller.rules.generation import Generation, first_generation
from helsewan.controller.rules.paths import Paths, compute_paths
from helsewan.policies.plan import Plan
from helsewan.topology.graph.independence import BackbonePath, independent_paths
from helsewan.topology.model import Network


class Cache:
    """Results are kept until the policy or the failures change; one result is computed at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: tuple[object, Paths] | None = None
        self._demand: tuple[object, dict[tuple[str, str], int]] | None = None
        self._independent: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[BackbonePath, ...]] = {}
        self._generation: tuple[str, Generation] | None = None

    def paths(self, plan: Plan, state: State) -> Paths:
        """The paths in use."""
        failures = path_view.failures_of(state)
        with self._lock:
            if self._paths is None or self._paths[0] != (state["version"], failures):
                paths = compute_paths(plan.network, plan.egresses, failures, plan.traffic)
                self._paths = (state["version"], failures), paths
            return self._paths[1]

    def demand_bps(self, plan: Plan, state: State) -> dict[tuple[str, str], int]:
        """The load of the paths in use at the busiest hour, in bit/s by (link, router that it leaves)."""
        failures = path_view.failures_of(state)
        with self._lock:
            if self._demand is None or self._demand[0] != (state["version"], failures):
                self._demand = (state["version"], failures), path_view.demand_bps(plan, failures)
            return self._demand[1]

    def independent(self, network: Network, here: tuple[str, ...], there: tuple[str, ...]) -> tuple[BackbonePath, ...]:
        """Paths between two sets of routers that share no single point of failure; none where both have a router in
        the same town."""
        with self._lock:
            if (here, there) not in self._independent:
                self._independent[here, there] = independent_paths(network, here, there)
            return self._independent[here, there]

    def generation(self, plan: Plan, version: str) -> Generation:
        """The rules of the policy in force on the network without failures."""
        with self._lock:
            if self._generation is None or self._generation[0] != version:
                self._generation = version, first_generation(plan)
            return self._generation[1]
