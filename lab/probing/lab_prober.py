"""Prober of a running lab: sends test packets and opens sessions through its control socket."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helsewan.lab.client.client import Client
from helsewan.lab.probing.injection_file import decode_injected, encode_calls, encode_sendings
from helsewan.lab.probing.packet_injector import Injected, Sending
from helsewan.lab.probing.session_prober import Call
from helsewan.lab.probing.verify_live import verify_live
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import Dump
from helsewan.verification.live.live_report import LiveReport


def verify_lab(name: str | None, dump: Dump, plan: Plan, seed: int, most: int | None = None) -> LiveReport:
    """Verify running lab ``name``, or the only one, by test packets against ``plan``; ``dump`` is what its switches
    hold. ``most`` limits the packets. Raises NetworkRefused and NetworkGone."""
    return verify_live(plan, dump.rules, LabProber(name), seed, most, dump.down)


@dataclass(frozen=True)
class LabProber:
    """The sites of running lab ``name``, or of the only one."""

    name: str | None

    def inject(self, sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Injected:
        """Send frames in their order, and collect those that arrive with ``mark``."""
        return decode_injected(self._run("play", encode_sendings(sendings), mark=mark.hex(), listen_s=listen_s))

    def run_sessions(self, calls: Sequence[Call]) -> Sequence[bool | None]:
        """Whether each session came about; None where it could not be tried."""
        established: list[bool | None] = json.loads(self._run("talk", encode_calls(calls)))
        return established

    def _run(self, op: str, request: bytes, **arguments: Any) -> bytes:
        """What the file of ``request`` holds once the lab has done operation ``op`` with it."""
        with open(os.memfd_create("helsewan-probes"), "r+b") as file, Client(self.name) as client:
            file.write(request)
            file.flush()
            client.run(op, (file.fileno(),), **arguments)
            file.seek(0)
            return file.read()
