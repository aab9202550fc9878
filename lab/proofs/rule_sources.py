"""Sources of the rules of a verification: a policy's intended rules, a dump in a file, or the switches of a running
lab."""

from __future__ import annotations

import os
from pathlib import Path

from helsewan.common.document import read_bytes
from helsewan.common.exit_codes import ExitCode
from helsewan.controller.rules.generation import first_generation
from helsewan.lab.client.client import Client, NetworkRefused
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.verification.dump.dump import MAX_BYTES, Dump, read


def intended(plan: Plan) -> Dump:
    """The rules that follow from a plan while nothing is down."""
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in plan.network.routers}
    return Dump.of(plan, rules, time=utc_now())


def from_file(path: Path) -> Dump:
    """The rules in a file. Raises InputError."""
    return read(read_bytes(path, MAX_BYTES), str(path))


def raw_from_switches(name: str | None) -> bytes:
    """The dump of what the switches of a standing network hold now. Raises NetworkRefused where one does not tell."""
    file = os.memfd_create("helsewan-rules")
    try:
        with Client(name) as client:
            if status := client.run("rules", (file, 2)):
                raise NetworkRefused(
                    f"the switches of network {client.name} were not read: status {status}", ExitCode.VOID
                )
        with open(file, "rb", closefd=False) as dump:
            dump.seek(0)
            return dump.read()
    finally:
        os.close(file)


def from_switches(name: str | None) -> Dump:
    """The same, read. Raises InputError for what is no dump."""
    return read(raw_from_switches(name), "the switches' rules")
