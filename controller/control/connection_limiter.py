"""Per-address connection limits, and de-duplicated log lines for rejected peers.

Pure. An address of the management network belongs to one router with an interface of its own, so no router can exhaust
another's limit.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

MAX_CONNECTIONS = 32  # per address: more than a router has bridges
MAX_REASONS = 20  # reported per address between two accepted connections


class ConnectionLimiter:
    """Counts connections and reported reasons by address; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._reported: defaultdict[str, set[str]] = defaultdict(set)

    def enter(self, address: str) -> bool:
        """Counts one more connection from ``address``; returns whether it is allowed. If so, `leave` must follow."""
        with self._lock:
            if self._connections[address] >= MAX_CONNECTIONS:
                return False
            self._connections[address] += 1
            return True

    def leave(self, address: str) -> None:
        """A connection from ``address`` ended."""
        with self._lock:
            self._connections[address] -= 1

    def accepted(self, address: str) -> None:
        """A switch at ``address`` completed its handshake: later reasons are reported again."""
        with self._lock:
            self._reported.pop(address, None)

    def is_first_report(self, address: str, reason: str) -> bool:
        """Whether a rejection of ``address`` for ``reason`` is to be reported: once, however often it retries."""
        with self._lock:
            known = self._reported[address]
            if reason in known or len(known) >= MAX_REASONS:
                return False
            known.add(reason)
            return True
