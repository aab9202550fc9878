"""Punctuality: real-time priority for the parts whose timing is the emulation.

Hardware does not wait for its neighbours; links, switches and the traffic's clocks must not either.
The kernel keeps 5 % of every core for all others (sched_rt_runtime_us), so a machine stays usable.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

SWITCHES = 1
LINKS = 2  # a late link makes every switch behind it late
_NICE = -10
_PM_QOS = "/dev/cpu_dma_latency"


def set_realtime(level: int, task: int = 0) -> str:
    """Raise thread ``task`` (0: the calling one) as far as this user may; what it got: ``rr`` (round robin at
    real-time priority ``level``), ``nice`` or ``none``. Processes it starts do not inherit it."""
    try:
        os.sched_setscheduler(task, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(level))
        return "rr"
    except OSError:
        pass
    try:
        os.setpriority(os.PRIO_PROCESS, task, _NICE)
        return "nice"
    except OSError:
        return "none"


@contextmanager
def cores_awake() -> Iterator[bool]:
    """Meanwhile idle cores wait instead of sleeping, where this user may ask for it; whether they do.

    Waking a core took up to half a millisecond on a virtual machine, five times as long as a frame may be late. Who
    holds the device open says how long waking may take, in us (Linux, Documentation/power/pm_qos_interface.rst)."""
    try:
        device = os.open(_PM_QOS, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        os.write(device, struct.pack("i", 0))
        yield True
    finally:
        os.close(device)


def unset_realtime() -> None:
    """Give the calling thread's real-time priority back."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
