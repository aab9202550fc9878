"""The job that ``helsewan up`` passes to the worker in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helsewan.emulation.links.link_backend import Dataplane
from helsewan.lab.server.northbound_api import Interface
from helsewan.policies.plan import Plan

UP = b"u"  # written to ``LabJob.ready`` once the network carries traffic


@dataclass(frozen=True)
class LabJob:
    """A lab to run: ``plan`` under ``name``, with ``lan_hosts`` hosts behind every hospital, its frames carried by
    ``dataplane``, with a second controller if ``standby``. ``listener`` is the descriptor of the control socket,
    ``ready`` one to write UP to, None where nobody waits; history and logs go to ``directory``. Tracebacks are printed
    if ``debug``. ``api`` is its northbound interface, if it has one."""

    name: str
    plan: Plan
    directory: Path
    listener: int
    ready: int | None
    lan_hosts: int
    dataplane: Dataplane
    standby: bool
    debug: bool
    api: Interface | None = None
