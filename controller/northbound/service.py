"""Takes links and PoPs out of service and back: traffic is rerouted first, so that nothing is lost."""

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
from helsewan.controller.update.network_state import links_of

EFFECT_S = 10.0  # for paths to be switched, before the answer is that they will be
_LOOK_S = 0.1


class Service:
    """What is in service, on the network of ``source``."""

    def __init__(self, source: ControllerProtocol, effect_s: float) -> None:
        self._source, self._effect_s = source, effect_s
        self._turn = threading.Lock()

    def put(self, place: str, in_service: bool, who: Mapping[str, Any]) -> FaultsOut:
        """Takes a line or PoP out of service, or gives it back; what is out of service then. Raises Trouble for what is
        no place."""
        network = self._source.plan().network
        if not links_of(network, place):
            hint = nearest(place, (*network.pop, *network.link))
            raise no_such("place", place, "is no line or PoP of this network", hint)
        with self._turn:
            before = frozenset(self._source.state()["withdrawn"])
            wanted = before - {place} if in_service else before | {place}
            if wanted != before:
                self._source.withdraw(wanted, who)
        return self._when_in_effect(wanted)

    def _when_in_effect(self, wanted: frozenset[str]) -> FaultsOut:
        """What is out of service when that is in effect, or has taken too long."""
        until = time.monotonic() + self._effect_s
        while True:
            found = faults(self._source.state())
            as_wanted = {each.place for each in found.withdrawn} == wanted
            if not as_wanted or found.in_effect or time.monotonic() >= until:  # another may have come in between
                return found
            time.sleep(_LOOK_S)
