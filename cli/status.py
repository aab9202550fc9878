"""``helsewan status``: the state of a running network."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from helsewan.cli.options import Json, Name


def status(
    name: Name = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Grade the time from then on: 14:05, a date and time, or 10min.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the state of a running network, and how far to trust it."""
    from helsewan.cli.tables.status import print_status
    from helsewan.lab.client.client import Client
    from helsewan.lab.health.since import parse_since

    asked: dict[str, Any] = {} if since is None else {"since_s": parse_since(since, time.time())}
    with Client(name) as client:
        facts = client.ask("status", **asked)
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print_status(facts)
