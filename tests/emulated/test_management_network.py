"""The management network with real packets: how far routers are, who may speak, what a failure takes along."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from mininet_client import Script
from router_kinds import PRIVATE, SHARED, kind_of_run
from waiting import wait_for

pytestmark = pytest.mark.emulated

# Of small_network: the centre stands at its first PoP, and the quickest way to the south leads by the middle.
DELAYS_MS = {"north": 0, "middle": 5, "south": 8}
EARLY_MS = 0.5  # what calibration takes off for the machine may be a little more than a frame took
DEADLINE_S = 60.0
UNIXCTL = "__import__('helsewan.emulation.routers.unixctl', fromlist=['*'])"
RECONNECT = {
    SHARED: "switch.open_vswitch.ask('bridge/reconnect', switch.bridge)",
    PRIVATE: f"{UNIXCTL}.command(switch.home / 'ovs-vswitchd.ctl', 'bridge/reconnect')",
}
AUTHORITIES = "__import__('helsewan.emulation.routers.certificate_authority', fromlist=['*'])"


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
    """Has a router connect anew and show these credentials, in the files of its own."""
    assert do(f"globals().update(switch=net[{router!r}])") is None
    assert do(f"globals().update(shown={credentials})") is None
    for kind in ("certificate", "key"):  # Open vSwitch reads both again once the key has changed
        paths = f"shown.{kind}, switch.control.credentials.{kind}"
        do(f"__import__('shutil').copyfile({paths})")
    assert do(RECONNECT[kind_of_run()]) == "", "the switch's answer"


@pytest.mark.parametrize("router", DELAYS_MS)
def test_line_has_the_delay_of_the_quickest_way(do: Script, router: str) -> None:
    found = re.search(r"rtt min/avg/max/mdev = ([\d.]+)/", ping(do, router))
    assert found is not None, router
    assert float(found.group(1)) >= 2 * DELAYS_MS[router] - EARLY_MS
    # How much more is the machine's; what a line takes is held to its word elsewhere.
    delays_us = do(f"[way.delay_us for way in emulation.testbed.backend.models['{router}/mgmt']]")
    assert delays_us == [DELAYS_MS[router] * 1000] * 2


def test_each_router_speaks_over_its_own_line_with_its_own_certificate(do: Script) -> None:
    """The controller's connections come from the address of each router once, and no two certificates are the same."""
    peers = str(do("emulation.testbed.management.centre.cmd('ss -Htn state established')"))
    addresses = do("{r.id: str(emulation.testbed.management.topology.links[r.id].address4) for r in "
                   "emulation.testbed.network.routers}")  # fmt: skip
    found = re.findall(r":6653\s+(?:\[::ffff:)?([\d.]+)\]?:\d+", peers)
    assert sorted(found) == sorted(addresses.values()), peers
    # That of another router is refused, see below; so each has shown its own.
    shown = do("[net[r.id].control.credentials.certificate.read_text() for r in emulation.testbed.network.routers]")
    assert len(set(shown)) == len(DELAYS_MS)
    assert events(do, "switch-turned-away") == []


def test_what_a_router_says_takes_as_long_as_its_line(do: Script) -> None:
    """A change is answered after a round trip on the line, also where one process has the connections of all."""
    rows = str(do("emulation.testbed.management.centre.cmd('ss -Htni state established')"))
    for router, delay_ms in DELAYS_MS.items():
        address = do(f"str(emulation.testbed.management.topology.links[{router!r}].address4)")
        row = next(row for row in re.split(r"\n(?=\S)", rows) if re.search(rf"{re.escape(address)}\]?:\d", row))
        shortest = re.search(r"minrtt:([\d.]+)", row)
        assert shortest and float(shortest[1]) >= 2 * delay_ms - EARLY_MS, row


def test_sites_and_neighbours_do_not_reach_it(do: Script) -> None:
    assert ", 0 received" in do("b.cmd('ping -n -c 2 -i 0.1 -W 0.5 172.31.248.1')")
    assert ", 0 received" in do("b.cmd('ping -n -c 2 -i 0.1 -W 0.5 172.31.248.4')")
    assert "unreachable" in do("net['north'].cmd('ping -n -c 1 -W 1 172.31.248.4')").lower()


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (
            f"{AUTHORITIES}.CertificateAuthority(switch.home / 'other').for_switch('south', [3])",
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
    kept = do("[path.read_text() for path in (switch.control.credentials.certificate, switch.control.credentials.key)]")
    show(do, "south", credentials)
    talks(do, "switch-down", down + 1)
    if reason:
        talks(do, "switch-turned-away", refused + 1)
        assert reason in events(do, "switch-turned-away")[refused]["reason"]
    assert do("net.pingAll()") == 0.0  # it keeps the rules it has, and so do others
    assert len(events(do, "switch-up")) == up
    for file, text in zip(("certificate", "key"), kept, strict=True):
        do(f"switch.control.credentials.{file}.write_text({text!r})")
    assert do(RECONNECT[kind_of_run()]) == ""
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


def test_a_router_whose_power_is_cut_falls_silent(do: Script) -> None:
    """Its connection is not ended: the controller finds out for itself. It comes back as one that knows nothing."""
    down, up, programmed = (len(events(do, f"switch-{kind}")) for kind in ("down", "up", "programmed"))
    address = do("str(emulation.testbed.management.topology.links['middle'].address4)")
    pipe = "emulation.testbed.engine_backend.links['middle/mgmt'].forward"
    do("emulation.power_off('middle')")
    sent = do(f"int(emulation.testbed.engine.counters()['frames_out'][{pipe}])")
    established = str(do("emulation.testbed.management.centre.cmd('ss -Htn state established')"))
    assert len(events(do, "switch-down")) > down or address in established
    talks(do, "switch-down", down + 1)
    assert do(f"int(emulation.testbed.engine.counters()['frames_out'][{pipe}])") == sent
    do("emulation.power_on('middle')")
    talks(do, "switch-programmed", programmed + 1)
    assert [event["router"] for event in events(do, "switch-up")[up:]] == ["middle"]
    assert [event["changed"] > 0 for event in events(do, "switch-programmed")[programmed:]] == [True]
    do.until("net.pingAll(timeout='1') == 0.0")
