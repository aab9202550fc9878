"""Prober of a network in this process's sandbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.probing.packet_injector import Injected, Sending, inject
from helsewan.lab.probing.session_prober import Call, run_sessions


@dataclass(frozen=True)
class LocalProber:
    """The namespaces of the sites, by name."""

    sites: Mapping[str, Namespace]

    def inject(self, sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Injected:
        """Send frames in their order, and collect those that arrive with ``mark``."""
        return inject(self.sites, sendings, mark, listen_s)

    def run_sessions(self, calls: Sequence[Call]) -> Sequence[bool | None]:
        """Whether each session came about; None where it could not be tried."""
        return run_sessions(self.sites, calls)
