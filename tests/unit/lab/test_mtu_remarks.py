"""What is told when a link's MTU is changed and something does not follow it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from policy_network import small_network

from helsewan.lab.links.mtu_remarks import mtu_remarks
from helsewan.topology.model import Network


@pytest.fixture(scope="module")
def network() -> Network:
    whole = small_network()
    first, *others = whole.sites
    narrow = replace(first, accesses=(replace(first.accesses[0], mtu_bytes=1400), *first.accesses[1:]))
    return replace(whole, sites=(narrow, *others))


@pytest.mark.parametrize("mtu", [1450, 1500, 9000, None])
def test_a_larger_mtu_than_the_files_is_told(network: Network, mtu: int | None) -> None:
    (remark,) = mtu_remarks(network, {"h-st-olav/wan0": mtu, "h-st-olav/wan1": mtu, "r1-r2": mtu}, answered=True)
    assert remark.startswith("h-st-olav/wan0: its router still answers packets longer than 1400 B")


@pytest.mark.parametrize("mtu", [1280, 1400])
def test_what_the_routers_follow_is_not_remarked(network: Network, mtu: int) -> None:
    assert list(mtu_remarks(network, {"h-st-olav/wan0": mtu, "gp-1/wan0": mtu, "r1-r2": mtu}, answered=True)) == []


def test_the_kernel_does_not_report_what_is_too_long(network: Network) -> None:
    (remark,) = mtu_remarks(network, {"gp-1/wan0": 1300, "gp-2/wan0": 1300, "gp-3/wan0": None}, answered=False)
    assert remark.startswith("gp-1/wan0 and 1 more: with --dataplane kernel packets that are too long are dropped")
    assert list(mtu_remarks(network, {"gp-1/wan0": None}, answered=False)) == []
