"""Ports of shared routers that regain carrier: nothing is sent over their links before both ends take it.

Open vSwitch uses such a port bit by bit. It is up at once; a thread of its own takes note up to 64 ms later that frames
may be sent to it, and drops them until then; and the polling thread looks only every 1,024 rounds, up to 0.3 s and more
in a large network, whether there are ports to be polled again. A BFD session that has not noticed a short failure
would let routers send at once all the same. So sessions are told to forward nothing until both ends are polled. Ports
without a session are told of nothing before frames may be sent to them; what comes from the other side waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from helsewan.emulation.links.ring_ports import RingPort, RingPorts
from helsewan.emulation.routers import unixctl

NOTED_S = 0.065  # the thread for states of queues sleeps up to 64 ms when there is nothing to do (netdev-dpdk)
POLLED_DEADLINE_S = 2.0  # then a session decides, which has noticed by now whether frames pass
_LOOK_EVERY_S = 0.005  # at counters in shared memory, of which nobody tells


class ReturningPorts:
    """The ports of one Open vSwitch that have just regained carrier. ``tell`` runs commands of vswitchd."""

    def __init__(self, rings: RingPorts, tell: Callable[[Sequence[Sequence[str]]], object]) -> None:
        self._rings, self._tell = rings, tell
        self._lock = threading.Lock()
        self._returns: dict[str, int] = {}  # how often each interface has returned

    def restore(self, sessions: Mapping[str, RingPort], others: Sequence[RingPort]) -> None:
        """Let ports regain carrier: those of interfaces with BFD sessions, by name, and others. Raises UnixctlError."""
        with self._lock:
            for name in sessions:
                self._returns[name] = self._returns.get(name, 0) + 1
            returns = {name: self._returns[name] for name in sessions}
            self._forward(list(sessions), "false")
        before = self._rings.sent(list(sessions.values()))
        self._rings.set_carrier([*sessions.values(), *others], True, NOTED_S if others else 0.0)
        if sessions:
            threading.Thread(
                target=self._resume, args=(dict(sessions), before, returns), name="returning-ports", daemon=True
            ).start()

    def _resume(self, sessions: Mapping[str, RingPort], before: Sequence[int], returns: Mapping[str, int]) -> None:
        """Let sessions decide again once all their ports are polled, but for those that have returned once more."""
        ports, until = list(sessions.values()), time.monotonic() + POLLED_DEADLINE_S
        while time.monotonic() < until and any(
            port.running and taken <= sent
            for port, sent, taken in zip(ports, before, self._rings.taken(ports), strict=True)
        ):
            time.sleep(_LOOK_EVERY_S)
        with self._lock, suppress(unixctl.UnixctlError):  # vswitchd has ended
            self._forward([name for name in sessions if self._returns[name] == returns[name]], "normal")

    def _forward(self, names: Sequence[str], whether: str) -> None:
        if names:
            self._tell([("bfd/set-forwarding", name, whether) for name in names])
