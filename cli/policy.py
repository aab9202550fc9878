"""The command line's verbs for policies: what is wrong with one, what it says, what changes from one to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.cli.topology import DEFAULT_SEED, From, Seed, Sites
from helsewan.common.errors import InputError, Problem
from helsewan.policies.language.refusal import Refusal

if TYPE_CHECKING:
    from helsewan.policies.plan import Plan
    from helsewan.topology.model import Network

policy_app = typer.Typer(no_args_is_help=True, help="Check, compare and explain policies.")

At = Annotated[
    str | None,
    typer.Option("--at", help="The date or time to judge exceptions at, such as 2026-12-31; now without."),
]
Policy = Annotated[str, typer.Argument(help="A policy of the library, or a path to a policy file.")]


@policy_app.command("list")
def policy_list() -> None:
    """Name the policies of the library."""
    from helsewan.cli.tables.networks import print_library
    from helsewan.policies.language.source import library

    print_library("policy", "what it is for", library())


@policy_app.command("schema")
def policy_schema() -> None:
    """Print the JSON Schema of policy files, for editors."""
    from helsewan.policies.language.json_schema import policy_json_schema

    print(json.dumps(policy_json_schema(), indent=2))


@policy_app.command("check")
def policy_check(
    policy: Policy, sites: Sites = None, from_: From = None, seed: Seed = DEFAULT_SEED, at: At = None
) -> None:
    """Say what a policy is, or every error in it, one line each, with exit code 2."""
    from helsewan.cli.tables.policy_text import show_policy

    show_policy(_compiled(policy, _network(from_, sites, seed), at))


@policy_app.command("show")
def policy_show(policy: Policy) -> None:
    """Print a policy with all that it includes as one file."""
    from helsewan.policies.language.source import load_policy, policy_path

    print(load_policy(policy_path(policy)).document.text, end="")


@policy_app.command("diff")
def policy_diff(
    before: Policy,
    after: Policy,
    sites: Sites = None,
    from_: From = None,
    seed: Seed = DEFAULT_SEED,
    at: At = None,
) -> None:
    """Print what leads from one policy to another: entry by entry, and who may open what that could not before."""
    from helsewan.cli.tables.policy_text import show_difference

    network = _network(from_, sites, seed)
    show_difference(_compiled(before, network, at), _compiled(after, network, at))


@policy_app.command("explain")
def policy_explain(
    site: Annotated[str, typer.Argument(help="A site.")],
    other: Annotated[str, typer.Argument(help="Another.")],
    service: Annotated[str | None, typer.Option("--service", help="One service; all without.")] = None,
    policy: Annotated[str, typer.Option("--policy", help="A policy of the library, or a path to one.")] = "national",
    sites: Sites = None,
    from_: From = None,
    seed: Seed = DEFAULT_SEED,
    at: At = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say why two sites may or may not open services to each other, and how their packets go: over which VPNs, labels
    and routers, in which class, and where to if something on the way fails. Exit code 0 whatever the answer."""
    from helsewan.cli.tables.policy_explain import show_explained

    show_explained(_compiled(policy, _network(from_, sites, seed), at), (site, other), service, as_json)


def _network(source: Path | None, sites: int | None, seed: int) -> Network:
    from helsewan.topology.network_source import load_network

    return load_network(source, sites, seed).network


def _compiled(policy: str, network: Network, at: str | None) -> Plan:
    from helsewan.policies.compile import compile_policy, load_policy, policy_path
    from helsewan.policies.language.timestamps import parse_timestamp, utc_now

    try:
        now = utc_now() if at is None else parse_timestamp(at).begins
    except Refusal as refusal:
        raise InputError(Problem("--at", at, refusal.reason, refusal.hint)) from None
    return compile_policy(load_policy(policy_path(policy)), network, now=now)
