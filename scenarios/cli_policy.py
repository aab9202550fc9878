"""The command line's verbs for policies: what is wrong with one, what it says, what changes from one to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scenarios.cli_topology import DEFAULT_SEED, From, Seed, Sites

if TYPE_CHECKING:
    from policies.plan import Plan
    from topology.model import Network

policy_app = typer.Typer(no_args_is_help=True, help="Check, compare and explain policies.")

Policy = Annotated[str, typer.Argument(help="A policy of the library, or a path to a policy file.")]


@policy_app.command("list")
def policy_list() -> None:
    """Name the policies of the library."""
    from policies.source import library
    from scenarios.tables import print_library

    print_library("policy", "what it is for", library())


@policy_app.command("schema")
def policy_schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    from policies.schema import policy_json_schema

    print(json.dumps(policy_json_schema(), indent=2))


@policy_app.command("check")
def policy_check(policy: Policy, sites: Sites = None, from_: From = None, seed: Seed = DEFAULT_SEED) -> None:
    """Say what a policy is, or every error in it, one line each, with exit code 2."""
    from scenarios.policy_words import show_policy

    show_policy(_compiled(policy, _network(from_, sites, seed)))


@policy_app.command("diff")
def policy_diff(
    before: Policy, after: Policy, sites: Sites = None, from_: From = None, seed: Seed = DEFAULT_SEED
) -> None:
    """Print what leads from one policy to another: entry by entry, and who may open what that could not before."""
    from scenarios.policy_words import show_difference

    network = _network(from_, sites, seed)
    show_difference(_compiled(before, network), _compiled(after, network))


def _network(source: Path | None, sites: int | None, seed: int) -> Network:
    from scenarios.blueprints import blueprint

    return blueprint(source, sites, seed).network


def _compiled(policy: str, network: Network) -> Plan:
    from policies.compile import compile_policy, load_policy, policy_path

    return compile_policy(load_policy(policy_path(policy)), network)
