"""When paths are recomputed: compares the network's state with the failures that the paths in use avoid. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.commands import Event, Output, Withdraw
from helsewan.controller.update.network_state import LiveNetwork
from helsewan.controller.update.policy_change import OURSELVES, Origin, describe_failures
from helsewan.topology.model import AccessLinkId


@dataclass
class PathUpdate:
    """Decides whether new paths are needed. ``current`` in its methods: the failures that the paths in use avoid."""

    live: LiveNetwork
    withdrawn_by: Origin = OURSELVES  # of the latest change of what is out of service
    impossible: Failures | None = None  # failures whose paths were refused: not tried again

    def withdraw(self, places: frozenset[str], origin: Origin) -> list[Output]:
        """Takes these links and PoPs out of service and puts all others back; no outputs where nothing changes."""
        if places == self.live.withdrawn:
            return []
        change = {"before": sorted(self.live.withdrawn), "after": sorted(places)}
        self.live.withdrawn, self.withdrawn_by, self.impossible = places, origin, None
        return [Withdraw(places), Event("withdrawn", {**change, **origin.details})]

    def outdated(self, current: Failures) -> bool:
        """Whether the network's state differs from ``current``. A switch that only lost its controller is no
        difference: it keeps its rules and goes on forwarding."""
        headless, now = self.live.headless(), self.live.failures()
        different = replace(now, routers=now.routers - headless) != replace(current, routers=current.routers - headless)
        return different and now != self.impossible

    def more_expected(self, current: Failures) -> bool:
        """Whether further reports are due soon: a router is back whose links are not up yet, or a link is up at only
        one of its ends. Waiting for them saves a second change of paths."""
        failures = self.live.failures()
        if failures.avoided != current.avoided:  # a user's decision: no port report completes it
            return False
        before, now = self._unusable(current), self._unusable(failures)
        network, back = self.live.network, current.routers - failures.routers
        awaited = {access_link for router in back for access_link in network.access_link_ports[router]}
        no_neighbour = bool(back) and all(isinstance(each, tuple) for each in before ^ now)  # access links only
        half_up = any(self.live.half_up(link) for link in before & now if isinstance(link, str))
        return now == before or no_neighbour or half_up or bool(awaited & now)

    def refused(self, policy: str, reason: str, failures: Failures, **details: str) -> Event:
        """The event that paths for these failures are refused."""
        return Event("paths-refused", {**details, "policy": policy, "reason": reason, **describe_failures(failures)})

    def took_effect(self, before: Failures, after: Failures) -> dict[str, Any]:
        """Details of the event that new paths are in use: who caused them, and what they avoid."""
        by = self.withdrawn_by if after.avoided != before.avoided else OURSELVES
        return {**by.details, "before": describe_failures(before), "after": describe_failures(after)}

    def _unusable(self, failures: Failures) -> set[str | AccessLinkId]:
        """The links and access links that cannot be used."""
        network = self.live.network
        links = {link for router in failures.routers for link in network.ports[router]}
        access_links = {each for router in failures.routers for each in network.access_link_ports[router]}
        return links | access_links | failures.links | failures.access_links
