"""The link engine over real TAP devices: what their states do to it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest
from idle_engine import needless_turns
from waiting import wait_for

from helsewan.emulation.links.engine import EngineProcess, PipeSpec
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.netlink.bulk import Netlink
from helsewan.emulation.sandbox.namespaces import Namespace, open_tap

PATIENCE_S = 10.0
ETH_P_ALL = 0x0003
LOCAL_TYPE = b"\x88\xb5"  # IEEE 802 local experimental EtherType
IDLE_ROUNDS = 20  # what housekeeping of the test itself may cause


class Taps:
    """TAPs t0 and t1 of one namespace, ports 0 and 1 of an engine with a line between them."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self.namespace = Namespace()
        self.namespace.sysctl({"ipv6/conf/default/disable_ipv6": 1})
        self.netlink = Netlink(self.namespace)
        fds = [open_tap(self.namespace, name) for name in ("t0", "t1")]
        engine.add_ports(fds)
        for fd in fds:
            os.close(fd)
        engine.add_pipes([PipeSpec(a, 0, b, 0, PipeModel(1_000_000_000, 0)) for a, b in ((0, 1), (1, 0))])

    def up(self, name: str) -> socket.socket:
        """Raise a TAP; a socket that sends into it and receives from it."""
        self.netlink.set_link(name, up=True)
        sock = self.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.bind((name, 0))
        sock.settimeout(PATIENCE_S)
        return sock

    def wait_for(self, counter: str, value: int) -> None:
        """Wait until a counter of pipe 0 has the value."""
        wait_for(lambda: self.engine.counters()[0][counter] == value, f"{counter} to be {value}")

    def delete(self, name: str) -> None:
        """Remove a TAP under the engine's feet."""
        with self.namespace.entered():
            subprocess.run(["ip", "link", "delete", name], check=True)


@pytest.fixture
def taps() -> Iterator[Taps]:
    """Two TAPs that are down, and an engine."""
    with EngineProcess(max_ports=8, max_pipes=8) as engine:
        result = Taps(engine)
        yield result
        result.namespace.close()


def frame(number: int = 0, length: int = 60) -> bytes:
    """A broadcast frame to tell by its number."""
    return (b"\xff" * 6 + b"\x02" * 6 + LOCAL_TYPE + number.to_bytes(2, "big")).ljust(length, b"\x00")


def received(sock: socket.socket) -> bytes:
    """The next frame that came out of the TAP, not one that went in."""
    while True:
        data, (_, _, kind, _, _) = sock.recvfrom(65536)
        if kind != socket.PACKET_OUTGOING:
            return data


def test_frames_cross_in_both_directions(taps: Taps) -> None:
    ends = [taps.up("t0"), taps.up("t1")]
    for source, target in (ends, ends[::-1]):
        for number in range(50):
            source.send(frame(number, 1514))
        assert [received(target) for _ in range(50)] == [frame(number, 1514) for number in range(50)]


def test_a_tap_that_is_down_is_counted_and_costs_nothing(taps: Taps) -> None:
    source = taps.up("t0")
    source.send(frame())
    taps.wait_for("drop_dst_down", 1)
    assert needless_turns(taps.engine) <= IDLE_ROUNDS
    target = taps.up("t1")
    source.send(frame(7))
    assert received(target) == frame(7)
    taps.netlink.set_link("t1", up=False)
    source.send(frame())
    taps.wait_for("drop_dst_down", 2)
    assert needless_turns(taps.engine) <= IDLE_ROUNDS
    taps.netlink.set_link("t1", up=True)
    source.send(frame(8))
    taps.wait_for("frames_out", 2)


def test_a_tap_that_is_gone_is_retired_and_costs_nothing(taps: Taps) -> None:
    source = taps.up("t0")
    taps.delete("t1")
    wait_for(lambda: taps.engine.port_counters()[1]["retired"], "the TAP to be retired")
    assert needless_turns(taps.engine) <= IDLE_ROUNDS
    source.send(frame())
    taps.wait_for("drop_dst_down", 1)
