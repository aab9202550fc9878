"""TCP requests and responses over loopback: answered, refused, cut short, too late."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest
from waiting import wait_for

from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.flows.applications import Span, Transaction
from helsewan.lab.flows.flow_engine import SocketIn
from helsewan.lab.flows.flowspec import ExchangeSpec

DEADLINE_S = 20.0
LOCALHOST = IPv4Address("127.0.0.1")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((str(LOCALHOST), 0))
        return int(probe.getsockname()[1])


def spec(
    port: int, request_bytes: int = 2_000, response_bytes: int = 20_000, deadline_us: int = 10_000_000
) -> ExchangeSpec:
    return ExchangeSpec(
        id=0,
        name="records/001",
        class_name="data",
        service="record-lookup",
        client="a",
        server="b",
        client_address=LOCALHOST,
        server_address=LOCALHOST,
        port=port,
        dscp=26,
        application=Transaction(Span(request_bytes, request_bytes), Span(response_bytes, response_bytes)),
        begins_us=tuple(range(0, 5_000, 1_000)),
        seed="1",
        deadline_us=deadline_us,
        start_us=0,
        stop_us=5_000,
        groups=("records",),
    )


def plain_socket(site: str, family: int, type_: int) -> socket.socket:
    return socket.socket(family, type_)


@contextmanager
def running(one: ExchangeSpec, socket_in: SocketIn = plain_socket) -> Iterator[ApplicationEngine]:
    engine = ApplicationEngine([one], socket_in)
    try:
        yield engine
    finally:
        engine.close()


def run_until(engine: ApplicationEngine, count: int) -> None:
    engine.start(time.time_ns())
    wait_for(lambda: len(engine.results) >= count, "the exchanges to end", DEADLINE_S, pause_s=0.005)
    engine.stop()


@pytest.mark.parametrize(("request_bytes", "response_bytes"), [(2_000, 20_000), (1, 1), (300_000, 1_000_000)])
def test_every_request_is_answered_in_full(request_bytes: int, response_bytes: int) -> None:
    one = spec(free_port(), request_bytes=request_bytes, response_bytes=response_bytes)
    with running(one) as engine:
        run_until(engine, 5)
    assert [(done.ok, done.received_bytes, done.error) for done in engine.results] == [(True, response_bytes, "")] * 5
    assert all(done.end_us > done.begin_us >= 0 for done in engine.results)


def test_both_ends_mark_their_packets() -> None:
    made: list[socket.socket] = []

    def socket_in(site: str, family: int, type_: int) -> socket.socket:
        made.append(socket.socket(family, type_))
        return made[-1]

    with running(spec(free_port()), socket_in):
        assert made[0].getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 26 << 2


@contextmanager
def rogue(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server of another kind on a port; ``answer`` handles each connection."""
    with socket.create_server((str(LOCALHOST), 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    opened, _ = listener.accept()
                except OSError:
                    return
                with opened:
                    answer(opened)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE_S)


def only_a_client(port: int, **changes: int) -> ApplicationEngine:
    """An engine whose requests go to ``port`` of another address than its own listener's."""

    def socket_in(site: str, family: int, type_: int) -> socket.socket:
        return _Elsewhere(family, type_) if site == "b" else socket.socket(family, type_)

    return ApplicationEngine([spec(port, **changes)], socket_in)


class _Elsewhere(socket.socket):
    """A socket that listens elsewhere than it is told."""

    def bind(self, address: object) -> None:
        super().bind((str(LOCALHOST), 0))


def test_a_response_cut_short_is_a_failure() -> None:
    with rogue(lambda opened: opened.sendall(opened.recv(100)[:50])) as port:
        engine = only_a_client(port)
        run_until(engine, 5)
        engine.close()
    assert not any(done.ok for done in engine.results)
    assert all(done.error for done in engine.results)


def test_a_refused_connection_is_a_failure() -> None:
    engine = only_a_client(free_port())
    run_until(engine, 5)
    engine.close()
    assert {(done.ok, done.received_bytes) for done in engine.results} == {(False, 0)}
    assert all("refused" in done.error.lower() for done in engine.results)


def test_silence_ends_at_the_deadline() -> None:
    release = threading.Event()
    with rogue(lambda opened: release.wait(DEADLINE_S) and None) as port:
        engine = only_a_client(port, deadline_us=50_000)
        run_until(engine, 5)
        engine.close()
        release.set()
    assert {done.error for done in engine.results} == {"deadline"}


def test_strangers_get_no_answer_and_break_nothing() -> None:
    one = spec(free_port())
    with running(one) as engine:
        engine.start(time.time_ns())
        for nonsense in (b"GET / HTTP/1.0\r\n\r\n", struct.pack("!4sII", b"HSWT", 12, 2**32 - 1)):
            with socket.create_connection((str(LOCALHOST), one.port)) as stranger:
                stranger.sendall(nonsense)
                stranger.settimeout(DEADLINE_S)
                assert _read_all(stranger) == b""
        engine.stop()


def _read_all(opened: socket.socket) -> bytes:
    try:
        return opened.recv(100)
    except ConnectionResetError:  # closed with our bytes unread
        return b""


def test_what_is_under_way_at_the_end_is_not_counted() -> None:
    release = threading.Event()
    with rogue(lambda opened: release.wait(DEADLINE_S) and None) as port:
        engine = only_a_client(port)
        engine.start(time.time_ns())
        time.sleep(0.05)
        engine.stop()
        release.set()
    engine.close()
    assert engine.results == ()


def test_a_port_in_use_leaves_nothing_open() -> None:
    made: list[socket.socket] = []

    def socket_in(site: str, family: int, type_: int) -> socket.socket:
        made.append(socket.socket(family, type_))
        return made[-1]

    with socket.create_server((str(LOCALHOST), 0)) as occupant, pytest.raises(OSError, match="in use"):
        ApplicationEngine([spec(occupant.getsockname()[1])], socket_in)
    assert [opened.fileno() for opened in made] == [-1]


def test_an_engine_without_exchanges_ends_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario may have no transactions: its engine starts and stops without a fault in its thread."""
    faults: list[object] = []
    monkeypatch.setattr(threading, "excepthook", faults.append)
    engine = ApplicationEngine([], plain_socket)
    engine.start(time.time_ns())
    engine.close()
    assert not faults
