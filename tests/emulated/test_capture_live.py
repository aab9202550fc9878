"""A capture of a line between two TAPs, started and stopped while traffic runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.utils import PcapNgReader

from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import Direction, PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode

PATIENCE_S = 10.0
ETH_P_ALL = 0x0003
LOCAL_TYPE = b"\x88\xb5"  # IEEE 802 local experimental EtherType
ENOUGH = 300  # frames before, during and after the capture


def frame(end: int, number: int) -> bytes:
    """A broadcast frame from one end, to tell by its number."""
    head = b"\xff" * 6 + bytes([2, 0, 0, 0, 0, end]) + LOCAL_TYPE + number.to_bytes(4, "big")
    return head.ljust(60 + number % 1400, b"\x5a")


def number_of(data: bytes) -> int:
    """Of a frame."""
    return int.from_bytes(data[14:18], "big")


class Traffic:
    """Frames sent into both ends of a line, and those that came out, until stopped."""

    def __init__(self, nodes: list[NamespaceNode]) -> None:
        self.arrived: list[list[bytes]] = [[], []]  # by sender
        self._sent = 0  # by either end
        self._stopping = threading.Event()
        self._progress = threading.Condition()
        self._sockets = [self._socket(node) for node in nodes]
        work = [threading.Thread(target=self._send), *(threading.Thread(target=self._take, args=(n,)) for n in (0, 1))]
        self._threads = work
        for thread in work:
            thread.start()

    def _socket(self, node: NamespaceNode) -> socket.socket:
        sock = node.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        sock.bind(("wan0", 0))
        sock.settimeout(0.2)
        return sock

    def _send(self) -> None:
        while not self._stopping.wait(0.0005):
            for end, sock in enumerate(self._sockets):
                sock.send(frame(end, self._sent))
            self._sent += 1

    def _take(self, sender: int) -> None:
        while True:
            try:
                data, (_, _, kind, _, _) = self._sockets[1 - sender].recvfrom(65536)
            except TimeoutError:
                if self._stopping.is_set():
                    return
                continue
            if kind != socket.PACKET_OUTGOING:
                with self._progress:
                    self.arrived[sender].append(data)
                    self._progress.notify_all()

    def wait_for_more(self) -> None:
        """Until ENOUGH frames that are not sent yet have come from either end."""
        last = self._sent + ENOUGH
        with self._progress:
            assert self._progress.wait_for(
                lambda: all(frames and number_of(frames[-1]) >= last for frames in self.arrived), PATIENCE_S
            )

    def stop(self) -> None:
        """No more frames; those on their way arrive."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()


@pytest.fixture
def backend() -> Iterator[tuple[EngineBackend, list[NamespaceNode]]]:
    """A plant with one line, and the nodes at its ends."""
    with EngineProcess(max_ports=2, max_pipes=2) as engine:
        backend = EngineBackend(engine, PipeModel)
        nodes = [NamespaceNode(name) for name in ("west", "east")]
        ends = [backend.end(node, "wan0") for node in nodes]
        for node in nodes:
            node.netlink.set_link("wan0", up=True)
        backend.join("west-east", ends[0], ends[1], 100_000_000, 2_000)
        backend.commit()
        yield backend, nodes
        for node in nodes:
            node.terminate()


@pytest.mark.parametrize("direction", [None, Direction.FORWARD, Direction.BACK])
def test_a_capture_amid_traffic_has_every_frame_of_its_time(
    backend: tuple[EngineBackend, list[NamespaceNode]], direction: Direction | None, tmp_path: Path
) -> None:
    lines, nodes = backend
    traffic = Traffic(nodes)
    try:
        traffic.wait_for_more()
        capture = lines.capture("west-east", direction, tmp_path / "line.pcapng")
        traffic.wait_for_more()
        counts = capture.stop()
        traffic.wait_for_more()
    finally:
        traffic.stop()

    with PcapNgReader(str(capture.file)) as reader:
        kept = [(packet.sniffed_on, bytes(packet)) for packet in reader]
    directions = list(Direction) if direction is None else [direction]
    assert {name for name, _ in kept} == {f"west-east {one.value}" for one in directions}
    for one, count in zip(directions, counts, strict=True):
        own = [data for name, data in kept if name == f"west-east {one.value}"]
        arrived = traffic.arrived[one is Direction.BACK]
        first = arrived.index(own[0])
        assert first >= ENOUGH and len(own) >= ENOUGH and len(arrived) - first - len(own) > 0
        assert own == arrived[first : first + len(own)]
        assert (count.frames, count.missed) == (len(own), 0)
