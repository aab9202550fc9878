"""The ring in which repairs are measured, whatever the routers' software; its failures, and the path of its flows.

    west --- near --- east
      \\                 |
       south --- far ---+

Two flows between sites in the west and in the east, one in each direction, go over ``near``.
"""

from __future__ import annotations

import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import Direction

ROUTERS = ("west", "near", "east", "south", "far")
SITES = ("west", "east")  # the routers that have a site
OVER, AROUND = ("west-near", "near-east"), ("west-south", "south-far", "far-east")
LINKS_US = dict(zip(OVER + AROUND, (400, 400, 400, 600, 400), strict=True))  # short: repair dominates, not distance
LINK_BPS, ACCESS_BPS, ACCESS_US = 1_000_000_000, 100_000_000, 200

POLL_S = 0.1
POLLS = 7  # that must agree; longer than packets with old labels are in flight
USED, UNUSED = 0.8, 0.1  # share of the flow's packets: a link on its path has at least, any other at most
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Failure:
    """A link fails: its ports lose carrier, or, if directions are named, only packets in these directions are lost."""

    link: str
    silent: tuple[Direction, ...] = ()


FAILURES = {
    "next": Failure("west-near"),  # at the router of one sender, one hop from that of the other
    "beyond": Failure("near-east"),
    "silent": Failure("near-east", tuple(Direction)),
    "silent-forth": Failure("near-east", (Direction.FORWARD,)),
    "silent-back": Failure("near-east", (Direction.BACK,)),
}


class Ring(ABC):
    """The ring, with one kind of routers. ``start`` returns when all of them forward; ``access`` has the names of the
    access links by router, their first ends at the site."""

    backend: EngineBackend
    access: dict[str, str]

    @abstractmethod
    def start(self) -> None:
        """Build and start everything."""

    @abstractmethod
    def version(self) -> str:
        """The routers' software and its version."""

    @abstractmethod
    def address(self, site: str) -> IPv4Address:
        """A site's address."""

    @abstractmethod
    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        """A socket at a site."""

    @abstractmethod
    def set_carrier(self, link: str, up: bool) -> int:
        """Cut or restore a link, with the carrier at its ports; return the time (CLOCK_REALTIME, ns)."""

    @abstractmethod
    def ready(self) -> None:
        """Wait until the routers would detect any failure as configured."""

    def fail(self, failure: Failure) -> int:
        """Let a link fail; return the time from which it carries nothing (CLOCK_REALTIME, ns)."""
        if failure.silent:
            return min(self.backend.set_blackhole(failure.link, direction, True) for direction in failure.silent)
        return self.set_carrier(failure.link, up=False)

    def restore(self, failure: Failure) -> int:
        """Restore the link; return the time from which it carries frames (CLOCK_REALTIME, ns)."""
        if failure.silent:
            return max(self.backend.set_blackhole(failure.link, direction, False) for direction in failure.silent)
        return self.set_carrier(failure.link, up=True)

    def lengthen_alternative_path(self, by_us: int) -> None:
        """Set the delay of the alternative path to its initial value plus ``by_us``."""
        link = "south-far"
        model = replace(self.backend.models[link][0], delay_us=LINKS_US[link] + by_us)
        self.backend.set_models({link: (model, model)})

    def takes(self, path: tuple[str, ...], packets_per_s: float) -> Callable[[], bool]:
        """Return a function that reports whether since its last call flows of this rate used this path, in both
        directions, and no other link."""
        before, before_s = self._carried(), time.monotonic()

        def takes() -> bool:
            nonlocal before, before_s
            now, now_s = self._carried(), time.monotonic()
            most = packets_per_s * (now_s - before_s)
            shares = {link: [(n - b) / most for n, b in zip(now[link], before[link], strict=True)] for link in LINKS_US}
            before, before_s = now, now_s
            return all(min(share) >= USED if link in path else max(share) <= UNUSED for link, share in shares.items())

        return takes

    def _carried(self) -> dict[str, tuple[int, int]]:
        """Packets that entered each link so far, forward and back."""
        frames = self.backend.engine.counters()["frames_in"]
        links = self.backend.links
        return {link: (int(frames[links[link].forward]), int(frames[links[link].back])) for link in LINKS_US}


def wait_for(condition: Callable[[], bool], polls: int, what: str) -> None:
    """Wait until a condition has held at ``polls`` polls in a row; raises RuntimeError after DEADLINE_S."""
    until, held = time.monotonic() + DEADLINE_S, 0
    while held < polls:
        if time.monotonic() > until:
            raise RuntimeError(what)
        time.sleep(POLL_S)
        held = held + 1 if condition() else 0
