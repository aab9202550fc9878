"""Which kind of routers a machine can have."""

from __future__ import annotations

import re
from functools import cache

from helsewan.common.processes import CommandError, run
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers.shared_switch import PROGRAM
from helsewan.emulation.routers.switches import RouterKind

LEAST_VERSION = (3, 1)  # the first whose polling thread can sleep (pmd-maxsleep)
PACKAGE = "openvswitch-switch-dpdk"


@cache
def shared_refusal() -> str:
    """Why routers cannot share an Open vSwitch here; empty where they can."""
    if not PROGRAM.exists():
        return f"the package {PACKAGE} is not installed"
    try:
        version = run([str(PROGRAM), "--version"])
    except CommandError as error:
        return f"{PROGRAM.name} does not run: {error.stderr.strip()}"
    found = re.search(r"(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        return f"the polling thread of Open vSwitch {found[0] if found else '?'} cannot sleep; {least} is needed"
    return ""


def choose(wanted: RouterKind | None, dataplane: Dataplane) -> tuple[RouterKind, str]:
    """The kind of routers for ``dataplane``, and why they are not shared (empty where they are, or were not asked to
    be). ``wanted``: None for the best that this machine can have.

    Raises ValueError where the kind wanted cannot be had."""
    if wanted is RouterKind.PRIVATE:
        return wanted, ""
    refusal = shared_refusal()
    if dataplane is Dataplane.KERNEL:
        refusal = "the kernel carries the links, and has no shared memory with switches"
    if not refusal:
        return RouterKind.SHARED, ""
    if wanted is RouterKind.SHARED:
        raise ValueError(refusal)
    return RouterKind.PRIVATE, refusal
