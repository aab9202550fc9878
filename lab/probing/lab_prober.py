"""Questions for a network that stands: played there, asked and judged here."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helsewan.lab.client.client import Client
from helsewan.lab.probing.packet_injector import Injected, Sending
from helsewan.lab.probing.session_prober import Call
from helsewan.lab.probing.verify_live import verify_live
from helsewan.lab.server.injection import heard_in, spelt, written
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import Dump
from helsewan.verification.live.live_report import LiveReport


def verify_standing(name: str | None, dump: Dump, plan: Plan, seed: int, most: int | None = None) -> LiveReport:
    """Ask network ``name``, or the only one that stands, what ``plan`` means it to do; ``dump`` is what its switches
    hold. Raises NetworkRefused and NetworkGone."""
    return verify_live(plan, dump.rules, LabProber(name), seed, most, dump.down)


@dataclass(frozen=True)
class LabProber:
    """The sites of network ``name``, or of the only one that stands."""

    name: str | None

    def inject(self, sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Injected:
        """Send frames, and hear what arrives."""
        return heard_in(self._done("play", written(sendings), mark=mark.hex(), listen_s=listen_s))

    def run_sessions(self, calls: Sequence[Call]) -> Sequence[bool | None]:
        """Have conversations."""
        came_about: list[bool | None] = json.loads(self._done("talk", spelt(calls)))
        return came_about

    def _done(self, op: str, what: bytes, **arguments: Any) -> bytes:
        """What a file holds after the network has done what it held."""
        with open(os.memfd_create("helsewan-questions"), "r+b") as file, Client(self.name) as client:
            file.write(what)
            file.flush()
            client.run(op, (file.fileno(),), **arguments)
            file.seek(0)
            return file.read()
