"""What carries frames: the links' dataplane, and the kind of routers. Which of them a machine can have."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from helsewan.common.errors import InputError, Problem
from helsewan.common.processes import CommandError, run
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers.shared_switch import PROGRAM
from helsewan.emulation.routers.switches import RouterKind

Kind = TypeVar("Kind", Dataplane, RouterKind)
LEAST_VERSION = (3, 1)  # the first whose polling thread can sleep (pmd-maxsleep)
VARIABLE = "HELSEWAN_ROUTERS"
PACKAGE = "openvswitch-switch-dpdk"


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What carries frames. ``reason``: why routers are private although nobody asked for that; else empty."""

    dataplane: Dataplane
    routers: RouterKind
    reason: str = ""

    def as_json(self) -> dict[str, str]:
        """For results."""
        found = {"dataplane": self.dataplane.value, "router_kind": self.routers.value}
        return found | ({"router_kind_reason": self.reason} if self.reason else {})


def forwarding(dataplane: str = "", routers: str = "") -> Forwarding:
    """The forwarding that is asked for by names (empty: the best that this machine can have, or the
    routers that the environment's VARIABLE names). Raises InputError for
    unknown names, and for shared routers where they cannot be had."""
    links = _named(Dataplane, "--dataplane", dataplane) or Dataplane.ENGINE
    wanted = _named(RouterKind, "--routers", routers or os.environ.get(VARIABLE, ""))
    if wanted is RouterKind.PRIVATE:
        return Forwarding(links, wanted)
    refusal, hint = shared_refusal(), f"install {PACKAGE}, or --routers private"
    if links is Dataplane.KERNEL:
        refusal, hint = "kernel links have no shared memory with switches", "--dataplane engine, or --routers private"
    if not refusal:
        return Forwarding(links, RouterKind.SHARED)
    if wanted is RouterKind.SHARED:
        raise InputError(Problem("--routers", wanted.value, refusal, hint))
    return Forwarding(links, RouterKind.PRIVATE, refusal)


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


def _named(kinds: type[Kind], option: str, name: str) -> Kind | None:
    """One of ``kinds`` by name; None for an empty name."""
    if not name:
        return None
    try:
        return kinds(name)
    except ValueError:
        known = ", ".join(one.value for one in kinds)
        raise InputError(Problem(option, name, "is unknown", f"one of {known}")) from None
