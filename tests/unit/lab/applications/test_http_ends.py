"""Web pages and ebXML messages over HTTP: kept connections, pipelining, receipts, broken peers."""

from __future__ import annotations

import pytest
from ends import converse, outcome, sent

from helsewan.lab.applications.clients import server_of
from helsewan.lab.applications.tcp import ebxml
from helsewan.lab.applications.tcp.end import ProtocolError
from helsewan.lab.applications.tcp.http import HttpClient, HttpServer
from helsewan.lab.flows.applications import Span, Web

ONE = Span(1, 1)


def server() -> HttpServer:
    made = server_of(Web(ONE, ONE, ONE, 1, ONE, ONE))()
    assert isinstance(made, HttpServer)
    return made


@pytest.mark.parametrize("piece", [1, 100, 65_536])
@pytest.mark.parametrize("size", [0, 1, 5_000, 200_000])
def test_pages_follow_each_other_on_one_connection(size: int, piece: int) -> None:
    client, far = HttpClient(), server()
    for _ in range(2):
        client.ask("proxy", f"http://example.test/{size}")
        converse(client, far, piece)
        assert client.finished
        assert len(client.body) == size
        assert client.received_bytes >= size
        assert not client.closing and not far.closing


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /12 HTTP/1.1\r\nHost: a\r\n\r\n", b"200"),
        (b"GET /12 HTTP/1.0\r\n\r\n", b"200"),
        (b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
        (b"GET /99999999999 HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
        (b"GET /ebxml/receipts/%3Ca HTTP/1.1\r\nHost: a\r\n\r\n", b"404"),
        (b"POST /ebxml HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nno", b"404"),
        (b"HEAD /12 HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"DELETE /12 HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
    ],
)
def test_the_server_answers_with_a_status(request_: bytes, status: bytes) -> None:
    answer, broken = outcome(server, [request_])
    assert answer.split()[1] == status
    assert not broken


def test_requests_ahead_are_answered_in_order() -> None:
    answer, broken = outcome(server, [b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size for size in (1, 22, 333))])
    lengths = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length")]
    assert [int(line.split()[1]) for line in lengths] == [1, 22, 333]
    assert not broken


def test_requests_that_never_wait_are_refused() -> None:
    far = server()
    far.receive(b"GET /ebxml/receipts/1?after=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
    with pytest.raises(ProtocolError, match="ahead"):
        for _ in range(100):
            far.receive(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" * 1_000)


def test_a_message_gets_both_receipts() -> None:
    client, far = HttpClient(), server()
    body = ebxml.message("M1@a", "a", "b", 12_000)
    assert 11_990 <= len(body) <= 12_000
    client.ask("a", ebxml.send_target(4_000), body)
    converse(client, far)
    ebxml.check_receipt(client.body, "M1@a")
    assert 3_990 <= len(client.body) <= 4_000
    client.ask("a", ebxml.receipt_target("M1@a", 5_000, 200_000))
    for part in [sent(client)]:
        far.receive(part)
    assert far.wake_after_us == 200_000 and not far.outgoing()
    converse(client, far)
    ebxml.check_receipt(client.body, "M1@a")
    assert b"<eb:Action>AppRec</eb:Action>" in client.body
    with pytest.raises(ProtocolError, match="no message of ours"):
        ebxml.check_receipt(client.body, "M2@a")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n12",
        b"SSH-2.0-x\r\n\r\n",
    ],
)
def test_another_response_is_a_failure(answer: bytes) -> None:
    client = HttpClient()
    client.ask("a", "/1")
    sent(client)
    with pytest.raises(ProtocolError):
        client.receive(answer)
        client.receive(b"")


def test_a_response_cut_short_is_a_failure() -> None:
    client = HttpClient()
    client.ask("a", "/1")
    sent(client)
    client.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    with pytest.raises(ProtocolError):
        client.end_of_input()


def test_a_server_may_close_after_its_response() -> None:
    client = HttpClient()
    client.ask("a", "/1")
    sent(client)
    client.receive(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n12345")
    client.end_of_input()
    assert client.finished and client.closing and client.body == b"12345"
