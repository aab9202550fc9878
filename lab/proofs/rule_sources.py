"""Sources of the rules of a verification: a policy's intended rules, a dump in a file, or the switches of a running
lab."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from helsewan.common.document import read_bytes
from helsewan.controller.rules.generation import first_generation
from helsewan.lab.client.rules import raw_from_switches
from helsewan.policies.language.timestamps import shown, utc_now
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import MAX_BYTES, Dump, read


def intended(plan: Plan, at: datetime | None = None) -> Dump:
    """The rules of a plan without failures; ``at`` is the time for which it was compiled, now if None."""
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in plan.network.routers}
    taken = "intended" if at is None else f"intended at {shown(at)}"
    return Dump.of(plan, rules, taken, time=at or utc_now())


def from_file(path: Path) -> Dump:
    """The rules in a dump file. Raises InputError."""
    return read(read_bytes(path, MAX_BYTES), str(path))


def from_switches(name: str | None) -> Dump:
    """The current rules of a running lab's switches. Raises InputError, and as `raw_from_switches`."""
    return read(raw_from_switches(name), "the switches' rules")
