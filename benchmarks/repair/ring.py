"""The ring in which repairs are measured, whoever runs its routers; what fails in it, and the way its flows take.

    west --- near --- east
      \\                 |
       south --- far ---+

Two flows between sites in the west and in the east, one each way, go over ``near``.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from helsewan.emulation.links.link_backend import Direction
from helsewan.emulation.links.links import EngineBackend

ROUTERS = ("west", "near", "east", "south", "far")
SITES = ("west", "east")  # the routers that have a site
OVER, AROUND = ("west-near", "near-east"), ("west-south", "south-far", "far-east")
LINES_US = dict(zip(OVER + AROUND, (400, 400, 400, 600, 400), strict=True))  # short: repair shows, not distance
FIBRE_BPS, ACCESS_BPS, ACCESS_US = 1_000_000_000, 100_000_000, 200

LOOK_S = 0.1
LOOKS = 7  # that must agree; longer than what is still under way under old labels
CARRIES, RESTS = 0.8, 0.1  # of the flow's packets, at least and at most
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Failure:
    """A line fails: its ports lose their light, or, where directions are named, only the packets that go there."""

    line: str
    silent: tuple[Direction, ...] = ()


FAILURES = {
    "next": Failure("west-near"),  # at the router of one sender, one hop from that of the other
    "beyond": Failure("near-east"),
    "silent": Failure("near-east", tuple(Direction)),
    "silent-forth": Failure("near-east", (Direction.FORWARD,)),
    "silent-back": Failure("near-east", (Direction.BACK,)),
}


class Ring(ABC):
    """The ring, made of somebody's routers. ``start`` returns when all of them do their part; ``access`` are the sites'
    lines by router, their first ends at the site."""

    backend: EngineBackend
    access: dict[str, str]

    @abstractmethod
    def start(self) -> None:
        """Build and start everything."""

    @abstractmethod
    def version(self) -> str:
        """Whose routers, in which version."""

    @abstractmethod
    def address(self, site: str) -> IPv4Address:
        """A site's address."""

    @abstractmethod
    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        """A socket at a site."""

    @abstractmethod
    def set_light(self, line: str, lit: bool) -> int:
        """Cut a line, or mend it, with the light at its ports; when (CLOCK_REALTIME, ns)."""

    @abstractmethod
    def ready(self) -> None:
        """Wait until the routers would notice any failure as they are meant to."""

    def strike(self, failure: Failure) -> int:
        """Let a line fail; from when on it carries nothing (CLOCK_REALTIME, ns)."""
        if failure.silent:
            return min(self.backend.set_blackhole(failure.line, direction, True) for direction in failure.silent)
        return self.set_light(failure.line, lit=False)

    def mend(self, failure: Failure) -> int:
        """Bring the line back; from when on it carries (CLOCK_REALTIME, ns)."""
        if failure.silent:
            return max(self.backend.set_blackhole(failure.line, direction, False) for direction in failure.silent)
        return self.set_light(failure.line, lit=True)

    def lengthen_way_around(self, by_us: int) -> None:
        """Have the way around take so much longer than in the beginning."""
        line = "south-far"
        model = replace(self.backend.models[line][0], delay_us=LINES_US[line] + by_us)
        self.backend.set_models({line: (model, model)})

    def takes(self, way: tuple[str, ...], packets_per_s: float) -> Callable[[], bool]:
        """Tells at each call whether since the last flows of this rate took this way, both ways, and no other."""
        before, before_s = self._carried(), time.monotonic()

        def takes() -> bool:
            nonlocal before, before_s
            now, now_s = self._carried(), time.monotonic()
            most = packets_per_s * (now_s - before_s)
            shares = {line: [(n - b) / most for n, b in zip(now[line], before[line], strict=True)] for line in LINES_US}
            before, before_s = now, now_s
            return all(min(share) >= CARRIES if line in way else max(share) <= RESTS for line, share in shares.items())

        return takes

    def _carried(self) -> dict[str, tuple[int, int]]:
        """Packets that each line has been given so far, forward and back."""
        frames = self.backend.engine.counters()["frames_in"]
        lines = self.backend.lines
        return {line: (int(frames[lines[line].forward]), int(frames[lines[line].back])) for line in LINES_US}


def wait_for(condition: Callable[[], bool], looks: int, what: str) -> None:
    """Wait until a condition has held at so many looks in a row; raises RuntimeError where it does not in time."""
    until, held = time.monotonic() + DEADLINE_S, 0
    while held < looks:
        if time.monotonic() > until:
            raise RuntimeError(what)
        time.sleep(LOOK_S)
        held = held + 1 if condition() else 0
