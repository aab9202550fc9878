"""Work handed to the main thread, where netlink sockets and the network's parts belong: one thing at a time."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class MainThread:
    """Other threads ``call``; the main thread does what they ask in ``work_for``."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()

    def call(self, act: Callable[[], Result]) -> Result:
        """What ``act`` returns or raises in the main thread."""
        future: Future[Result] = Future()
        self._asked.put((future, act))
        return future.result()

    def work_for(self, seconds: float) -> None:
        """In the main thread: do what is asked in the next ``seconds``."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            try:
                future, act = self._asked.get(timeout=left_s)
            except queue.Empty:
                return
            try:
                future.set_result(act())
            except Exception as error:  # the asker's to handle
                future.set_exception(error)
