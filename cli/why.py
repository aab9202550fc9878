"""``helsewan why``: why a packet between two sites arrives or is dropped, and by which rule."""

from __future__ import annotations

from typing import Annotated

import typer

from helsewan.cli.options import At, From, Json, Name, PolicyOverride, RulesFile, SeedOverride, SitesOverride, moment

_PACKET = (
    "A protocol with /PORT, then words: ipv6, src=, dst=, flags=, type=, dscp=, ttl=, size=, fragment, from=, to=."
)


def why(
    site: Annotated[str, typer.Argument(help="The site that sends.")],
    other: Annotated[str, typer.Argument(help="The site that should receive.")],
    packet: Annotated[str, typer.Option("--packet", help=_PACKET)],
    access_link: Annotated[
        int, typer.Option("--access-link", help="The sender's access link: 0 (primary) or 1.", min=0, max=1)
    ] = 0,
    name: Name = None,
    policy: PolicyOverride = None,
    sites: SitesOverride = None,
    seed: SeedOverride = None,
    from_: From = None,
    rules: RulesFile = None,
    at: At = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print every rule on the path.")] = False,
    as_json: Json = False,
) -> None:
    """Say why a packet between two sites arrives or not. It is followed through the rules of a running network's
    switches, of a dump (--rules), or of a policy (--policy, --sites ...). Exit code 0 in any case."""
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.lab.proofs.why import print_why
    from helsewan.lab.proofs.why import why as asked

    query = RuleQuery(name, policy, sites, seed, from_, rules, moment(at))
    print_why(asked(query, site, other, packet, access_link), as_json, verbose)
