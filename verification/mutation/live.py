"""Which faults the live verifier can detect: its probe packets, traced through switches with faulty rules. One state of
the network, one packet for each probe."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.lookup import ChanceError
from helsewan.verification.concrete.switch import NotModelledError
from helsewan.verification.live.outcome import Predicted
from helsewan.verification.live.test_packets import ProbePacket, probe_packets


@dataclass(frozen=True)
class Live:
    """The probe packets of a plan whose correct rules ``fabric`` has; ``most`` limits their number."""

    plan: Plan
    fabric: Fabric
    seed: int
    most: int | None = None

    def sees(self, faulty: Fabric, router: str) -> bool:
        """Whether an answer breaks the policy where one router's rules are faulty; a switch that may take either of two
        entries may well answer right. Only packets that come to the router by the right rules can fare otherwise."""
        foretold = Predicted(self.plan, faulty)
        return any(not self._keeps(foretold, question) for question in self._by_router[router])

    @cached_property
    def _by_router(self) -> dict[str, tuple[ProbePacket, ...]]:
        """The questions that are answered right, by the routers that see them."""
        right, found = Predicted(self.plan, self.fabric), defaultdict(list)
        for question in dict.fromkeys(probe_packets(self.plan, self.fabric, self.seed, self.most)):
            walk = right.walk(question)
            if right.outcome(question, walk).keeps(question.says):
                for router in set(walk.routers):
                    found[router].append(question)
        return defaultdict(tuple, {router: tuple(each) for router, each in found.items()})

    def _keeps(self, foretold: Predicted, question: ProbePacket) -> bool:
        try:
            walk = foretold.walk(question)
            return foretold.outcome(question, walk).keeps(question.says)
        except (ChanceError, NotModelledError):
            return True
