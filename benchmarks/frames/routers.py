"""Routers of either kind without a controller, and the processor time of what carries frames."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.netlink.interfaces import NetlinkIntf
from helsewan.emulation.routers.forwarding import forwarding
from helsewan.emulation.routers.private_switch import PrivateSwitch
from helsewan.emulation.routers.shared_switch import SharedOpenVSwitch, SharedSwitch
from helsewan.emulation.routers.switches import RouterKind, RouterSwitch
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.procfs import thread_clocks


def lone_routers(count: int, backend: EngineBackend, logs: Path) -> list[RouterSwitch]:
    """Routers r0, r1 ... of the kind that the environment names, not yet started."""
    if forwarding().routers is RouterKind.SHARED:
        open_vswitch = SharedOpenVSwitch(sandbox.RUN_DIR, logs, backend.rings)
        switch = partial(SharedSwitch, open_vswitch=open_vswitch)
    else:
        switch = partial(PrivateSwitch)
    return [switch(f"r{number}", sandbox.RUN_DIR, logs, dpid=f"{number + 1:x}") for number in range(count)]


def add_port(router: RouterSwitch, name: str, port: int) -> None:
    """Make an interface of ``router`` OpenFlow port ``port``."""
    NetlinkIntf(name, node=router, port=port)


def forwarders(routers: Sequence[RouterSwitch]) -> set[int]:
    """The processes that forward frames of ``routers``."""
    return {router.forwarding_thread().pid for router in routers}


def processor_ns(pids: set[int]) -> int:
    """Processor time of all threads of processes so far."""
    return sum(clock.ran_ns for pid in pids for clock in thread_clocks(pid).values())
