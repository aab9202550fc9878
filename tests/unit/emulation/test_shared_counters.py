"""What is read from the text of Open vSwitch's commands."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from helsewan.emulation.routers.shared_counters import cycles, drops
from helsewan.emulation.routers.unixctl import UnixctlError, command

DPCTL_SHOW = """\
netdev@ovs-netdev:
  lookups: hit:348 missed:23 lost:2
  flows: 23
  port 0: ovs-netdev (tap)
    RX packets:0 errors:0 dropped:0 overruns:0 frame:0
    TX packets:0 errors:0 dropped:0 aborted:0 carrier:0
    collisions:0
    RX bytes:0  TX bytes:0
  port 1: buffers0 (dpdkvhostuserclient: configured_rx_queues=1)
, could not retrieve stats (Protocol error)  port 2: r1 (tap)
    RX packets:0 errors:0 dropped:3 overruns:0 frame:0
    TX packets:0 errors:0 dropped:0 aborted:0 carrier:0
  port 3: r1-link3 (dpdkvhostuserclient: configured_rx_queues=1, mtu=1600)
    RX packets:5 errors:? dropped:1 overruns:? frame:?
    TX packets:4 errors:? dropped:17 aborted:? carrier:?
    collisions:?
    RX bytes:330  TX bytes:264
  port 4: r1-link2 (dpdkvhostuserclient: configured_rx_queues=1, mtu=1600)
    RX packets:9 errors:? dropped:0 overruns:? frame:?
    TX packets:10 errors:? dropped:0 aborted:? carrier:?
"""

PMD_STATS = """\
pmd thread numa_id 0 core_id 1:
  packets received: 261
  idle cycles: 169656734 (83.42%)
  processing cycles: 33731283 (16.58%)
  avg cycles per packet: 779264.43 (203388017/261)
main thread:
  packets received: 0
  idle cycles: 5 (1%)
"""


def test_drops_are_told_by_interface() -> None:
    assert drops(DPCTL_SHOW) == {"r1": 3, "r1-link3": 18}


def test_cycles_are_those_of_the_polling_threads() -> None:
    found = cycles(PMD_STATS)
    assert (found.idle, found.processing) == (169656734, 33731283)
    assert found.busy == pytest.approx(0.1658, abs=1e-4)
    assert cycles("").busy == 0


def answering(path: Path, reply: bytes) -> threading.Thread:
    """A daemon that gives one reply to one command."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)

    def serve() -> None:
        with listener, listener.accept()[0] as connection:
            assert json.loads(connection.recv(4096))["method"] == "dpctl/show"
            half = len(reply) // 2
            connection.sendall(reply[:half])
            connection.sendall(reply[half:])

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_command_is_answered_in_parts(tmp_path: Path) -> None:
    reply = json.dumps({"id": 0, "result": "netdev@ovs-netdev:\n", "error": None}).encode()
    thread = answering(tmp_path / "x.ctl", reply)
    assert command(tmp_path / "x.ctl", "dpctl/show", "-s") == "netdev@ovs-netdev:\n"
    thread.join()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b'{"id":0,"result":null,"error":"no such datapath\\n"}', "dpctl/show: no such datapath"),
        (b'{"id":0,"result"', "ended without a reply"),
    ],
)
def test_a_refused_command_is_told(tmp_path: Path, reply: bytes, reason: str) -> None:
    thread = answering(tmp_path / "x.ctl", reply)
    with pytest.raises(UnixctlError, match=reason):
        command(tmp_path / "x.ctl", "dpctl/show", "-s")
    thread.join()


def test_a_daemon_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnixctlError, match=r"x\.ctl"):
        command(tmp_path / "x.ctl", "dpctl/show")
