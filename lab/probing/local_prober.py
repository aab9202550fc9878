"""Questions for a network of this process's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.probing.packet_injector import Injected, Sending, inject
from helsewan.lab.probing.session_prober import Call, run_sessions


@dataclass(frozen=True)
class LocalProber:
    """Sites by name."""

    sites: Mapping[str, Namespace]

    def inject(self, sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Injected:
        """Send frames, and hear what arrives."""
        return inject(self.sites, sendings, mark, listen_s)

    def run_sessions(self, calls: Sequence[Call]) -> Sequence[bool | None]:
        """Have conversations."""
        return run_sessions(self.sites, calls)
