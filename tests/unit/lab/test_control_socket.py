"""The control socket of a running lab: clients can send requests and be refused, and do no harm."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from helsewan.common.errors import InputError, Problem
from helsewan.lab.client.protocol import REPLY_LIMIT_BYTES, VERSION, Message, receive, send
from helsewan.lab.client.request import Request
from helsewan.lab.server.control_socket import Operation, OperationRefused, Server


class Add(Request):
    """Two numbers."""

    a: int
    b: int = 0


def _add(request: Add, _: Sequence[int]) -> int:
    return request.a + request.b


def _size(_: Request, fds: Sequence[int]) -> int:
    return os.fstat(fds[0]).st_size


def _fail(request: Add, _: Sequence[int]) -> None:
    if request.a == 1:
        raise OperationRefused("not today", 7)
    if request.a == 2:
        raise InputError(Problem("here", 2, "is wrong"))
    raise RuntimeError("out of luck")


OPERATIONS = {"add": Operation(Add, _add), "size": Operation(Request, _size, fds=1), "fail": Operation(Add, _fail)}


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen(8)
        Server(listener, OPERATIONS).start()
        yield str(tmp_path / "socket")


def ask(address: str, message: Message, fds: Sequence[int] = ()) -> Message:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(address)
        send(client, message, fds)
        return receive(client, REPLY_LIMIT_BYTES, 10)[0]


def request(op: str, **arguments: Any) -> Message:
    return {"version": VERSION, "op": op, "arguments": arguments}


def test_an_operation_answers(address: str) -> None:
    assert ask(address, request("add", a=1, b=2)) == {"ok": 3}


def test_descriptors_reach_the_operation_and_are_closed(address: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    before = len(os.listdir("/proc/self/fd"))
    with (tmp_path / "file").open("rb") as file:
        assert ask(address, request("size"), (file.fileno(),)) == {"ok": 5}
    assert len(os.listdir("/proc/self/fd")) <= before + 1  # the connection's end may take a moment to close


@pytest.mark.parametrize(
    ("message", "fds", "error"),
    [
        ({"version": 99, "op": "add", "arguments": {}}, 0, "has protocol version"),
        ({"op": "add"}, 0, "has protocol version"),
        (request("nosuch"), 0, "unknown request: 'nosuch'"),
        (request("add") | {"more": 1}, 0, "unknown request"),
        ({"version": VERSION, "op": ["add"], "arguments": {}}, 0, "unknown request"),
        (request("add"), 0, "add: a: Field required"),
        (request("add", a="1"), 0, "add: a: Input should be a valid integer"),
        (request("add", a=1, c=1), 0, "add: c: Extra inputs"),
        ({"version": VERSION, "op": "add", "arguments": []}, 0, "add: : Input should be"),
        (request("add", a=1), 1, "add takes 0 descriptors, not 1"),
        (request("size"), 0, "size takes 1 descriptors, not 0"),
    ],
)
def test_what_does_not_fit_is_refused(address: str, message: Message, fds: int, error: str) -> None:
    reply = ask(address, message, [0] * fds)
    assert error in reply["error"] and reply["status"] == 2


@pytest.mark.parametrize(
    ("number", "error", "status"),
    [(1, "not today", 7), (2, "here: 2 is wrong", 2), (3, "RuntimeError: out of luck", 70)],
)
def test_what_goes_wrong_is_an_answer(address: str, number: int, error: str, status: int) -> None:
    assert ask(address, request("fail", a=number)) == {"error": error, "status": status}


def test_bad_clients_leave_it_as_it_was(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Noise, halves of messages, and clients that leave at once; the next one is served."""
    for packet in (b"noise", b".{", b"+{", b".[]", b""):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(address)
            client.send(packet)
    assert ask(address, request("add", a=4)) == {"ok": 4}
    assert capfd.readouterr().err == ""


def test_a_silent_client_keeps_nobody_waiting(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.connect(address)
        assert ask(address, request("add", a=5)) == {"ok": 5}
