"""The management network with real packets: how far routers are, who may speak, what a failure takes along."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from mininet_client import Script
from waiting import wait_for

pytestmark = pytest.mark.emulated

# Of small_network: the centre stands at its first PoP, and the quickest way to the south leads by the middle.
DELAYS_MS = {"north": 0, "middle": 5, "south": 8}
EARLY_MS = 0.5  # what calibration takes off for the machine may be a little more than a frame took
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def do(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    script = Script(tmp_path_factory.mktemp("management"))
    with script.process:
        yield script
        script.process.stdin.close()  # type: ignore[union-attr]
        assert script.process.wait(DEADLINE_S) == 0


def ping(do: Script, router: str, options: str = "-c 10 -i 0.05 -W 1") -> str:
    """What ping says of a router from the operations centre."""
    address = do(f"str(emulation.testbed.management.topology.links[{router!r}].address4)")
    return str(do(f"emulation.testbed.management.centre.cmd('ping -n {options} {address}')"))


def events(do: Script, kind: str) -> list[dict[str, str]]:
    """What the controller has said of this kind."""
    found: list[dict[str, str]] = do(f"[event for event in emulation.events if event['event'] == {kind!r}]")
    return found


def talks(do: Script, kind: str, count: int) -> None:
    """Waits for so many events of a kind."""
    wait_for(lambda: len(events(do, kind)) >= count, f"{kind} no. {count}", DEADLINE_S)


def show(do: Script, router: str, credentials: str) -> None:
    """Has a router connect anew and show these credentials."""
    do(f"globals().update(shown={credentials}, switch=net[{router!r}])")
    do("globals().update(run=__import__('helsewan.common.processes', fromlist=['*']).run)")
    files = "*map(str, (shown.key, shown.certificate, shown.authority))"
    do(f"run(['ovs-vsctl', f'--db=unix:{{switch.home}}/db.sock', 'set-ssl', {files}])")
    do("run(['ovs-appctl', f'--target={switch.home}/ovs-vswitchd.ctl', 'bridge/reconnect'])")


@pytest.mark.parametrize("router", DELAYS_MS)
def test_line_has_the_delay_of_the_quickest_way(do: Script, router: str) -> None:
    found = re.search(r"rtt min/avg/max/mdev = ([\d.]+)/", ping(do, router))
    assert found is not None, router
    assert float(found.group(1)) >= 2 * DELAYS_MS[router] - EARLY_MS
    # How much more is the machine's; what a line takes is held to its word elsewhere.
    delays_us = do(f"[way.delay_us for way in emulation.testbed.backend.models['{router}/mgmt']]")
    assert delays_us == [DELAYS_MS[router] * 1000] * 2


def test_sites_and_neighbours_do_not_reach_it(do: Script) -> None:
    assert ", 0 received" in do("b.cmd('ping -n -c 2 -i 0.1 -W 0.5 172.31.248.1')")
    assert ", 0 received" in do("b.cmd('ping -n -c 2 -i 0.1 -W 0.5 172.31.248.4')")
    assert "unreachable" in do("net['north'].cmd('ping -n -c 1 -W 1 172.31.248.4')").lower()


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (
            "__import__('helsewan.emulation.routers.certificate_authority', fromlist=['*'])"
            ".Authority(switch.home / 'other').for_switch('south', [3])",
            "",
        ),
        (
            "emulation.testbed.management.authority.for_switch('old', [3], -__import__('datetime').timedelta(1))",
            "expired",
        ),
        (
            "emulation.testbed.management.authority.for_switch('north2', [1])",
            "its certificate is not for its datapath id dpid:0000000000000003",
        ),
    ],
)
def test_router_with_a_wrong_certificate_gets_nowhere(do: Script, credentials: str, reason: str) -> None:
    do("globals().update(switch=net['south'])")
    refused, up, down = (len(events(do, f"switch-{kind}")) for kind in ("turned-away", "up", "down"))
    own = "net['south'].control.credentials"
    show(do, "south", credentials)
    talks(do, "switch-down", down + 1)
    if reason:
        talks(do, "switch-turned-away", refused + 1)
        assert reason in events(do, "switch-turned-away")[refused]["reason"]
    assert do("net.pingAll()") == 0.0  # it keeps the rules it has, and so do others
    assert len(events(do, "switch-up")) == up
    show(do, "south", own)
    talks(do, "switch-up", up + 1)
    assert len(events(do, "switch-turned-away")) <= refused + 1


def test_router_that_fails_takes_its_line_along(do: Script) -> None:
    module = "__import__('helsewan.lab.testbed.failure_state', fromlist=['*'])"
    do(f"globals().update(struck={module}.Target('middle', ('middle',)))")
    down, up = len(events(do, "switch-down")), len(events(do, "switch-up"))
    do("emulation.testbed.fail(struck)")
    assert ", 0 received" in ping(do, "middle", "-c 2 -i 0.1 -W 0.5")
    assert ", 0% packet loss" in ping(do, "south")
    talks(do, "switch-down", down + 1)  # it said no goodbye
    do("emulation.testbed.restore(struck)")
    assert ", 0% packet loss" in ping(do, "middle")
    assert [event["router"] for event in events(do, "switch-up")[up:]] == ["middle"]
