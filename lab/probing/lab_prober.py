"""Prober of a running lab: sends test packets and opens sessions through its control socket."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from helsewan.lab.client.client import Client
from helsewan.lab.probing.injection_file import decode_result, encode_frames, encode_sessions
from helsewan.lab.probing.packet_injector import InjectionResult, ScheduledFrame
from helsewan.lab.probing.session_prober import SessionSpec
from helsewan.lab.probing.verify_live import verify_live
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import Dump
from helsewan.verification.live.live_report import LiveReport


def verify_lab(name: str | None, dump: Dump, plan: Plan, seed: int, most: int | None = None) -> LiveReport:
    """Verify the running lab ``name``, or the only one, by probes against ``plan``; ``dump`` contains its switches'
    rules. ``most`` limits the number of probes. Raises NetworkRefused and NetworkGone."""
    return verify_live(plan, dump.rules, LabProber(name), seed, most, dump.down)


@dataclass(frozen=True)
class LabProber:
    """The sites of the running lab ``name``, or of the only one."""

    name: str | None

    def inject(self, frames: Sequence[ScheduledFrame], mark: bytes, listen_s: float) -> InjectionResult:
        """Send frames in order; returns the received frames that contain ``mark``."""
        return decode_result(self._run("inject", encode_frames(frames), mark=mark.hex(), listen_s=listen_s))

    def run_sessions(self, sessions: Sequence[SessionSpec]) -> Sequence[bool | None]:
        """Whether each session was established; None where it could not be tried."""
        established: list[bool | None] = json.loads(self._run("sessions", encode_sessions(sessions)))
        return established

    def _run(self, op: str, request: bytes, **arguments: Any) -> bytes:
        """Execute operation ``op`` on a file that contains ``request``; returns its content afterwards."""
        with open(os.memfd_create("helsewan-probes"), "r+b") as file, Client(self.name) as client:
            file.write(request)
            file.flush()
            client.run(op, (file.fileno(),), **arguments)
            file.seek(0)
            return file.read()
