"""What `helsewan up` suggests can be done: by every policy of the library, on small and smallest networks."""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path

import pytest
from small_network import DESCRIPTION
from smallest_networks import SMALLEST

from helsewan.lab.client.usage import permitted_ping, size, usage
from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.language.source import library_names
from helsewan.policies.plan import Plan, Protocol
from helsewan.policies.plan_source import load_network_plan

NETWORKS = {**SMALLEST, "small": DESCRIPTION}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("networks") / f"{request.param}.yaml"
    file.write_text(NETWORKS[request.param])
    return file


def pings(plan: Plan) -> set[tuple[str, str]]:
    """Every pair of sites of which the policy lets the first ping the second, asked one by one."""
    icmp = [service.name for service in plan.services if service.protocol is Protocol.ICMP]
    pairs = permutations([site.id for site in plan.network.sites], 2)
    return {pair for pair in pairs if any(is_allowed(plan, *pair, service) for service in icmp)}


@pytest.mark.parametrize("policy", ["open", "national", "full-mesh", "regional-silos"])
def test_the_suggested_ping_is_permitted(network: Path, policy: str) -> None:
    plan = load_network_plan(policy, network, None, 1, False)
    permitted, suggested = pings(plan), permitted_ping(plan)
    assert suggested in permitted if permitted else suggested is None
    commands = usage(plan, " --name other")
    assert all(" --name other" in command for command in commands) and "None" not in str(commands)
    assert any(" ping " in command for command in commands) is bool(permitted)


def test_all_policies_on_the_national_network() -> None:
    for policy in library_names():
        plan = load_network_plan(policy, None, 90, 1, False)
        assert permitted_ping(plan) in pings(plan)


def test_what_is_suggested_exists(network: Path) -> None:
    plan = load_network_plan("open", network, None, 1, False)
    links = {link.id for link in plan.network.links} | {f"{site.id}/wan0" for site in plan.network.sites}
    (command,) = (command for command in usage(plan, "") if "link set" in command)
    assert re.split(" +", command)[3] in links
    assert "1 sites" not in size(plan) and "1 routers" not in size(plan)
