"""The job that ``helsewan up`` passes to the worker in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.lab.server.lifetime import Limits
from helsewan.lab.server.northbound_api import Interface
from helsewan.policies.plan import Plan

OUTPUT = "up.log"  # output of a network in the background, in its directory


@dataclass(frozen=True)
class LabJob:
    """A lab to run: the network and policy of ``plan``, under ``name``.

    ``directory``: for history and logs. ``registry``: the directory with sockets and tokens of the user's labs.
    ``listener``: descriptor of the control socket. ``launcher``: descriptor of the connection to a launcher that waits
    for it to be up (None: none). ``limits``: when it ends by itself. ``lan_hosts``: hosts behind every hospital.
    ``standby``: with a second controller. ``debug``: print tracebacks. ``api``: its northbound interface, if any."""

    name: str
    plan: Plan
    directory: Path
    registry: Path
    listener: int
    launcher: int | None
    lan_hosts: int
    forwarding: Forwarding
    standby: bool
    debug: bool
    limits: Limits
    api: Interface | None = None
