"""Drift: entries of switches changed by others than the controller, which finds, reports and repairs them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from controller_world import ControllerWorld, running


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ControllerWorld]:
    """A programmed network."""
    yield from running(tmp_path)


def test_drift_of_any_kind_is_found_reported_and_repaired(world: ControllerWorld) -> None:
    """Rules deleted, added and changed, a group and a meter changed: each by another than the controller."""
    before = world.all_flows()
    bridge = f"br{world.network.router['trondheim'].index}"
    groups, meters = (world.sh(f"ovs-ofctl -OOpenFlow13 dump-{kind} {bridge}") for kind in ("groups", "meters"))
    group = re.search(r"group_id=(\d+),type=ff", groups)
    meter = re.search(r"meter=(\d+)", meters)
    assert group is not None and meter is not None
    changes = {
        "missing": f"del-flows {bridge} table=3",
        "foreign": f"add-flow {bridge} table=0,priority=9,udp,actions=drop",
        "altered": f"mod-flows {bridge} table=7,actions=drop",
        "altered: group": f"mod-group {bridge} group_id={group[1]},type=ff,bucket=watch_port:1,actions=drop",
        "altered: meter": f"mod-meter {bridge} meter={meter[1]},kbps,burst,band=type=drop,rate=1,burst_size=1",
    }
    for number, (kind, change) in enumerate(changes.items(), start=1):
        world.sh(f"ovs-ofctl -OOpenFlow13 {change}")
        reported = world.await_event("drift", number)
        assert reported["router"] == "trondheim"
        assert any(entry.startswith(kind) for entry in reported["entries"]), reported
        world.await_event("drift-repaired", number)
        assert world.all_flows() == before
    assert world.sh(f"ovs-ofctl -OOpenFlow13 dump-groups {bridge}") == groups
    assert world.sh(f"ovs-ofctl -OOpenFlow13 dump-meters {bridge}") == meters
    assert world.events("error") == []
