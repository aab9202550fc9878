"""``helsewan mutate``: mutation tests of the verifier."""

from __future__ import annotations

from typing import Annotated

import typer

from helsewan.cli.options import DEFAULT_POLICY, DEFAULT_SEED, From, Json, Policy, SitesOverride

_SITES = 90  # all hospitals, services and data centres, and some of the other kinds


def mutate(
    number: Annotated[int, typer.Option("--number", help="Number of faults in rules.")] = 240,
    policies: Annotated[int, typer.Option("--policies", help="Number of faults in the policy.")] = 45,
    policy: Policy = DEFAULT_POLICY,
    sites: SitesOverride = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the network and of the faults.")] = DEFAULT_SEED,
    from_: From = None,
    failures: Annotated[str, typer.Option("--failures", help="What may fail: none, single or srlg.")] = "single",
    as_json: Json = False,
) -> None:
    """Test the verifier with faults in rules and in the policy. Faults are injected one at a time; exit code 1 when the
    verifier misses one that changes what passes between sites, or reports a false positive."""
    from helsewan.policies.compile import load_policy, policy_path
    from helsewan.topology.network_source import load_network
    from helsewan.verification.mutation.trial import TrialRequest, print_result, run_trials

    request = TrialRequest(number, policies, seed, failures)
    if sites is None and from_ is None:
        sites = _SITES
    outcome = run_trials(load_policy(policy_path(policy)), load_network(from_, sites, seed).network, request)
    raise typer.Exit(print_result(outcome, request, as_json))
