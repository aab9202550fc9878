"""``helsewan status`` and ``helsewan ip``: the state of a running network, and the addresses of its nodes."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from helsewan.cli.options import Json, Name, Node


def status(
    name: Name = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Grade the time from then on: 14:05, a date and time, or 10min.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the state of a running network, and whether the machine kept up with it."""
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


def ip(node: Node, name: Name = None, as_json: Json = False) -> None:
    """Print the addresses of a site or router, one a line, IPv4 first."""
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        addresses = client.ask("addresses", node=node)
    print(json.dumps(addresses) if as_json else "\n".join(addresses))
