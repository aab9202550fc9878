"""What topologies, quarantines and the way to the Internet come to: who has routes to whom."""

from __future__ import annotations

import policy_golden
import pytest
from policy_error_cases import GOOD
from policy_network import small_network

from helsewan.policies.compile import compile_policy
from helsewan.policies.plan import Plan

HEAD = GOOD[: GOOD.index("vpns:\n")]


def plan(vpns: str, rest: str = "contracts: {}\n") -> Plan:
    return compile_policy(policy_golden.policy(f"{HEAD}vpns:\n{vpns}{rest}"), small_network())


def sees(plan: Plan, vpn: str) -> set[str]:
    return {other.name for other in plan.imports_from(plan.vpn[vpn])}


REST = "  rest: {members: {kind: [hospital, municipality, datacentre, service]}, import: [x], export: [rest]}\n"


def test_members_of_a_mesh_see_each_other_and_what_they_import_besides() -> None:
    found = plan(f"  small: {{members: {{kind: [gp, pharmacy]}}, topology: mesh, import: [rest], export: [x]}}\n{REST}")
    assert (sees(found, "small"), sees(found, "rest")) == ({"small", "rest"}, {"small"})


def test_spokes_see_the_hub_and_the_hub_sees_all() -> None:
    hub = "{members: {kind: [gp, pharmacy]}, topology: hub-and-spoke, hub: {kind: [pharmacy]}, export: [x]}"
    found = plan(f"  small: {hub}\n{REST}")
    assert sees(found, "small") == {"small-hub"}
    assert sees(found, "small-hub") == {"small", "small-hub"}
    assert sees(found, "rest") == {"small", "small-hub"}
    assert found.vpn["small-hub"].sites == ("ph-1", "ph-2")
    assert set(found.vpn["small"].sites) == {"gp-1", "gp-2", "gp-3"}


def test_an_extranet_and_its_partners_see_each_other_and_none_their_like() -> None:
    found = plan(
        "  shop: {members: {kind: [pharmacy]}, topology: extranet, partners: [gp, rest]}\n"
        f"  gp: {{members: {{kind: [gp]}}, export: [x]}}\n{REST.replace('import: [x], ', '')}"
    )
    assert sees(found, "shop") == {"gp", "rest"}
    assert sees(found, "gp") == sees(found, "rest") == {"shop"}


@pytest.mark.parametrize("within", [False, True])
def test_quarantine_leaves_what_is_within_only_if_it_says_so(within: bool) -> None:
    policy = (
        f"{GOOD}quarantine: {{ward: {{sites: {{region: [nord], kind: [hospital]}}, within: {str(within).lower()}}}}}\n"
    )
    found = compile_policy(policy_golden.policy(policy), small_network())
    assert found.vpn["care.ward"].sites == ("h-tromso", "h-bodo")
    assert sees(found, "care.ward") == ({"care.ward"} if within else set())
    assert all("care.ward" not in sees(found, vpn.name) for vpn in found.vpns if vpn.name != "care.ward")
    ward = {role.id for role in found.roles if role.vpn == "care.ward"}
    inside = {(each.client in ward, each.server in ward) for each in found.contracts}
    assert inside == {(False, False)} | ({(True, True)} if within else set())
