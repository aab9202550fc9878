"""Shares of weighted queues by the speed of the line: in every line's queues, and in what sites are taken to send."""

from __future__ import annotations

import pytest
from policy_golden import small_policy
from policy_network import small_network

from helsewan.common.document import loads
from helsewan.lab.testbed.link_settings import link_shape
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.source import read_policy
from helsewan.policies.paths.demand import class_shares

SLOW, FAST = 2_000_000, 10_000_000


def test_slow_lines_have_shares_of_their_own() -> None:
    text = small_policy().document.text
    data = "scheduling: weighted, weight: 40"
    assert text.count(data) == 1
    policy = read_policy(loads(text.replace(data, f"{data}, weights: [{{up_to: 2 Mbit/s, weight: 90}}]").encode(), "x"))
    plan = compile_policy(policy, small_network())
    shape, queue = link_shape(plan), plan.traffic_class["data"].queue
    weights = [shape(rate, 0).queues[queue].weight for rate in (SLOW, SLOW + 1, FAST)]
    assert weights == [90, 40, 40]
    rest = plan.traffic_class["rest"].queue
    assert [shape(rate, 0).queues[rest].weight for rate in (SLOW, FAST)] == [5, 5]


@pytest.mark.parametrize(("rate_bps", "share"), [(SLOW, 90 / 100), (FAST, 40 / 50)])
def test_sites_on_slow_lines_send_by_them(rate_bps: int, share: float) -> None:
    """What the policed classes leave is divided by weight."""
    text = small_policy().document.text.replace("weight: 40", "weight: 40, weights: [{up_to: 2 Mbit/s, weight: 90}]")
    text = text.replace("    police: [{up_to: 2 Mbit/s, share: 60 %}, {share: 0 %}]\n", "").replace(
        "weight: 5\n", "weight: 10\n"
    )
    spec = read_policy(loads(text.encode(), "x")).spec
    shares = class_shares(spec, rate_bps)
    assert shares["data"] / (shares["data"] + shares["rest"]) == pytest.approx(share)
