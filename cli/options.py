"""Command-line options and arguments that more than one verb has, each defined once.

Imports Typer only: the values are checked by the packages that use them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.common.errors import InputError, Problem

if TYPE_CHECKING:
    from datetime import datetime


DEFAULT_SEED = 1
DEFAULT_POLICY = "national"

# Which running network, and how to print
Name = Annotated[str | None, typer.Option("--name", help="Which running network; not needed while there is one only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]
Results = Annotated[
    Path, typer.Option("--results", envvar="HELSEWAN_RESULTS", help="Directory for results, history and logs.")
]

# Which network to build
From = Annotated[
    Path | None,
    typer.Option("--from", help="A network file: GraphML, GML, YAML or JSON; in place of the national network."),
]
Sites = Annotated[
    int | None,
    typer.Option("--sites", help="Number of sites in all; by default 400, or what a file has or needs."),
]
SitesOverride = Annotated[int | None, typer.Option("--sites", help="Number of sites in all.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of all random numbers.")]
SeedOverride = Annotated[int | None, typer.Option("--seed", help="Seed of all random numbers.")]
SwedishRoute = Annotated[bool, typer.Option("--swedish-route", help="Add the Narvik-Oslo link through Sweden.")]
DataplaneName = Annotated[
    str, typer.Option("--dataplane", help="What carries frames on links: engine (the link engine) or kernel.")
]
Routers = Annotated[
    str,
    typer.Option(
        "--routers",
        help="shared (bridges of one Open vSwitch with DPDK) or private (an Open vSwitch each); by default shared "
        "where that can run.",
    ),
]

# Which policy and which rules
Policy = Annotated[str, typer.Option("--policy", help="A policy of the library, or a policy file.")]
PolicyOverride = Annotated[str | None, typer.Option("--policy", help="A policy of the library, or a policy file.")]
PolicyArgument = Annotated[str, typer.Argument(help="A policy of the library, or a path to a policy file.")]
At = Annotated[
    str | None,
    typer.Option(
        "--at", help="The date or time for which exceptions are evaluated, such as 2026-12-31; by default now."
    ),
]
RulesFile = Annotated[
    Path | None, typer.Option("--rules", help="A file written by `rules dump`, in place of a network's rules.")
]

# Which node, link and direction of a running network
Node = Annotated[str, typer.Argument(help="A site or router.")]
Link = Annotated[str, typer.Argument(help="oslo-hamar, SITE/wan0, SITE, or a pattern such as 'hospital-*/wan1'.")]
Direction = Annotated[str, typer.Option("--direction", help="both, forward (from a site) or back.")]


def moment(at: str | None) -> datetime | None:
    """The time that ``--at`` names, None without one; raises InputError for what is no date or time."""
    from helsewan.policies.language.refusal import Refusal
    from helsewan.policies.language.timestamps import parse_timestamp

    try:
        return None if at is None else parse_timestamp(at).begins
    except Refusal as refusal:
        raise InputError(Problem("--at", at, refusal.reason, refusal.hint)) from None
