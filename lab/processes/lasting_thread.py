"""A thread that lasts as long as this process, and starts what asks to end with whoever started it.

The kernel ends such a process (PR_SET_PDEATHSIG, prctl(2)) with the thread that started it, not with the process: what
a program's own thread started would end with that thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

Started = TypeVar("Started")


def start_lasting(start: Callable[..., Started], *args: Any, **params: Any) -> Started:
    """Returns or raises what ``start`` does, which starts a process, in the thread that lasts. It has the namespaces of
    the thread that first called this."""
    return _starter(os.getpid()).submit(start, *args, **params).result()


@cache
def _starter(pid: int) -> ThreadPoolExecutor:
    """The thread of the process ``pid``: a forked copy of a process has none of its threads."""
    return ThreadPoolExecutor(1, thread_name_prefix="process-starter")
