"""The rules that the switches of a running lab hold, as a dump that its server writes."""

from __future__ import annotations

import os

from helsewan.common.exit_codes import ExitCode
from helsewan.lab.client.client import Client, NetworkRefused


def raw_from_switches(name: str | None) -> bytes:
    """The dump of what the switches of a running lab hold now. Raises NetworkRefused where one does not answer."""
    file = os.memfd_create("helsewan-rules")
    try:
        with Client(name) as client:
            if status := client.run("rules", (file, 2)):
                own = {ExitCode.INTERNAL_ERROR, ExitCode.MISSING_PRIVILEGE}
                code = status if status in own else ExitCode.INTERNAL_ERROR if status == 1 else ExitCode.VOID
                raise NetworkRefused(f"the switches of network {client.name} were not read: status {status}", code)
        with open(file, "rb", closefd=False) as dump:
            dump.seek(0)
            return dump.read()
    finally:
        os.close(file)
