"""``helsewan status`` and ``helsewan ip``: the state of a running network or how the latest ended, and addresses."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import typer

from helsewan.cli.options import Json, Name, Node
from helsewan.common.errors import InputError, Problem


def status(
    name: Name = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Grade the time from then on: 14:05, a date and time, or 10min.")
    ] = None,
    as_json: Json = False,
    last: Annotated[
        bool, typer.Option("--last", help="Show how the network that was started last has ended, and why.")
    ] = False,
) -> None:
    """Show the state of a running network. What is dead, stalled or late since when, and whether it is valid."""
    from helsewan.cli.tables.status import last_lines, print_lines, status_lines
    from helsewan.lab.client.client import Client
    from helsewan.lab.health.since import parse_since

    if last and since is not None:
        raise InputError(Problem("--since", since, "cannot be combined with --last", "leave one out"))
    asked: dict[str, Any] = {} if since is None else {"since_s": parse_since(since, time.time())}
    if last:
        facts, lines = _last(name), last_lines
    else:
        with Client(name) as client:
            facts, lines = client.ask("status", **asked), status_lines
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print_lines(lines(facts))


def _last(name: str | None) -> dict[str, Any]:
    """What is known of the latest network, of that ``name`` if it is given. Raises InputError where there is none."""
    from helsewan.lab.client.registry import own_registry
    from helsewan.lab.supervision.last_network import details, last_network

    with own_registry() as registry:
        network = last_network(registry, name)
        if network is None:
            raise InputError(Problem("--last", name, "no network was started", "start one with `helsewan up`"))
        return details(network, network.name in registry.names())


def ip(node: Node, name: Name = None, as_json: Json = False) -> None:
    """Print the addresses of a site or router, one a line, IPv4 first."""
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        addresses = client.ask("addresses", node=node)
    print(json.dumps(addresses) if as_json else "\n".join(addresses))
