"""The protocol of running labs: whole messages of a bounded size in bounded time, with their descriptors."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.client.protocol import MAX_FDS, ProtocolError, receive, send

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@given(st.dictionaries(st.text(), JSON))
def test_what_is_sent_arrives(message: dict[str, object]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        send(ours, message)
        assert receive(theirs, 1 << 20, 5) == (message, [])


def test_a_long_message_comes_in_pieces(pair: tuple[socket.socket, socket.socket]) -> None:
    message = {"text": "å" * 1_000_000}
    sender = threading.Thread(target=send, args=(pair[0], message))
    sender.start()
    assert receive(pair[1], 10 << 20, 20)[0] == message
    sender.join()


def test_descriptors_come_along(pair: tuple[socket.socket, socket.socket]) -> None:
    reading, writing = os.pipe()
    send(pair[0], {}, (writing,))
    os.close(writing)
    _, (theirs,) = receive(pair[1], 100, 5)
    os.write(theirs, b"through")
    os.close(theirs)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == b"through"


@pytest.mark.parametrize(
    ("packets", "complaint"),
    [
        ([b"?{}"], "no part"),
        ([b".{"], "not JSON"),
        ([b".[]"], "no JSON object"),
        ([b"." + b"[" * 30_000], "not JSON"),
        ([b".\xff"], "not JSON"),
        ([b"+" + b" " * 30_000, b"." + b" " * 30_000 + b"{}"], "more than 50000 bytes"),
        ([b"." + b" " * 40_000], "no part|more than"),
        ([b"+{}"], "in time"),
        ([], "in time"),
    ],
)
def test_what_is_no_message_is_refused(
    pair: tuple[socket.socket, socket.socket], packets: list[bytes], complaint: str
) -> None:
    for packet in packets:
        pair[0].send(packet)
    with pytest.raises(ProtocolError, match=complaint):
        receive(pair[1], 50_000, 0.2)


def test_a_peer_that_leaves_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    pair[0].send(b"+{")
    pair[0].close()
    with pytest.raises(ProtocolError, match=r"closed|failed"):
        receive(pair[1], 1000, 5)
    with pytest.raises(ProtocolError, match=r"closed|failed"):
        send(pair[1], {})


def test_a_peer_that_does_not_read_is_not_waited_for(pair: tuple[socket.socket, socket.socket]) -> None:
    with pytest.raises(ProtocolError, match="does not read"):
        send(pair[0], {"text": "x" * 10_000_000}, deadline_s=0.2)


def test_descriptors_of_a_refused_message_are_closed(pair: tuple[socket.socket, socket.socket]) -> None:
    before = set(os.listdir("/proc/self/fd"))
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(MAX_FDS + 2)]
    socket.send_fds(pair[0], [b".{}"], fds)
    socket.send_fds(pair[0], [b"?"], fds[:2])
    for fd in fds:
        os.close(fd)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            receive(pair[1], 1000, 0.2)
    assert set(os.listdir("/proc/self/fd")) == before
