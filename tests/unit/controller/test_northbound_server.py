"""The northbound server on a real socket: the peer's identity, event streams, and misbehaving clients."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from northbound_source import TOKEN, Northbound
from waiting import wait_for

from helsewan.controller.northbound import auth_middleware, server
from helsewan.controller.northbound.context import MAX_STREAMS

DEADLINE_S = 60.0
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}


class Served(Northbound):
    """The interface on a unix socket."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.path = home / "api"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        self.server = server.server(self.app)
        self.thread = threading.Thread(target=self.server.run, args=([listener],), daemon=True)
        self.thread.start()
        wait_for(lambda: self.server.started, "the server")

    def close(self) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(DEADLINE_S)

    def connect(self) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.settimeout(DEADLINE_S)
        peer.connect(str(self.path))
        return peer

    def request(self, method: str, path: str, **headers: str) -> http.client.HTTPResponse:
        """A response, whose body may still arrive."""
        connection = http.client.HTTPConnection("helsewan", timeout=DEADLINE_S)
        connection.sock = self.connect()
        connection.request(
            method, path, headers={**AUTHORIZATION, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )
        return connection.getresponse()


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(server, "IDLE_S", 0.5)
    monkeypatch.setattr(auth_middleware, "BODY_S", 0.5)
    made = Served(tmp_path)
    yield made
    made.close()


def next_event(stream: http.client.HTTPResponse) -> tuple[str, dict[str, Any]]:
    """The id and data of the next event."""
    found: dict[str, str] = {}
    while "data" not in found:
        name, _, value = stream.readline().decode().rstrip("\n").partition(": ")
        found[name] = value
    assert found["event"] == json.loads(found["data"])["event"]
    return found["id"], json.loads(found["data"])


def test_a_local_caller_is_known_by_its_user_id(served: Served) -> None:
    assert served.request("PUT", "/v1/faults/r1-r2").status == 200
    assert served.source.asked[-1][-1] == {"door": "api", "name": "operator", "uid": os.getuid()}


def test_events_come_as_they_happen_and_go_on_where_a_stream_ended(served: Served) -> None:
    served.note(event="before", number=0)
    live = served.request("GET", "/v1/events")
    assert live.getheader("content-type", "").startswith("text/event-stream")
    served.note(event="port-down", number=1)
    last, event = next_event(live)
    assert event == {"event": "port-down", "number": 1}
    live.close()
    served.note(event="port-up", number=2)
    served.note(event="port-up", number=3)
    resumed = served.request("GET", "/v1/events", last_event_id=last)
    assert [next_event(resumed)[1]["number"] for _ in range(2)] == [2, 3]
    everything = served.request("GET", "/v1/events?after=0")
    assert [next_event(everything)[1]["number"] for _ in range(4)] == [0, 1, 2, 3]


def test_lines_that_are_no_events_are_passed_over(served: Served) -> None:
    with served.events.open("a") as file:
        file.write('nonsense\n[]\n{"no": "event"}\n\n')
    served.note(event="a\nid: 7\n\nevent: b", number=4)
    served.note(event="last", number=5)
    stream = served.request("GET", "/v1/events?after=0")
    assert stream.readline() == b"retry: 1000\n" and stream.readline() == b"\n"
    assert stream.readline().startswith(b"id: ") and stream.readline() == b"event: aid: 7event: b\n"
    assert stream.readline().startswith(b"data: {") and stream.readline() == b"\n"
    assert next_event(stream)[1]["number"] == 5


def test_a_client_that_does_not_read_is_disconnected(served: Served) -> None:
    served.app._reader_s = 0.5
    with served.events.open("a") as file:
        file.write("".join(json.dumps({"event": "much", "text": "x" * 1000}) + "\n" for _ in range(20_000)))
    with served.connect() as peer:
        peer.sendall(f"GET /v1/events?after=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n".encode())
        wait_for(lambda: len(served.server.server_state.connections) == 1, "the stream")
        wait_for(lambda: not served.server.server_state.connections, "the reader to be dropped")
    assert served.request("GET", "/v1/vpns").status == 200


def test_an_idle_connection_is_closed(served: Served) -> None:
    with served.connect() as peer:
        assert peer.recv(1) == b""


def test_a_body_that_does_not_arrive_times_out(served: Served) -> None:
    with served.connect() as peer:
        head = f"POST /v1/policy/dry-run HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        peer.sendall(f"{head}content-length: 9\r\n\r\nab".encode())
        assert peer.recv(100).startswith(b"HTTP/1.1 408 ")


def test_headers_beyond_the_limit_are_refused(served: Served) -> None:
    with served.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * (server.HEADERS_LIMIT_BYTES * 2))
        assert peer.recv(100).startswith(b"HTTP/1.1 4")


def test_idle_connections_take_no_place_from_those_with_a_token(served: Served) -> None:
    """Whoever may connect but has no token cannot keep others out."""
    peers = [served.connect() for _ in range(300)]
    for _ in range(3):
        assert served.request("GET", "/v1/vpns").status == 200
    assert len(served.server.server_state.connections) <= server.MAX_UNKNOWN + 4
    for peer in peers:
        peer.close()


def test_a_connection_with_a_token_outlives_idle_ones(tmp_path: Path) -> None:
    served = Served(tmp_path)
    connection = http.client.HTTPConnection("helsewan", timeout=DEADLINE_S)
    connection.sock = served.connect()
    connection.request("GET", "/v1/vpns", headers=AUTHORIZATION)
    connection.getresponse().read()
    peers = [served.connect() for _ in range(100)]
    connection.request("GET", "/v1/vpns", headers=AUTHORIZATION)
    assert connection.getresponse().status == 200
    for peer in peers:
        peer.close()
    served.close()


def test_too_many_clients_with_a_token_are_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 4)
    streams = [served.request("GET", "/v1/events") for _ in range(4)]
    refused = served.request("GET", "/v1/vpns")
    assert (refused.status, refused.getheader("retry-after")) == (503, "1")
    assert json.loads(refused.read())["detail"] == "too many clients are connected"
    streams.pop().close()
    wait_for(lambda: served.request("GET", "/v1/vpns").status == 200, "room")


@pytest.mark.parametrize("path", ["/v1/vpns", "/v1/policy", "/metrics", "/v1/events?after=0", "/v1/sites/nowhere"])
def test_head_is_get_without_the_body(served: Served, path: str) -> None:
    served.note(event="before")
    head, get = served.request("HEAD", path), served.request("GET", path)
    assert head.status == get.status and head.read() == b""
    for name in ("content-type", "etag", "content-length"):
        assert head.getheader(name) == get.getheader(name)


def test_head_of_the_events_keeps_no_stream(served: Served) -> None:
    for _ in range(MAX_STREAMS + 5):
        assert served.request("HEAD", "/v1/events").status == 200
    wait_for(lambda: served.request("GET", "/v1/events").status == 200, "a free stream")
