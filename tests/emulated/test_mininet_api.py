"""Mininet's interface on the emulated network, as a Mininet user knows it, with real packets."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from mininet_client import Script

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0
UNREAD = "link engine did not check for frames for"  # as the health monitor says it
EARLY_MS = 0.5  # what calibration takes off each of some eight lines may be a little more than a frame took


@pytest.fixture(scope="module")
def do(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    script = Script(tmp_path_factory.mktemp("mininet"))
    with script.process:
        yield script
        script.process.stdin.close()  # type: ignore[union-attr]
        assert script.process.wait(DEADLINE_S) == 0


def test_a_node_has_no_process_until_it_is_used(do: Script) -> None:
    assert do("[host.pid for host in net.hosts]") == [None] * 3
    assert do("a.cmd('echo from $((1 + 1))').strip()") == "from 2"
    assert do("a.pid") > 1
    assert do("[b.pid, c.pid]") == [None, None]


def test_commands(do: Script) -> None:
    assert do("a.pexec('sh', '-c', 'echo out; echo err >&2; exit 3')") == ["out\n", "err\n", 3]
    assert do("a.pexec('ls /run')") == ["lock\n", "", 0]
    assert do("a.popen('cat /proc/sys/net/ipv4/ip_forward').communicate()[0].decode()") == "0\n"
    assert do("a.sendCmd('echo later')") is None
    assert do("a.waiting") is True
    assert do("a.waitOutput()").strip() == "later"


def test_addresses_and_interfaces(do: Script) -> None:
    assert do("[a.IP(), a.IP('wan0'), a.IP('wan1')]") == [do("str(a.site.address4)")] * 3
    assert do("a.MAC() == a.MAC('wan1') == a.site.mac")
    assert do("a.intfNames()") == ["wan0", "wan1"]
    assert do("[a.defaultIntf(), a.intf('wan1'), a.intf('wan1').isUp()]") == ["wan0", "wan1", True]
    assert do("a.intf().updateMAC() == a.site.mac")
    assert "inet " + do("a.IP()") in do("a.intf().ifconfig()")


def test_connections(do: Script) -> None:
    assert do("a.connectionsTo(net['north'])") == do("[(a.intf('wan0'), net['north'].intf('access2'))]")
    assert do("[str(link) for link in net.linksBetween(a, net['middle'])]") == ["wan1<->access2"]
    assert do("len(net.linksBetween(net['north'], net['south']))") == 1
    assert do("net.linksBetween(a, b)") == []
    assert do("{link.status() for link in net.links} == {'(OK OK)'}")


def test_pings(do: Script) -> None:
    assert do("net.pingAll()") == 0.0
    sent, received, *rtt_ms = do("net.pingFull([a, b])[0][2]")
    assert (sent, received) == (1, 1)
    assert rtt_ms[0] >= 20 - EARLY_MS  # 1 + 5 + 3 + 1 ms each way by the middle; straight it is 1 ms longer


def test_iperf(do: Script) -> None:
    """The GP's line of 4 Mbit/s is what both directions go through; iperf counts TCP's payload."""
    served, _ = do("net.iperf((a, c), seconds=2)")
    assert 2.5 < float(re.fullmatch(r"([\d.]+) Mbits/sec", served)[1]) < 4.0  # type: ignore[index]
    assert do("net.iperf((c, a), l4Type='UDP', udpBw='1M', seconds=1)")[0] == "1M"
    assert do("net.iperf((a, c), l4Type='SCTP')").startswith("ValueError")


def test_a_link_is_cut_and_lit(do: Script) -> None:
    """As ``link hospital-b south down`` does: nothing passes, whichever end is lowered."""
    do("net.configLinkStatus('hospital-b', 'south', 'down')")
    assert do("net.ping([a, b], timeout='1')") == 100.0
    assert do("[b.intf().isUp(), b.cmd('ip route')]") == [False, ""]
    do("net.configLinkStatus('hospital-b', 'south', 'up')")
    assert do("net.ping([a, b], timeout='2')") == 0.0
    assert do("b.intf().ifconfig('down')") == ""
    assert do("net.ping([c, b], timeout='1')") == 100.0
    assert do("b.intf().ifconfig('up')") == ""
    assert do("net.ping([c, b], timeout='2')") == 0.0


def test_a_fibre_that_is_cut_is_gone_around(do: Script) -> None:
    do("net.configLinkStatus('north', 'middle', 'down')")
    do.until("net.ping([a, b], timeout='1') == 0.0")
    # There 1 + 9 + 1 ms; back the same, or 1 + 3 + 2 over the middle and the backup line once that is the nearest way.
    assert do("net.pingFull([a, b])[0][2][2]") >= 17 - EARLY_MS
    do("net.configLinkStatus('north', 'middle', 'up')")
    assert do("net.ping([a, b], timeout='2')") == 0.0


def test_another_address(do: Script) -> None:
    other = do("str(b.site.prefix4[9])")
    do(f"b.setIP('{other}/24')")
    assert do("[b.IP(), b.pexec('ip', '-4', '-o', 'address', 'show', 'lo')[0].count('inet')]") == [other, 2]
    assert do("net.ping([a, b], timeout='2')") == 0.0
    do("b.configDefault(ip=str(b.site.address4))")
    assert do("b.IP() == str(b.site.address4) and net.ping([a, b], timeout='2')") == 0.0


def test_what_mininet_does_by_net_tools(do: Script) -> None:
    assert do("c.setMAC('02:00:00:00:00:09')") == ""
    assert do("[c.MAC(), c.intf().updateMAC()]") == ["02:00:00:00:00:09"] * 2
    do("c.setMAC(c.site.mac)")
    do("a.setDefaultRoute('dev wan1')")
    assert "dev wan1" in do(f"a.cmd('ip route get {do('b.IP()')}')")
    do("a.setDefaultRoute()")
    do("a.setHostRoute(b.IP(), 'wan1')")
    assert "dev wan1" in do(f"a.cmd('ip route get {do('b.IP()')}')")
    do("c.setARP('10.0.0.77', '02:00:00:00:00:77')")
    assert "PERMANENT" in do("c.cmd('ip neigh show 10.0.0.77')")
    do("c.intf().rename('eth0')")
    assert do("c.intfNames()") == ["eth0"]
    assert do("net.pingAll(timeout='2')") == 0.0
    do("c.intf().rename('wan0')")


def test_hosts_behind_a_site(do: Script) -> None:
    """They have the site's prefix, and the network lets them through as the site itself."""
    do("[add_lan_host(net, site) for site in (a, a, b)]")
    assert do("[host.name for host in net.hosts]")[-3:] == ["hospital-a.h1", "hospital-a.h2", "hospital-b.h1"]
    assert do("all(host.address4 in host.site.prefix4 for host in net.hosts[-3:])")
    assert do("net.pingAll(timeout='2')") == 0.0
    assert do("[str(pair) for pair in net['hospital-a.h1'].connectionsTo(a)]") == [
        "(<NetlinkIntf eth0>, <NetlinkIntf lan1>)"
    ]
    nobody = do("str(b.site.prefix4[200])")
    assert "100% packet loss" in do(f"a.cmd('ping -c1 -W1 {nobody}')")


def test_lines_are_changed_from_python(do: Script) -> None:
    before = do("net.pingFull([a, b])[0][2][2]")
    assert do("emulation.set_line('hospital-b', delay='31 ms')") == ["hospital-b/wan0"]
    assert do("net.pingFull([a, b])[0][2][2]") >= before + 50
    do("emulation.set_line('hospital-b', reset=True)")
    assert do("emulation.lines.changed()") == []
    assert do("emulation.set_line('hospital-b', delai='31 ms')").startswith(
        "InputError: --delai: no such setting (similar: delay)"
    )


def test_an_emulation_knows_its_validity(do: Script) -> None:
    """The last of the tests: its link engine stands still meanwhile."""
    send = "__import__('os').kill(emulation.testbed.engine.pid, %d)"  # there it has this id
    do(send % signal.SIGSTOP)
    try:
        assert do("net.ping([a, c], timeout='1')") == 100.0
    finally:
        do(send % signal.SIGCONT)
    unread = f"[True for reason in emulation.validity(%s).reasons if reason.what == {UNREAD!r}]"
    do.until(unread % "")
    assert do("emulation.validity().grade.value") == "void"
    assert "InputError" in do("emulation.validity(since='tomorrow')")
    do.until("not " + unread % "since='1 s'")
