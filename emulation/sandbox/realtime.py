"""Real-time scheduling of the threads whose timing determines the emulation's accuracy.

Links, switches and traffic generators run at real-time priority so that other processes do not delay them.
The kernel reserves 5 % of every core for all other tasks (sched_rt_runtime_us), so the machine stays usable.
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
    """Raise the priority of thread ``task`` (0: the calling one) as far as this user is permitted. Returns what was
    granted: ``rr`` (round robin at real-time priority ``level``), ``nice`` or ``none``. Child processes do not inherit
    it."""
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
    """Keep idle cores out of sleep states within the ``with`` block, if this user is permitted to; yields whether
    they are.

    Waking a core took up to half a millisecond on a virtual machine, five times the permitted lateness of a frame. The
    limit on wake-up latency, in us, holds while the device is open (Linux,
    Documentation/power/pm_qos_interface.rst)."""
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
    """Return the calling thread to normal priority."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
