"""Exchanges of applications over loopback: specs, and an engine run until they have ended."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from waiting import wait_for

from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.applications import Application, SipCall, SipTransport
from helsewan.lab.flows.flow_engine import SocketIn
from helsewan.lab.flows.flowspec import ExchangeSpec

DEADLINE_S = 20.0
IPV4, IPV6 = ip_address("127.0.0.1"), ip_address("::1")


def free_port(family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(family, kind) as probe:
        probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return int(probe.getsockname()[1])


def exchange_spec(
    application: Application,
    version: int = 4,
    count: int = 5,
    deadline_us: int = 10_000_000,
    port: int = 0,
    stop_us: int | None = None,
) -> ExchangeSpec:
    """``count`` exchanges, one a millisecond, with a server at a free port, in a run until ``stop_us``; calls are from
    127.0.0.2 to 127.0.0.1."""
    is_udp = isinstance(application, SipCall) and application.transport is SipTransport.UDP
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    server = IPV4 if version == 4 else IPV6
    return ExchangeSpec(
        id=0,
        name="entry/001",
        class_name="data",
        service="service",
        client="a",
        server="b",
        client_address=ip_address("127.0.0.2") if isinstance(application, SipCall) and version == 4 else server,
        server_address=server,
        port=port or free_port(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM),
        dscp=26,
        application=application,
        begins_us=tuple(range(0, count * 1_000, 1_000)),
        seed="1",
        deadline_us=deadline_us,
        start_us=0,
        stop_us=count * 1_000 if stop_us is None else stop_us,
        groups=("entry",),
    )


def plain_socket(site: str, family: int, kind: int) -> socket.socket:
    return socket.socket(family, kind)


@contextmanager
def running(*specs: ExchangeSpec, socket_in: SocketIn = plain_socket) -> Iterator[ApplicationEngine]:
    engine = ApplicationEngine(specs, socket_in)
    try:
        engine.start(time.time_ns())
        yield engine
    finally:
        engine.close()


def ended(*specs: ExchangeSpec, count: int = 5, socket_in: SocketIn = plain_socket) -> tuple[Exchange, ...]:
    """What became of the first ``count`` exchanges."""
    with running(*specs, socket_in=socket_in) as engine:
        wait_for(lambda: len(engine.results) >= count, "the exchanges to end", DEADLINE_S, pause_s=0.005)
        engine.stop()
        return engine.results
