"""Whether the live verifier would detect a fault: its probe packets, each traced once through switches with faulty
rules, with nothing failed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

from helsewan.policies.plan import Plan
from helsewan.verification.concrete.fabric import Fabric
from helsewan.verification.concrete.lookup import AmbiguousMatchError
from helsewan.verification.concrete.switch import NotModelledError
from helsewan.verification.live.outcome import Predicted
from helsewan.verification.live.test_packets import ProbePacket, probe_packets


@dataclass(frozen=True)
class LiveDetection:
    """Traces the probe packets of a plan, at most ``most`` besides the controls; ``fabric`` has the correct rules."""

    plan: Plan
    fabric: Fabric
    seed: int
    most: int | None = None

    def detects(self, faulty: Fabric, router: str) -> bool:
        """Whether the outcome of a probe violates the policy when the rules of ``router`` are faulty. An undefined
        outcome counts as correct: a switch may choose either entry. Only probes that visit the router under the correct
        rules are traced: a fault there cannot affect the others."""
        predicted = Predicted(self.plan, faulty)
        return any(not self._conforms(predicted, probe) for probe in self._by_router[router])

    @cached_property
    def _by_router(self) -> dict[str, tuple[ProbePacket, ...]]:
        """The probes whose outcome under the correct rules conforms to the policy, by the routers they visit."""
        correct, found = Predicted(self.plan, self.fabric), defaultdict(list)
        for probe in dict.fromkeys(probe_packets(self.plan, self.fabric, self.seed, self.most)):
            trace = correct.trace(probe)
            if correct.outcome(probe, trace).conforms_to(probe.expected):
                for router in set(trace.routers):
                    found[router].append(probe)
        return defaultdict(tuple, {router: tuple(each) for router, each in found.items()})

    def _conforms(self, predicted: Predicted, probe: ProbePacket) -> bool:
        try:
            trace = predicted.trace(probe)
            return predicted.outcome(probe, trace).conforms_to(probe.expected)
        except (AmbiguousMatchError, NotModelledError):
            return True
