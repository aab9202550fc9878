"""The northbound interface on a network that a test makes up: a source that remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from policy_network import small_network

from helsewan.common.document import loads
from helsewan.controller.northbound.api import authenticated
from helsewan.controller.northbound.context import Context
from helsewan.controller.northbound.controller_client import Declined, State
from helsewan.controller.northbound.views.counting import EntryCounters
from helsewan.controller.rules.paths import Failures
from helsewan.controller.update.network_state import links_of
from helsewan.controller.update.policy_change import describe_failures
from helsewan.policies.compile import compile_policy, read_policy
from helsewan.policies.plan import Plan

SMALL = Path(__file__).parents[1] / "golden" / "policy" / "small.yaml"
TOKEN = "operator.one-two-three"


def source_text() -> str:
    """The policy in force at first, as YAML."""
    return SMALL.read_text(encoding="utf-8")


@dataclass
class MadeUp:
    """A source whose controller takes every policy, unless ``refusal`` says otherwise."""

    text: str = field(default_factory=source_text)
    number: int = 1
    withdrawn: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()
    obedient: bool = True  # paths follow what is withdrawn
    refusal: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    entries: tuple[EntryCounters, ...] = ()

    def __post_init__(self) -> None:
        self.network = small_network()
        self._plan = compile_policy(read_policy(loads(self.text.encode(), "small.yaml")), self.network)

    @property
    def version(self) -> str:
        return f"{self.number}-{self._plan.digest}"

    def state(self) -> State:
        routers = {
            router: {"connected": True, "programmed": True, "flows": 10, "groups": 5, "meters": 1}
            for router in self.network.router
        }
        withdrawn = {place: sorted(links_of(self.network, place)) for place in sorted(self.withdrawn)}
        avoided = frozenset[str]().union(*withdrawn.values()) if self.obedient else frozenset[str]()
        kept_clear = Failures(self.down, frozenset(), avoided)
        return {
            "policy": self._plan.policy,
            "version": self.version,
            "digest": self._plan.digest,
            "phase": "steady",
            "routers": routers,
            "links_down": sorted(self.down),
            "withdrawn": withdrawn,
            "paths": describe_failures(kept_clear),
            "audit": {"r1": 1.5},
            "events": {"policy-switched": 2, "drift": 1},
            "cpu_seconds": 12.5,
        }

    def plan(self) -> Plan:
        return self._plan

    def apply(self, plan: Plan, who: Mapping[str, Any], expects: str, changes: tuple[str, ...]) -> dict[str, Any]:
        self.asked.append(("apply", plan.policy, dict(who), expects, changes))
        if self.refusal:
            return {"event": "policy-refused", **self.refusal}
        self._plan, self.number = plan, self.number + 1
        told = {"policy": plan.policy, "changes": list(changes), "rules": [1, 2, 3], "seconds": 0.25}
        return {"event": "policy-switched", **told, "after": {"policy": plan.policy, "version": self.version}}

    def refused(self, policy: str, reason: str, who: Mapping[str, Any]) -> None:
        self.asked.append(("refused", policy, reason, dict(who)))

    def withdraw(self, places: frozenset[str], who: Mapping[str, Any]) -> None:
        self.asked.append(("withdraw", places, dict(who)))
        self.withdrawn = places

    def counters(self, router: str, cookie: int, mask: int) -> bytes:
        self.asked.append(("counters", router))
        if router == "r3":
            raise Declined("r3 is not connected")
        found = (entry for entry in self.entries if (entry.cookie ^ cookie) & mask == 0)
        return b"".join(map(flow_statistics, found))


def flow_statistics(entry: EntryCounters) -> bytes:
    """One entry of a flow statistics reply (OpenFlow 1.3.5, 7.3.5.2), with a match of everything."""
    instructions = struct.pack("!HH4xQQ", 2, 24, *entry.metadata) + struct.pack("!HHB3x", 1, 8, 3)
    match, length = struct.pack("!HH4x", 1, 4), 48 + 8 + len(instructions)
    counts = entry.cookie, entry.packets, entry.bytes
    return struct.pack("!HBxIIHHHH4xQQQ", length, entry.table, 7, 8, 100, 0, 0, 0, *counts) + match + instructions


class Northbound:
    """The interface on a made-up source, asked in this process as a client would."""

    def __init__(self, home: Path, source: MadeUp | None = None, effect_s: float = 0.2) -> None:
        self.source = source or MadeUp()
        self.events, self.changes = home / "events.jsonl", home / "changes.jsonl"
        self.events.touch()
        self.changes.touch()
        context = Context.of(self.source, self.events, self.changes, effect_s)
        self.app = authenticated(context, [TOKEN, "other.four-five-six"])

    def ask(self, method: str, path: str, token: str | None = TOKEN, headers: Any = (), **how: Any) -> httpx.Response:
        """One request, with a token unless that is None."""
        shown = list(httpx.Headers(headers, encoding="latin-1").raw)
        shown += [] if token is None else [(b"authorization", f"Bearer {token}".encode())]

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://helsewan", headers=shown) as client:
                return await client.request(method, path, **how)

        return asyncio.run(asked())

    def get(self, path: str) -> Any:
        """What a path tells."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def note(self, **event: Any) -> int:
        """Appends an event; returns its id."""
        with self.events.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        return self.events.stat().st_size
