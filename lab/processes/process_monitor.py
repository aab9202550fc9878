"""Hears at once when a process ends: the kernel tells by its pidfd (pidfd_open(2)); nothing is polled."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable


class ProcessMonitor:
    """Calls ``on_end`` from a thread of its own whenever a process that is kept vigil over has ended."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._epoll = select.epoll()
        threading.Thread(target=self._keep, name="vigil", daemon=True).start()

    def over(self, pidfds: Iterable[int]) -> None:
        """Keep vigil over these too, by descriptors that stay the caller's; closing one ends it. One that has ended
        already is told at once."""
        for pidfd in pidfds:
            try:
                self._epoll.register(pidfd, select.EPOLLIN | select.EPOLLONESHOT)
            except FileExistsError:  # over this one already
                continue

    def _keep(self) -> None:
        while True:
            self._epoll.poll()
            self._on_end()
