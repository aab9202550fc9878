"""Process monitor: reports at once that a process ended, by its pidfd (pidfd_open(2)); nothing is polled."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable


class ProcessMonitor:
    """Calls ``on_end``, in a thread of its own, whenever one of the added processes ends."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._epoll = select.epoll()
        threading.Thread(target=self._run, name="process-monitor", daemon=True).start()

    def add(self, pidfds: Iterable[int]) -> None:
        """Monitor these processes too. The descriptors stay the caller's; closing one ends its monitoring. A process
        that has ended already is reported at once."""
        for pidfd in pidfds:
            try:
                self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
            except FileExistsError:  # monitored already
                continue

    def _run(self) -> None:
        while True:
            self._epoll.poll()
            self._on_end()
