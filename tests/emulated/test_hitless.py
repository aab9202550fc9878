"""Changes of policy and refusals on real switches, under a stream of a thousand packets a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from controller_world import ControllerWorld, running
from waiting import wait_for

from helsewan.controller.plan_file import read_plan
from helsewan.controller.rules.generation import first_generation
from helsewan.policies.plan import Plan

pytestmark = [pytest.mark.emulated, pytest.mark.alone]

CLIENT, BROKER, GP = "st-olav", "10.4.0.2", "10.6.0.2"
PORT = 20_000  # of voice, by which hospitals of the region may call its GPs
PACKETS = 4_000  # of a stream: four seconds
ALL = f"{PACKETS} {PACKETS} True"
# Prints the numbers that arrive, until the stream's last or two seconds of silence.
RECEIVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE: room while this process waits for a core
s.bind(("", {port}))
print("up", flush=True)
s.settimeout(8)
seen = []
try:
    while not seen or seen[-1] != {count} - 1:
        seen.append(int(s.recv(100)))
        s.settimeout(2)
except OSError:
    pass
print(len(seen), len(set(seen)), seen == sorted(seen), flush=True)
"""
SEND = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
due = time.monotonic()
for number in range({count}):  # late ones are not made up for: the line's policer would drop what comes at once
    due = max(due + 0.001, time.monotonic())
    time.sleep(max(0, due - time.monotonic()))
    s.sendto(b"%d" % number, ("{address}", {port}))
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ControllerWorld]:
    """A programmed world."""
    yield from running(tmp_path)


def without(plan: Plan, service: str) -> Plan:
    """A policy without what contracts say of a service."""
    left = tuple(contract for contract in plan.contracts if contract.service != service)
    return replace(plan, policy=f"no {service}", contracts=left)


def renamed(plan: Plan) -> Plan:
    """A policy that says the same of VPNs of other names, so that everything but the ways is new."""
    return replace(
        plan,
        policy="renamed",
        vpns=tuple(replace(vpn, name=f"{vpn.name}-2") for vpn in plan.vpns),
        roles=tuple(replace(role, vpn=f"{role.vpn}-2") for role in plan.roles),
        attachments=tuple(replace(line, vpn=f"{line.vpn}-2") for line in plan.attachments),
        routes=tuple(replace(route, vpn=f"{route.vpn}-2") for route in plan.routes),
    )


class Stream:
    """A thousand packets a second from the hospital to the GP, and what arrived of them."""

    def __init__(self, world: ControllerWorld, packets: int = PACKETS, port: int = PORT) -> None:
        self.receiver = world.python(RECEIVE.format(port=port, count=packets), "trondheim-gp")
        assert self.receiver.stdout is not None and self.receiver.stdout.readline() == "up\n"
        self.sender = world.python(SEND.format(address=GP, port=port, count=packets), CLIENT)

    def arrived(self) -> str:
        """How many, how many different ones, and whether in order."""
        with self.sender, self.receiver:
            self.sender.wait()
            assert self.receiver.stdout is not None
            return self.receiver.stdout.read().strip()


def test_a_policy_change_loses_nothing_that_both_policies_allow(world: ControllerWorld) -> None:
    stream = Stream(world)
    world.change_plan(renamed(world.plan))
    assert min(world.await_event("policy-switched")["rules"]) > 0
    world.change_plan(without(renamed(world.plan), "ping"))
    world.await_event("policy-switched", 2)
    assert stream.arrived() == ALL
    assert not world.ping(CLIENT, BROKER, "-c 3 -i 0.05 -W 0.3")
    assert world.events("error") == []


def test_nothing_that_the_new_policy_forbids_passes_once_it_is_in_force(world: ControllerWorld) -> None:
    stream = Stream(world)
    world.change_plan(without(world.plan, "voice"))
    world.await_event("policy-switched")
    assert Stream(world, 500, PORT + 1).arrived().split()[0] == "0"
    received, different, ordered = stream.arrived().split()
    assert received == different and ordered == "True" and int(received) < PACKETS


def test_a_controller_killed_and_started_again_changes_nothing(world: ControllerWorld) -> None:
    before, stream = world.all_flows(), Stream(world)
    world.stop_controller()
    world.start_controller()
    assert world.await_event("adopted")["rules"] == [0, 0, 0], world.events()
    again = world.events("switch-programmed")[len(before) :]
    assert len(again) == len(before) and all(event["changed"] == 0 for event in again)
    assert stream.arrived() == ALL
    assert world.all_flows() == before and world.events("error") == []


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.25, 0.5, 0.8])
def test_a_controller_killed_in_a_change_leaves_nothing_half_done(world: ControllerWorld, delay_s: float) -> None:
    """The next one goes on with the policy that was turned to, or with the old one where none had turned."""
    stream = Stream(world)
    world.change_plan(renamed(world.plan))
    time.sleep(delay_s)  # any moment will do
    world.stop_controller()
    world.start_controller()
    world.await_event("adopted")
    assert stream.arrived() == ALL
    in_force = read_plan(world.plan_file)
    expected = first_generation(in_force)
    for router in world.network.router:
        wait_for(lambda r=router: len(world.flows_without_counters(r)) == len(expected.rules(r).flows), "the rules")
    # What the new policy is now is told by the labels of its VPNs: no switch knows the other's.
    world.change_plan(without(in_force, "ping"))
    world.await_event("policy-switched", 1 + len(world.events("policy-switched")))
    assert world.events("error") == []


def test_a_rule_that_a_switch_has_no_room_for_is_told_in_words_and_all_is_as_before(world: ControllerWorld) -> None:
    world.change_plan(without(world.plan, "ping"))
    world.await_event("policy-switched")
    before, stream = world.all_flows(), Stream(world)
    full = world.network.router["tromso"].index  # its table of contracts, as full as it is
    used = world.flows("tromso").count("table=2,")
    world.sh(
        f"ovs-vsctl --id=@full create Flow_Table flow_limit={used} overflow_policy=refuse"
        f" -- set bridge br{full} flow_tables:2=@full"
    )
    world.change_plan(world.plan)
    refused = world.await_event("policy-refused")
    assert refused["router"] == "tromso" and "the table is full" in refused["reason"]
    assert "table contract" in refused["rule"]
    wait_for(lambda: world.all_flows() == before, "the old rules")
    assert read_plan(world.plan_file).policy == "no ping"
    assert stream.arrived() == ALL and not world.ping(CLIENT, BROKER, "-c 2 -i 0.05 -W 0.3")
    world.sh(f"ovs-vsctl clear bridge br{full} flow_tables")
    world.change_plan(world.plan)
    world.await_event("policy-switched", 2)
    assert world.ping(CLIENT, BROKER)
