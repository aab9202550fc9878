"""Facts about the machine and versions of software, for a run's report."""

from __future__ import annotations

import os
import platform
import shutil
from importlib import metadata

from helsewan.common.processes import run
from helsewan.emulation.sandbox.sandbox import search_path


def facts() -> dict[str, object]:
    """Kernel, architecture, cores, memory and distribution, so that results of different machines can be compared."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "distribution": _distribution(),
    }


def versions() -> dict[str, str]:
    """Versions of the software that a result depends on."""
    packages = ("helsewan", "mininet", "os-ken", "numpy", "scipy", "pyroute2", "networkx")
    return {
        "python": platform.python_version(),
        "open_vswitch": run([_program("ovs-vswitchd"), "--version"]).partition("\n")[0].rpartition(" ")[2],
        **{name: _version(name) for name in packages},
    }


def _program(name: str) -> str:
    """The path of a program that ordinary users may not have in theirs."""
    return shutil.which(name, path=search_path()) or name


def _version(package: str) -> str:
    """The version of an installed package; ``unknown`` for one that runs from its source tree."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _distribution() -> str:
    """The distribution's display name; ``unknown`` without os-release(5)."""
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        return "unknown"
