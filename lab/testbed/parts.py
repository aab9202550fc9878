"""The processes that a running network consists of, each with what it is, its log, and how it ended."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.routers.shared_switch import SharedOpenVSwitch
from helsewan.emulation.routers.switches import UNKNOWN_STATUS, RouterSwitch
from helsewan.lab.processes.controller_processes import Controllers, NorthboundProcess, SlowPathProcess


class PartKind(str, Enum):
    """What a process is to the network."""

    LINK_ENGINE = "link engine"  # carries every frame: without it there is no network
    ROUTERS = "routers"  # a daemon that all routers share: without it there is no network
    ROUTER = "router"  # a daemon of a router, which is off without it
    RELAY = "management relay"  # of shared routers' control connections
    CONTROLLER = "controller"
    SLOW_PATH = "slow path"
    NORTHBOUND = "northbound server"


@dataclass(frozen=True, slots=True)
class Part:
    """A process. ``status``: its exit status, minus the signal that killed it, or None while it runs (from any
    thread). ``owner``: the router's id, or the controller's number. ``log``: its log file, None where it has none."""

    name: str
    kind: PartKind
    pid: int
    status: Callable[[], int | None] = field(compare=False)
    owner: str = ""
    log: Path | None = None


def how_ended(status: int) -> str:
    """How a process ended, by its exit status: ``was killed by SIGKILL``, ``ended with exit status 1``."""
    if status == UNKNOWN_STATUS:
        return "ended"
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal has no name
        return f"was killed by signal {-status}"


def router_parts(switches: Iterable[RouterSwitch]) -> Iterator[Part]:
    """The daemons of the routers that are on."""
    for switch in switches:
        for daemon in switch.running_daemons():
            name = f"{switch.name}'s {daemon.name}"
            yield Part(name, PartKind.ROUTER, daemon.pid, daemon.exit_status, switch.name, daemon.log)


def shared_parts(open_vswitch: SharedOpenVSwitch) -> Iterator[Part]:
    """The daemons that all shared routers are bridges of, and the relay of their control connections."""
    for daemon in open_vswitch.running_daemons():
        yield Part(f"the routers' {daemon.name}", PartKind.ROUTERS, daemon.pid, daemon.exit_status, log=daemon.log)
    relay = open_vswitch.relay
    yield Part("the management relay", PartKind.RELAY, relay.process.pid, relay.process.poll, log=relay.log)


def controller_parts(controllers: Controllers) -> Iterator[Part]:
    """The controllers that were not killed on purpose."""
    for number, (process, log) in controllers.running().items():
        name = f"the {controllers.name(number)}"
        yield Part(name, PartKind.CONTROLLER, process.pid, process.poll, str(number), log)


def slow_path_part(slow_path: SlowPathProcess) -> Part:
    """The routers' slow path."""
    process = slow_path.process
    return Part("the routers' slow path", PartKind.SLOW_PATH, process.pid, process.poll, log=slow_path.log)


def northbound_part(northbound: NorthboundProcess) -> Part:
    """The northbound server."""
    process = northbound.process
    return Part("the northbound server", PartKind.NORTHBOUND, process.pid, process.poll, log=northbound.log)


def engine_part(engine: EngineProcess) -> Part:
    """The link engine, which has no log of its own: it writes to the network's output."""
    return Part("the link engine", PartKind.LINK_ENGINE, engine.pid, engine.exit_status)
