"""Whether a network has reacted to all failures so far, by its controller's state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from helsewan.controller.northbound.controller_client import ControllerClient, Declined, Unreachable
from helsewan.controller.update.reconciler import Phase
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.testbed.testbed import Testbed

PERIOD_S = 0.1  # between two requests for the controller's state
_SETTLED = Phase.STEADY.name.lower()


def is_repaired(state: Mapping[str, Any], unusable: frozenset[str], unreachable: frozenset[str]) -> bool:
    """Whether a controller in ``state`` (`ControlApi.state`) has nothing left to react to: it has settled, has found
    exactly those links between routers to be down that are ``unusable``, and has programmed every router but those that
    are ``unreachable``. Links between two unreachable routers are not looked at: nobody can report them."""
    reached = {router for router, each in state["routers"].items() if each["connected"]}
    if state["phase"] != _SETTLED or reached != set(state["routers"]) - unreachable:
        return False
    return set(state["links_down"]) == unusable and all(state["routers"][router]["programmed"] for router in reached)


def expectation(testbed: Testbed, links: LinkControl, paused: Collection[str]) -> tuple[frozenset[str], frozenset[str]]:
    """The links between routers that are unusable at present, and the routers that no controller reaches, of which
    ``paused`` stand still: the arguments of `is_repaired`."""
    faults, network = testbed.faults, testbed.network
    unreachable = faults.failed_routers | faults.partitioned | frozenset(paused)
    unusable = faults.down | links.unusable
    return (
        frozenset(link.id for link in network.links if link.id in unusable and not {link.a, link.b} <= unreachable),
        unreachable,
    )


class RepairMonitor:
    """Looks at the controller's state again and again, in a thread of its own, from `start` on, until `is_repaired`
    holds of it. ``expected``: the links that are unusable and the routers that are unreachable, at present."""

    def __init__(self, client: ControllerClient, expected: Callable[[], tuple[frozenset[str], frozenset[str]]]) -> None:
        self._client, self._expected = client, expected
        self._stopping = threading.Event()
        self._repaired = threading.Event()
        self._thread = threading.Thread(target=self._run, name="repair-monitor", daemon=True)
        self._thread.start()

    @property
    def is_repaired(self) -> bool:
        """Whether the network was found to be repaired since this object was created."""
        return self._repaired.is_set()

    def close(self) -> None:
        """End the thread; returns at once."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            before = self._expected()
            try:
                state = self._client.state()
            except (Unreachable, Declined):  # it is dead, or busy with the repair
                continue
            if self._expected() == before and is_repaired(state, *before):
                self._repaired.set()
                return
