"""What the outer half of ``helsewan up`` hands to the world, and what stands when it is up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helsewan.emulation.links.link_backend import Dataplane
from helsewan.lab.client.api import Interface
from helsewan.policies.plan import Plan

UP = b"u"  # written to ``LabJob.ready`` once the network carries traffic


@dataclass(frozen=True)
class LabJob:
    """A network to keep up: ``plan`` under ``name``, with ``lan_hosts`` hosts behind every hospital,
    its frames carried by ``dataplane``, with a second controller if ``standby``. ``listener`` is the descriptor of the
    socket that clients come to, ``ready`` one to write UP to, if anybody waits; what happens is told in ``directory``.
    Tracebacks are shown if ``debug``. ``api`` is its northbound interface, if it has one."""

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
