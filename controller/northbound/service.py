"""Takes links and PoPs out of service and puts them back: traffic is rerouted first, so that no packet is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from helsewan.common.schema_errors import nearest
from helsewan.controller.northbound.controller_client import ControllerProtocol
from helsewan.controller.northbound.problems import no_such
from helsewan.controller.northbound.views.models import FaultsOut
from helsewan.controller.northbound.views.views import faults
from helsewan.controller.update.network_state import place_of

EFFECT_S = 10.0  # how long a request waits for new paths before it is answered with 202
_POLL_S = 0.1


class Service:
    """Which links and PoPs of the network of ``controller`` are in service."""

    def __init__(self, controller: ControllerProtocol, effect_s: float) -> None:
        self._controller, self._effect_s = controller, effect_s
        self._lock = threading.Lock()

    def set_in_service(self, place: str, in_service: bool, who: Mapping[str, Any]) -> FaultsOut:
        """Takes a link or PoP out of service, or puts it back; returns the faults then. Raises ProblemDetails where it
        does not exist, AmbiguousName where it is a link and a PoP."""
        network = self._controller.plan().network
        name = place_of(network, place)
        if name is None:
            hint = nearest(place, (*network.pop, *network.link))
            raise no_such("place", place, "is no link or PoP of this network", hint)
        with self._lock:
            before = frozenset(self._controller.state()["withdrawn"])
            wanted = before - {name} if in_service else before | {name}
            if wanted != before:
                self._controller.withdraw(wanted, who)
        return self._await_effect(wanted)

    def _await_effect(self, wanted: frozenset[str]) -> FaultsOut:
        """The faults once paths avoid the ``wanted`` places, or after ``effect_s`` seconds."""
        until = time.monotonic() + self._effect_s
        while True:
            found = faults(self._controller.state())
            as_wanted = {each.place for each in found.withdrawn} == wanted
            if not as_wanted or found.in_effect or time.monotonic() >= until:  # another request may have changed it
                return found
            time.sleep(_POLL_S)
