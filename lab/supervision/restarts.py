"""When a part that died is restarted: at once, then after growing pauses, and no more when it keeps dying. Pure."""

from __future__ import annotations

from collections import defaultdict, deque
from enum import Enum

RESTARTS, WITHIN_S = 5, 120.0  # a part that was restarted so often within this time is given up
FIRST_PAUSE_S = 1.0  # doubles with every further restart within WITHIN_S


class Restart(str, Enum):
    """What to do about a part that is dead."""

    NOW = "restart it"
    LATER = "its pause is not over"
    GIVE_UP = "it keeps dying"


class RestartPolicy:
    """Decides by the restarts so far; times are in seconds by one clock."""

    def __init__(self) -> None:
        self._restarted: defaultdict[str, deque[float]] = defaultdict(deque)

    def decide(self, part: str, died_s: float, now_s: float) -> Restart:
        """What to do at ``now_s`` about a part that died at ``died_s``; NOW counts as a restart."""
        restarted = self._restarted[part]
        while restarted and died_s - restarted[0] > WITHIN_S:
            restarted.popleft()
        if len(restarted) >= RESTARTS:
            return Restart.GIVE_UP
        pause_s = FIRST_PAUSE_S * 2 ** (len(restarted) - 1) if restarted else 0.0
        if now_s < died_s + pause_s:
            return Restart.LATER
        restarted.append(now_s)
        return Restart.NOW
