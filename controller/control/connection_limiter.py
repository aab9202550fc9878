"""Who may come in, and of whose troubles people are told: the connections of each address, and what was said of it.

Pure. Addresses of the management network are its routers', each with a line of its own, so none can take another's
place.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

MOST_CONNECTIONS = 32  # of one address: more than any switch has bridges
MOST_COMPLAINTS = 20  # of one address, between two times that it was let in


class ConnectionLimiter:
    """Counts connections and complaints; for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connections: Counter[str] = Counter()
        self._complaints: defaultdict[str, set[str]] = defaultdict(set)

    def enter(self, address: str) -> bool:
        """One more connection from ``address``: whether it may have it. If so, ``leave`` must follow."""
        with self._lock:
            if self._connections[address] >= MOST_CONNECTIONS:
                return False
            self._connections[address] += 1
            return True

    def leave(self, address: str) -> None:
        """One connection less."""
        with self._lock:
            self._connections[address] -= 1

    def welcome(self, address: str) -> None:
        """A switch at ``address`` was let in: what troubles it has from now on are new."""
        with self._lock:
            self._complaints.pop(address, None)

    def is_news(self, address: str, reason: str) -> bool:
        """Whether people are to be told that ``address`` was turned away for ``reason``: once, though it tries again
        every second."""
        with self._lock:
            known = self._complaints[address]
            if reason in known or len(known) >= MOST_COMPLAINTS:
                return False
            known.add(reason)
            return True
