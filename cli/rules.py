"""``helsewan rules``: dump the rules of switches, and the packets that they deliver."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from helsewan.cli.options import At, From, Json, Name, PolicyOverride, RulesFile, SeedOverride, SitesOverride, moment
from helsewan.common.errors import InputError, Problem

rules_app = typer.Typer(no_args_is_help=True, help="Dump and query the rules of switches.")


@rules_app.command("dump")
def rules_dump(
    output: Annotated[Path | None, typer.Option("--output", help="A file; .gz is compressed.")] = None,
    name: Name = None,
    policy: PolicyOverride = None,
    sites: SitesOverride = None,
    seed: SeedOverride = None,
    from_: From = None,
    at: At = None,
) -> None:
    """Write the rules of all switches of a running network. Or, with a policy or a network's options, the rules that
    they should have. docs/verify.md has the format."""
    if policy is None and sites is None and seed is None and from_ is None and at is None:
        from helsewan.lab.client.rules import raw_from_switches

        raw = raw_from_switches(name)
    else:
        from helsewan.lab.proofs.rule_query import RuleQuery
        from helsewan.lab.proofs.rule_sources import intended
        from helsewan.verification.dump.dump import write

        query = RuleQuery(name=name, policy=policy, sites=sites, seed=seed, source=from_, at=moment(at))
        if query.is_live:
            raise InputError(
                Problem("--policy", policy, "cannot be used with a running network", "leave it or --name out")
            )
        raw = b"".join(write(intended(query.plan(), query.at)))
    if output is not None:
        from helsewan.common.files import write_file

        write_file("--output", output, gzip.compress(raw, mtime=0) if output.suffix == ".gz" else raw)
        return
    if os.isatty(1):
        raise InputError(
            Problem(
                "--output", None, "is missing, and standard output is a terminal", "name a file, or pipe into a program"
            )
        )
    try:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@rules_app.command("packets")
def rules_packets(
    from_site: Annotated[str, typer.Argument(metavar="FROM", help="The site that sends.")],
    to_site: Annotated[str, typer.Argument(metavar="TO", help="The site that receives.")],
    access_link: Annotated[
        int, typer.Option("--access-link", "--line", help="The sender's access link: 0 (primary) or 1.", min=0, max=1)
    ] = 0,
    name: Name = None,
    policy: PolicyOverride = None,
    sites: SitesOverride = None,
    seed: SeedOverride = None,
    from_: From = None,
    rules: RulesFile = None,
    outcome: Annotated[str, typer.Option("--outcome", help="delivered, dropped or looped.")] = "delivered",
    case: Annotated[str, typer.Option("--case", help="The failure case, by its name in reports.")] = "intact",
    as_json: Json = False,
) -> None:
    """Print exactly the packets that rules deliver between two sites. Each with the DSCP that it arrives with; or those
    to the second site's addresses that rules drop or forward in a loop."""
    from helsewan.lab.proofs.packet_sets import Outcome, packets, print_packets
    from helsewan.lab.proofs.rule_query import RuleQuery

    query = RuleQuery(name, policy, sites, seed, from_, rules)
    try:
        wanted_outcome = Outcome(outcome)
    except ValueError:
        known = ", ".join(each.value for each in Outcome)
        raise InputError(Problem("--outcome", outcome, "is no outcome", f"one of {known}")) from None
    print_packets(packets(query, from_site, access_link, to_site, wanted_outcome, case), as_json)
