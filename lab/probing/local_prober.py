"""Questions for a network of this process's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.lab.probing.packet_injector import Played, Sending, play
from helsewan.lab.probing.session_prober import Call, talk


@dataclass(frozen=True)
class Here:
    """Sites by name."""

    sites: Mapping[str, Namespace]

    def play(self, sendings: Sequence[Sending], mark: bytes, listen_s: float) -> Played:
        """Send frames, and hear what arrives."""
        return play(self.sites, sendings, mark, listen_s)

    def talk(self, calls: Sequence[Call]) -> Sequence[bool | None]:
        """Have conversations."""
        return talk(self.sites, calls)
