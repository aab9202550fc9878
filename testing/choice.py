"""Which network a test asks for, by its marker. Light to import: pytest loads it in every session."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

SCOPES = ("session", "module", "function")


@dataclass(frozen=True, slots=True)
class NetworkChoice:
    """The national network with so many ``sites``, or the one of the file ``source``, under a policy; and for how long
    it stands (``reuse``: session, module or function)."""

    sites: int = 90
    source: str = ""
    seed: int = 1
    policy: str = "open"
    routers: str = ""
    hosts_per_hospital: int = 0
    reuse: str = "session"

    @property
    def name(self) -> str:
        """What it is, for people, and for groups of pytest-xdist."""
        what = Path(self.source).stem if self.source else f"{self.sites}-sites"
        return "-".join([what, Path(self.policy).stem, *([self.routers] if self.routers else [])])


def choice_of(item: pytest.Item) -> NetworkChoice:
    """The network that an item's marker ``network`` asks for; files are relative to the test's. Raises UsageError for
    keys or values that do not exist."""
    options: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("network"))):  # the nearest one last
        if marker.args:
            raise pytest.UsageError(f"{item.nodeid}: marker network: name its values (hint: network(sites=90))")
        options |= marker.kwargs
    known = [field.name for field in fields(NetworkChoice)]
    for key in options:
        if key not in known:
            raise pytest.UsageError(f"{item.nodeid}: marker network: {key} is no key (hint: {', '.join(known)})")
    if options.get("reuse", SCOPES[0]) not in SCOPES:
        raise pytest.UsageError(
            f"{item.nodeid}: marker network: reuse={options['reuse']!r} (hint: one of {', '.join(SCOPES)})"
        )
    if options.get("source"):
        options["source"] = str((item.path.parent / str(options["source"])).resolve())
    if str(options.get("policy", "")).endswith((".yaml", ".yml")):
        options["policy"] = str((item.path.parent / str(options["policy"])).resolve())
    return NetworkChoice(**options)
