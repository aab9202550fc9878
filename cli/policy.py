"""``helsewan policy``: check, show, compare and explain policies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.cli.options import (
    DEFAULT_POLICY,
    DEFAULT_SEED,
    At,
    From,
    Json,
    Policy,
    PolicyArgument,
    Seed,
    Sites,
    moment,
)

if TYPE_CHECKING:
    from helsewan.policies.plan import Plan
    from helsewan.topology.model import Network

policy_app = typer.Typer(no_args_is_help=True, help="Check, compare and explain policies.")


@policy_app.command("list")
def policy_list() -> None:
    """List the policies of the library."""
    from helsewan.cli.tables.library import print_library
    from helsewan.policies.language.source import library

    print_library("policy", "purpose", library())


@policy_app.command("schema")
def policy_schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    from helsewan.policies.language.json_schema import policy_json_schema

    print(json.dumps(policy_json_schema(), indent=2))


@policy_app.command("check")
def policy_check(
    policy: PolicyArgument, sites: Sites = None, from_: From = None, seed: Seed = DEFAULT_SEED, at: At = None
) -> None:
    """Print a summary of a policy, or every error in it. Errors are one line each, and the exit code is 2."""
    from helsewan.cli.tables.policy_text import show_policy

    show_policy(_compiled(policy, _network(from_, sites, seed), at))


@policy_app.command("show")
def policy_show(policy: PolicyArgument) -> None:
    """Print a policy, with all that it includes, as one file."""
    from helsewan.policies.language.source import load_policy, policy_path

    print(load_policy(policy_path(policy)).document.text, end="")


@policy_app.command("diff")
def policy_diff(
    before: PolicyArgument,
    after: PolicyArgument,
    sites: Sites = None,
    from_: From = None,
    seed: Seed = DEFAULT_SEED,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Print the differences between two policies. First by entry, then which sites may open more or less, and what
    travels in a changed class."""
    from helsewan.cli.tables.policy_text import show_difference

    network = _network(from_, sites, seed)
    show_difference(_compiled(before, network, at), _compiled(after, network, at), as_json)


@policy_app.command("explain")
def policy_explain(
    site: Annotated[str, typer.Argument(help="A site.")],
    other: Annotated[str, typer.Argument(help="Another site.")],
    service: Annotated[str | None, typer.Option("--service", help="One service; by default all.")] = None,
    policy: Policy = DEFAULT_POLICY,
    sites: Sites = None,
    from_: From = None,
    seed: Seed = DEFAULT_SEED,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Explain which services two sites may open to each other, and why. And how their packets travel: over which VPNs,
    labels and routers, in which class, and on which detour after a failure on the path. Exit code 0 in any case."""
    from helsewan.cli.tables.policy_explain import show_explained

    show_explained(_compiled(policy, _network(from_, sites, seed), at), (site, other), service, as_json)


def _network(source: Path | None, sites: int | None, seed: int) -> Network:
    from helsewan.topology.network_source import load_network

    return load_network(source, sites, seed).network


def _compiled(policy: str, network: Network, at: str | None) -> Plan:
    from helsewan.policies.plan_source import load_plan

    return load_plan(policy, network, moment(at))
