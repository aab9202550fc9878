"""What is valid in a policy and has no effect is remarked, at its line; and what no state is kept of is explained."""

from __future__ import annotations

from datetime import UTC, datetime

import policy_golden
import pytest
from policy_error_cases import EXCEPTION, GOOD
from policy_network import small_network

from helsewan.policies.analysis.explain import StatelessReply, stateless_replies
from helsewan.policies.compile import compile_policy, library_names, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.national.generator import national_network

CALLS = (
    "  calls:\n    from: {kind: [hospital]}\n    to: {kind: [hospital]}\n    both_ways: true\n    services: [call]\n"
)
IN_FORCE = datetime(2027, 1, 1, tzinfo=UTC)


def plan(text: str) -> Plan:
    return compile_policy(policy_golden.policy(text, "mine.yaml"), small_network(), now=IN_FORCE)


def remarks(text: str) -> list[str]:
    return list(plan(text).remarks)


@pytest.mark.parametrize("name", library_names())
def test_the_library_is_without_remarks_on_the_national_network(name: str) -> None:
    assert compile_policy(load_policy(library_path(name)), national_network(400)).remarks == ()


def test_the_good_policy_is_without_remarks() -> None:
    assert remarks(GOOD + EXCEPTION) == []


@pytest.mark.parametrize(
    ("added", "remark"),
    [
        ("  more: {from: {region: [sor]}, to: {kind: [gp]}, services: [call]}\n",
         "contracts.more.from: selects no site of this network: none has region sor"),
        ("  more: {from: {site: [h-bodo]}, to: {site: [h-bodo]}, services: [call]}\n",
         "contracts.more: opens nothing: a site opens nothing to itself on this network"),
        ("  more: {from: {site: [h-bodo]}, to: {site: [h-orkdal]}, same_region: true, services: [call]}\n",
         "contracts.more: opens nothing: same_region leaves no pair of sites on this network"),
        ("  more: {from: {site: [h-bodo]}, to: {kind: [hospital]}, services: [call]}\n",
         "contracts.more: opens nothing more: contracts.calls (line 31) covers it here"),
        (CALLS.replace("calls", "same"),
         "contracts.same: opens nothing more: contracts.calls (line 31) covers it here"),
        (EXCEPTION.replace("[mail]", "[call]"),
         "exceptions.pictures: opens nothing more: contracts.calls (line 31) covers it here"),
        (EXCEPTION + "quarantine: {ward: {sites: {kind: [hospital]}}}\n",
         "exceptions.pictures: opens nothing while its sites are in quarantine"),
    ],
)  # fmt: skip
def test_what_opens_nothing_is_remarked(added: str, remark: str) -> None:
    assert any(each.startswith("mine.yaml:") and each.endswith(remark) for each in remarks(GOOD + added))


def test_a_narrow_contract_before_a_wide_one_is_remarked_too() -> None:
    narrow = "  narrow: {from: {site: [h-bodo]}, to: {kind: [hospital]}, services: [call]}\n"
    assert remarks(GOOD.replace("contracts:\n", f"contracts:\n{narrow}")) == [
        "mine.yaml:31: contracts.narrow: opens nothing more: contracts.calls (line 32) covers it here"
    ]


def test_replies_that_need_no_request_are_explained() -> None:
    """UDP replies are told by their port alone; those of TCP by their flags, those of ICMP by their type."""
    one_way = plan(
        GOOD.replace("    both_ways: true\n", "").replace("    to: {kind: [hospital]}", "    to: {kind: [gp]}")
    )
    (reply,) = stateless_replies(one_way, "h-bodo", "gp-1")
    assert reply == StatelessReply("gp-1", "h-bodo", "call", "udp", "16384-16639", "calls", reply.source)
    assert stateless_replies(one_way, "gp-1", "svc-broker") == ()
