"""Runs other threads' calls in the main thread, one at a time: netlink sockets and the testbed are used there only."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class MainThread:
    """Other threads use ``call``; the main thread executes their calls in ``work_for``."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()

    def call(self, act: Callable[[], Result], within_s: float | None = None) -> Result:
        """Call ``act`` in the main thread; returns or raises what it does. Raises TimeoutError, and does not call it,
        where the main thread is busy with other calls for ``within_s`` (None: waits)."""
        future: Future[Result] = Future()
        self._calls.put((future, act))
        try:
            return future.result(within_s)
        except TimeoutError:
            if not future.cancel():  # it has begun meanwhile, or raised this itself
                return future.result()
            raise

    def work_for(self, seconds: float) -> None:
        """In the main thread: execute the calls that arrive in the next ``seconds``."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            try:
                future, act = self._calls.get(timeout=left_s)
            except queue.Empty:
                return
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(act())
            except Exception as error:  # raised in the calling thread
                future.set_exception(error)
