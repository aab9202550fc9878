"""The command line's verb that tries the verifier on faults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from helsewan.cli.options import Json

_SITES = 90  # hospitals, services and data centres, and some of the others


def mutate(
    number: Annotated[int, typer.Option("--number", help="Faults in rules.")] = 240,
    policies: Annotated[int, typer.Option("--policies", help="Faults in the policy.")] = 45,
    policy: Annotated[str, typer.Option("--policy", help="A policy of the library, or a policy file.")] = "national",
    sites: Annotated[int | None, typer.Option("--sites", help="Number of sites in all.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the network and of the faults.")] = 1,
    from_: Annotated[Path | None, typer.Option("--from", help="A network's file: GraphML, GML, YAML, JSON.")] = None,
    failures: Annotated[str, typer.Option("--failures", help="Looked at under: none, single or srlg.")] = "single",
    as_json: Json = False,
) -> None:
    """Put faults into rules and into the policy, one at a time, and see which the verifier catches; exit code 1 when it
    misses one that changes what passes between sites, or raises a false alarm."""
    from helsewan.policies.compile import load_policy, policy_path
    from helsewan.topology.network_source import load_network
    from helsewan.verification.mutation.trial import TrialRequest, show, try_out

    wanted = TrialRequest(number, policies, seed, failures)
    if sites is None and from_ is None:
        sites = _SITES
    outcome = try_out(load_policy(policy_path(policy)), load_network(from_, sites, seed).network, wanted)
    raise typer.Exit(show(outcome, wanted, as_json))
