"""The command line's verbs on rules."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from helsewan.cli.options import Json, Name
from helsewan.common.errors import InputError, Problem

rules_app = typer.Typer(no_args_is_help=True, help="Look at the rules of switches.")

Policy = Annotated[str | None, typer.Option("--policy", help="A policy of the library, or a policy file.")]
From = Annotated[Path | None, typer.Option("--from", help="A network's file: GraphML, GML, YAML, JSON.")]
Sites = Annotated[int | None, typer.Option("--sites", help="Number of sites in all.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Seed of everything random.")]


@rules_app.command("dump")
def rules_dump(
    output: Annotated[Path | None, typer.Option("--output", help="A file; .gz is compressed.")] = None,
    name: Name = None,
    policy: Policy = None,
    sites: Sites = None,
    seed: Seed = None,
    from_: From = None,
) -> None:
    """Write what all switches of a running network hold; or, with a policy or a network's options, what they are meant
    to hold. docs/verify.md has the format."""
    from helsewan.lab.proofs.rule_query import RuleQuery
    from helsewan.lab.proofs.rule_sources import intended, raw_from_switches
    from helsewan.verification.dump.dump import write

    wanted = RuleQuery(name=name, policy=policy, sites=sites, seed=seed, source=from_)
    if wanted.is_live and policy is not None:
        raise InputError(Problem("--policy", policy, "goes with no running network", "leave it or --name out"))
    raw = b"".join(write(intended(wanted.plan()))) if wanted.is_intended else raw_from_switches(name)
    if output is not None:
        from helsewan.common.files import write_file

        write_file("--output", output, gzip.compress(raw, mtime=0) if output.suffix == ".gz" else raw)
        return
    if os.isatty(1):
        raise InputError(Problem("--output", None, "is needed: this is a terminal", "or pipe it into a program"))
    try:
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever reads it has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


@rules_app.command("packets")
def rules_packets(
    from_site: Annotated[str, typer.Argument(metavar="FROM", help="The site that sends.")],
    to_site: Annotated[str, typer.Argument(metavar="TO", help="The site that they are delivered to.")],
    line: Annotated[int, typer.Option("--line", help="0: the sender's first line, 1: its second.", min=0, max=1)] = 0,
    name: Name = None,
    policy: Policy = None,
    sites: Sites = None,
    seed: Seed = None,
    from_: From = None,
    rules: Annotated[Path | None, typer.Option("--rules", help="A dump of rules in place of a network's.")] = None,
    outcome: Annotated[
        str, typer.Option("--outcome", help="What becomes of them: delivered, dropped or looped.")
    ] = "delivered",
    case: Annotated[str, typer.Option("--case", help="While this has failed, as reports name it.")] = "intact",
    as_json: Json = False,
) -> None:
    """Write exactly those packets that rules deliver from one site to another, with the DSCP that they arrive with; or
    those to its addresses that they drop, or that go round in a loop."""
    from helsewan.lab.proofs.packet_sets import Outcome, packets, print_packets
    from helsewan.lab.proofs.rule_query import RuleQuery

    wanted = RuleQuery(name, policy, sites, seed, from_, rules)
    try:
        wanted_outcome = Outcome(outcome)
    except ValueError:
        known = ", ".join(each.value for each in Outcome)
        raise InputError(Problem("--outcome", outcome, "is none", f"one of {known}")) from None
    print_packets(packets(wanted, from_site, line, to_site, wanted_outcome, case), as_json)
