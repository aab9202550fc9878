"""Prober of a testbed in this process's sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.probing.packet_injector import InjectionResult, ScheduledFrame, inject
from helsewan.lab.probing.session_prober import SessionSpec, run_sessions


@dataclass(frozen=True)
class LocalProber:
    """The sites' namespaces, by site id."""

    sites: Mapping[str, Namespace]

    def inject(self, frames: Sequence[ScheduledFrame], mark: bytes, listen_s: float) -> InjectionResult:
        """Send frames in order; returns the received frames that contain ``mark``."""
        return inject(self.sites, frames, mark, listen_s)

    def run_sessions(self, sessions: Sequence[SessionSpec]) -> Sequence[bool | None]:
        """Whether each session was established; None where it could not be tried."""
        return run_sessions(self.sites, sessions)
