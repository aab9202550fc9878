"""What a test may require of the machine, and why this one does not have it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import cache

from helsewan.common.errors import InputError
from helsewan.emulation.kernel import probe
from helsewan.emulation.routers.forwarding import forwarding
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.sandbox_diagnosis import TUN, tun_diagnosis
from helsewan.emulation.sandbox.surroundings import surroundings
from helsewan.verification.cudd import load_cudd

PROGRAM = "program:"


def _tun() -> None:
    if problem := tun_diagnosis(TUN, surroundings()):
        raise InputError(problem)


CHECKS: Mapping[str, Callable[[], object]] = {
    "emulation": sandbox.require,
    "tun": _tun,
    "ovs": sandbox.require,
    "shared_routers": lambda: forwarding(routers="shared"),
    "kernel_dataplane": probe.require,
    "proofs": load_cudd,
}


@cache
def lacking(name: str) -> str:
    """Why this machine does not have what is required; empty if it has. ``program:NAME`` is any program. Raises
    KeyError for a name that is none."""
    if name.startswith(PROGRAM):
        program = name.removeprefix(PROGRAM)
        return "" if shutil.which(program) else f"{program} is not installed"
    try:
        CHECKS[name]()
    except InputError as error:
        return "; ".join(map(str, error.problems))
    return ""
