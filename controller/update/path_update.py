"""When paths are computed anew: the network's state against the failures that the paths in use were made for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.commands import Event, Output, Withdraw
from helsewan.controller.update.network_state import LiveNetwork
from helsewan.controller.update.policy_change import OURSELVES, Origin, told_of
from helsewan.topology.model import AccessLinkId


@dataclass
class PathUpdate:
    """The reasons for and against new paths. ``current`` in its methods: the failures of the paths in use."""

    live: LiveNetwork
    withdrawn_by: Origin = OURSELVES  # who last took places out of service, or put them back
    impossible: Failures | None = None  # failures whose paths were refused: not tried again

    def withdraw(self, places: frozenset[str], origin: Origin) -> list[Output]:
        """Makes these links and PoPs, and no others, out of service; nothing where they are already."""
        if places == self.live.withdrawn:
            return []
        turn = {"before": sorted(self.live.withdrawn), "after": sorted(places)}
        self.live.withdrawn, self.withdrawn_by, self.impossible = places, origin, None
        return [Withdraw(places), Event("withdrawn", {**turn, **origin.told})]

    def outdated(self, current: Failures) -> bool:
        """Whether the network is no longer what the paths were made for. A switch that only lost its controller is
        no reason: it keeps its rules and forwards on."""
        headless, now = self.live.headless(), self.live.failures()
        different = replace(now, routers=now.routers - headless) != replace(current, routers=current.routers - headless)
        return different and now != self.impossible

    def more_expected(self, current: Failures) -> bool:
        """Whether a router that is back has not heard its neighbours yet, or a link that is back was heard at one of
        its ends only: the rest follows at once, and one change does for all."""
        failures = self.live.failures()
        if failures.avoided != current.avoided:  # a decision, which no further report completes
            return False
        before, now = self._unusable(current), self._unusable(failures)
        network, back = self.live.network, current.routers - failures.routers
        awaited = {line for router in back for line in network.access_link_ports[router]}
        no_neighbour = bool(back) and all(isinstance(each, tuple) for each in before ^ now)  # access links only
        half_up = any(self.live.half_up(link) for link in before & now if isinstance(link, str))
        return now == before or no_neighbour or half_up or bool(awaited & now)

    def refused(self, policy: str, reason: str, failures: Failures, **details: str) -> Event:
        """The event that paths for these failures are refused."""
        return Event("paths-refused", {**details, "policy": policy, "reason": reason, **told_of(failures)})

    def took_effect(self, before: Failures, after: Failures) -> dict[str, Any]:
        """The part of the report on new paths that says who caused them and what they avoid."""
        by = self.withdrawn_by if after.avoided != before.avoided else OURSELVES
        return {**by.told, "before": told_of(before), "after": told_of(after)}

    def _unusable(self, failures: Failures) -> set[str | AccessLinkId]:
        """The links and access links that cannot be used."""
        network = self.live.network
        links = {link for router in failures.routers for link in network.ports[router]}
        lines = {line for router in failures.routers for line in network.access_link_ports[router]}
        return links | lines | failures.links | failures.access_links
