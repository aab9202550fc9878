"""``helsewan status`` and ``helsewan ip``: the state of a running network, and the addresses of its nodes."""

from __future__ import annotations

import json

from helsewan.cli.options import Json, Name, Node


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


def ip(node: Node, name: Name = None, as_json: Json = False) -> None:
    """Print the addresses of a site or router, one a line, IPv4 first."""
    from helsewan.lab.client.client import Client

    with Client(name) as client:
        addresses = client.ask("addresses", node=node)
    print(json.dumps(addresses) if as_json else "\n".join(addresses))
