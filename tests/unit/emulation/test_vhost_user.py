"""The messages of vhost-user, and the ports that a switch connects to, against a back end of our own."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from vhost_device import (
    GET_VRING_BASE,
    SET_VRING_ADDR,
    SET_VRING_BASE,
    SET_VRING_CALL,
    SET_VRING_KICK,
    SET_VRING_NUM,
    VhostDevice,
)
from waiting import wait_for

from helsewan.emulation.links import vhost_user
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.ring_ports import ENTRIES, RingPort, RingPorts
from helsewan.emulation.links.vhost_user import ProtocolError


@pytest.fixture(name="pair")
def _pair() -> Iterator[tuple[socket.socket, VhostDevice]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    with ours, theirs:
        yield ours, VhostDevice(sock=theirs)


def test_queues_are_named_with_their_places(pair: tuple[socket.socket, VhostDevice]) -> None:
    ours, device = pair
    offsets = [(0, 1000, 2000), (4000, 5000, 6000)]
    for queue, places in enumerate(offsets):
        vhost_user.start_queue(ours, queue, 256, places, call=0, kick=0)
    messages = device.queues()
    order = [SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ADDR, SET_VRING_CALL, SET_VRING_KICK]
    assert [message.request for message in messages] == order * 2
    for queue, (table, available, used) in enumerate(offsets):
        number, base, addresses, call, kick = messages[5 * queue : 5 * queue + 5]
        assert struct.unpack("=II", number.payload) == (queue, 256)
        assert struct.unpack("=II", base.payload) == (queue, 0)
        found = struct.unpack("=IIQQQQ", addresses.payload)
        start = found[2] - table
        assert found == (queue, 0, start + table, start + used, start + available, 0)
        assert len(call.fds) == len(kick.fds) == 1
        for fd in (*call.fds, *kick.fds):
            os.close(fd)


def test_the_memory_is_one_region_where_the_queues_lie(pair: tuple[socket.socket, VhostDevice]) -> None:
    ours, device = pair
    memory = os.memfd_create("test")
    thread = threading.Thread(target=vhost_user.begin, args=(ours, memory, 12_345))
    thread.start()
    table = device.begin()
    thread.join()
    regions, _, guest, size, our_address, offset = struct.unpack("=IIQQQQ", table.payload)
    assert (regions, guest, size, offset) == (1, 0, 12_345, 0)
    assert our_address == 1 << 32
    os.close(memory)
    os.close(table.fds[0])


def test_a_back_end_without_version_1_is_refused(pair: tuple[socket.socket, VhostDevice]) -> None:
    ours, device = pair
    device.reply(1, struct.pack("=Q", 1 << 5))
    with pytest.raises(ProtocolError, match="without VIRTIO_F_VERSION_1"):
        vhost_user.begin(ours, 0, 4096)


@pytest.mark.parametrize(
    ("request_number", "flags", "payload"),
    [
        (12, 5, bytes(8)),  # a reply to another request
        (11, 1, bytes(8)),  # no reply
        (11, 4, bytes(8)),  # of another version
        (11, 5, bytes(4)),  # too short
        (11, 5, bytes(12)),  # too long
        (11, 5, bytes(300)),  # longer than any
    ],
)
def test_wrong_replies_are_refused(
    pair: tuple[socket.socket, VhostDevice], request_number: int, flags: int, payload: bytes
) -> None:
    ours, device = pair
    vhost_user.ask_to_stop(ours)
    device.reply(request_number, payload, flags)
    with pytest.raises(ProtocolError):
        vhost_user.await_stop(ours)


def test_an_end_within_a_reply_is_told(pair: tuple[socket.socket, VhostDevice]) -> None:
    ours, device = pair
    vhost_user.ask_to_stop(ours)
    device.receive()
    device.receive()
    device.socket.sendall(bytes(5))
    device.socket.close()
    with pytest.raises(ProtocolError, match="has ended"):
        vhost_user.await_stop(ours)


@pytest.fixture(name="ports")
def _ports() -> Iterator[tuple[EngineProcess, RingPorts]]:
    with EngineProcess(max_ports=8, max_pipes=8) as engine:
        ports = RingPorts(engine)
        yield engine, ports
        ports.close()


def connected(port: RingPort) -> VhostDevice:
    """A device that uses the port's rings."""
    device = VhostDevice(port.path)
    close(device.begin().fds)
    for message in device.queues():
        close(message.fds)
    wait_for(lambda: port.is_ready, "the port to change")
    return device


def close(fds: list[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def test_a_port_goes_down_and_up_over_one_connection(ports: tuple[EngineProcess, RingPorts], tmp_path: Path) -> None:
    _, rings = ports
    port = rings.open(tmp_path / "port")
    rings.hand_over([port])
    device = connected(port)
    down = threading.Thread(target=rings.set_carrier, args=([port], False))
    down.start()
    device.stop()
    down.join(10)
    assert not port.running
    rings.set_carrier([port], True)
    assert device.queues()[0].request == SET_VRING_NUM
    assert port.running
    assert rings.wait([port], 0) == []


def test_a_switch_that_connects_again_gets_its_rings_again(
    ports: tuple[EngineProcess, RingPorts], tmp_path: Path
) -> None:
    _, rings = ports
    port = rings.open(tmp_path / "port")
    rings.hand_over([port])
    connected(port).socket.close()
    wait_for(lambda: not port.running, "the port to change")
    connected(port)


def test_a_port_that_is_down_waits_for_its_rings(ports: tuple[EngineProcess, RingPorts], tmp_path: Path) -> None:
    _, rings = ports
    port = rings.open(tmp_path / "port")
    rings.hand_over([port])
    rings.set_carrier([port], False)
    device = VhostDevice(port.path)
    close(device.begin().fds)
    wait_for(lambda: port.is_ready, "the port to change")
    assert not port.running
    rings.set_carrier([port], True)
    assert len(device.queues()) == 10


def test_a_device_that_speaks_unasked_is_disconnected(ports: tuple[EngineProcess, RingPorts], tmp_path: Path) -> None:
    _, rings = ports
    port = rings.open(tmp_path / "port")
    rings.hand_over([port])
    device = connected(port)
    device.reply(GET_VRING_BASE, bytes(8))
    wait_for(lambda: port.connection is None, "the port to change")


def test_a_device_that_answers_nothing_is_given_up(
    ports: tuple[EngineProcess, RingPorts], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, rings = ports
    monkeypatch.setattr("helsewan.emulation.links.ring_ports._REPLY_DEADLINE_S", 0.1)
    port = rings.open(tmp_path / "port")
    rings.hand_over([port])
    VhostDevice(port.path)
    device = connected(port)  # the next connection is served all the same
    rings.set_carrier([port], False)
    assert port.connection is None
    device.socket.close()


def test_the_memory_cannot_shrink(tmp_path: Path) -> None:
    port = RingPort(tmp_path / "port")
    with pytest.raises(PermissionError):
        os.ftruncate(port.memory, 0)
    assert port.size > 2 * ENTRIES * 2048
    os.close(port.memory)
    port.listener.close()
