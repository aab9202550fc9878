"""An exception on a running network, with real packets: it is open to its last second, and then closes by itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from controller_world import ControllerWorld

from helsewan.common.document import loads
from helsewan.policies.compile import compile_policy, read_policy
from helsewan.policies.language.timestamps import utc_now
from helsewan.policies.plan import Plan
from helsewan.topology.importers import network_from

NETWORK = network_from(Path(__file__).parents[1] / "samples" / "topologies" / "three-towns.yaml")
HOLDS = timedelta(seconds=20)
CLOSED = """\
name: closed
include: open
remove: {contracts: all}
contracts: {}
"""
OPENED = """\
exceptions:
  visit:
    from: {kind: [gp]}
    to: {kind: [hospital]}
    services: [ping]
    reason: somebody looks whether the hospital answers
    until: %s
"""


def plan(text: str, now: datetime) -> Plan:
    return compile_policy(read_policy(loads(text.encode(), "closed.yaml")), NETWORK, now=now)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ControllerWorld]:
    """The three towns of the documentation, with nothing open."""
    world = ControllerWorld(tmp_path, plan(CLOSED, utc_now()))
    try:
        world.start_controller()
        world.await_event("listening")
        world.build()
        world.await_event("all-programmed")
        yield world
    finally:
        world.close()


def test_an_exception_opens_and_closes_by_itself(world: ControllerWorld) -> None:
    address = str(NETWORK.site["hospital-west"].address4)
    assert not world.ping("gp-lake", address)
    now = utc_now()
    ends = (now + HOLDS).replace(microsecond=0)
    world.change_plan(plan(CLOSED + OPENED % f"{ends:%Y-%m-%d %H:%M:%S}Z", now))
    world.await_event("policy-switched")
    assert world.ping("gp-lake", address)
    switched = world.await_event("policy-switched", count=2)
    assert switched["by"] == {"door": "calendar"}
    assert switched["changes"] == ["exceptions.visit: ended"]
    assert switched["t"] / 1e9 >= ends.timestamp()
    assert not world.ping("gp-lake", address)
    assert world.events("error") == []
