"""``helsewan status``: the state of a running network."""

from __future__ import annotations

import json

from helsewan.cli.options import Json, Name


def status(name: Name = None, as_json: Json = False) -> None:
    """Show the state of a running network."""
    from helsewan.cli.tables.status import print_status
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        facts = client.ask("status")
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print_status(facts)
