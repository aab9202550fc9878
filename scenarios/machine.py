"""The machine under the run: what it is, and whether it was short of processor time."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from emulation.commands import run

PRESSURE = Path("/proc/pressure/cpu")  # pressure-stall information (kernel Documentation/accounting/psi.rst)


@dataclass(frozen=True, slots=True)
class Pressure:
    """Processor use over a time: ``stalled`` is the share of it in which some task waited for a core
    (None where the kernel does not tell), ``busy`` the share of all cores in use, ``steal`` the share taken
    by other machines on the same host."""

    stalled: float | None
    busy: float
    steal: float


class MachineWatch:
    """Measures ``Pressure`` from its making to ``stop``."""

    def __init__(self) -> None:
        self._before = _stalled_us(), _ticks(), os.times().elapsed

    def stop(self) -> Pressure:
        """The pressure since the watch was made."""
        stalled_us, ticks, elapsed_s = self._before
        now = _ticks()
        total = max(1, sum(now) - sum(ticks))
        idle = sum(now[3:5]) - sum(ticks[3:5])
        waited = None
        if stalled_us is not None and (after_us := _stalled_us()) is not None:
            waited = (after_us - stalled_us) / 1e6 / max(1e-9, os.times().elapsed - elapsed_s)
        return Pressure(stalled=waited, busy=1 - idle / total, steal=(now[7] - ticks[7]) / total)


def facts() -> dict[str, object]:
    """What the machine is, for a result that others will compare with theirs."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "distribution": _distribution(),
    }


def versions() -> dict[str, str]:
    """The versions of everything that a result depends on."""
    packages = ("helsewan", "mininet", "os-ken", "numpy", "scipy", "pyroute2", "networkx")
    return {
        "python": platform.python_version(),
        "open_vswitch": run(["ovs-vswitchd", "--version"]).partition("\n")[0].rpartition(" ")[2],
        **{name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    """The version of an installed package; unknown for one that runs from its source tree."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _distribution() -> str:
    """The distribution's name for people; unknown where there is no os-release(5)."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"


def _stalled_us() -> int | None:
    """Microseconds in which some task waited for a core, since boot."""
    try:
        some = PRESSURE.read_text(encoding="ascii").splitlines()[0]
    except OSError:  # no pressure-stall information in this kernel
        return None
    return int(some.rpartition("total=")[2])


def _ticks() -> list[int]:
    """Clock ticks of all cores: user, nice, system, idle, iowait, irq, softirq, steal ... (proc(5))."""
    return [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]]
