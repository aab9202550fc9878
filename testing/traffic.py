"""Streams of datagrams between sites of a network under test, measured by the same engine and figures as scenarios."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from helsewan.common.errors import InputError, Problem
from helsewan.common.run_clock import RunClock
from helsewan.common.schema_errors import nearest
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.policies.plan import Protocol, Service
from helsewan.scenarios.results.measure import Figures, Window, measure
from helsewan.scenarios.traffic.pairs import CLIENT_PORTS
from helsewan.testing.waiting import eventually, seconds
from helsewan.testing.wan import Wan

VOICE_BYTES, VOICE_EVERY = 172, "20 ms"  # G.711 with its RTP header
TAIL_S = 0.5  # after the last datagram, for those in flight
_LEAD_NS = 20_000_000
_WHOLE = "whole"
_OVERLOAD = 1.5  # times the slowest access link of the path
_OVERLOAD_BYTES = 1200


class Stream:
    """Datagrams of one service from a site to another, from now on."""

    def __init__(self, wan: Wan, flow: FlowSpec, limit_s: float) -> None:
        self._flow, self._limit_s = flow, limit_s
        self._engine = FlowEngine([flow], wan.testbed.socket_in)
        self._clock = RunClock()
        self._began_ns = self._clock.now_ns() + _LEAD_NS
        self._figures: Figures | None = None
        self._engine.start(self._began_ns)

    @property
    def arrived(self) -> int:
        """Number of datagrams that have arrived so far."""
        return len(self._engine.records)

    def wait_for_arrivals(self, number: int, within: str | float = "5 s") -> None:
        """Wait until so many datagrams have arrived. Raises AssertionError."""
        eventually(lambda: self.arrived >= number, within, f"{number} datagrams of {self._flow.name} to arrive")

    def wait(self) -> Figures:
        """Wait until the stream's time is over; returns its figures."""
        left_s = self._limit_s + TAIL_S - (self._clock.now_ns() - self._began_ns) / 1e9
        time.sleep(max(left_s, 0))
        return self.stop()

    def stop(self) -> Figures:
        """End it; returns the figures (`Figures`) of what was due until some time before now, so that datagrams in
        flight do not count as lost."""
        if self._figures is None:
            now_us = (self._clock.now_ns() - self._began_ns) // 1000
            self._engine.stop()
            until_us = min(now_us - int(TAIL_S * 1e6), int(self._limit_s * 1e6))
            window = Window(_WHOLE, 0, max(until_us, 0))
            records, due = self._engine.records.copy(), self._engine.due
            self._engine.close()
            found = measure(records, [self._flow], self._engine.endpoints, [window], due)
            self._figures = found.figures[0, _WHOLE]
        return self._figures

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def stream(
    wan: Wan,
    client: str,
    server: str,
    service: str = "",
    *,
    every: str = VOICE_EVERY,
    payload_bytes: int = VOICE_BYTES,
    rate_bps: int = 0,
    duration: str | float = "2 s",
) -> Stream:
    """Start a stream of UDP datagrams of a service of the policy (by default the first that ``client`` may open to
    ``server``), marked as its class: one of ``payload_bytes`` every ``every``, or ``rate_bps`` of payload. It sends for
    ``duration`` at most. Raises InputError for a service that is not UDP or that the policy does not let them use."""
    chosen = _service(wan, client, server, service)
    a, b = wan.site(client).site, wan.site(server).site
    interval_ns = round(payload_bytes * 8e9 / rate_bps) if rate_bps else round(seconds(every) * 1e9)
    dscp = wan.plan.traffic_class[chosen.class_name].dscp
    port = _next_port()
    limit_s = seconds(duration)
    flow = FlowSpec(
        id=0,
        name=f"{client} > {server}",
        kind=FlowKind.VOICE if chosen.name == "voice" else FlowKind.MESSAGES,
        class_name=chosen.class_name,
        service=chosen.name,
        client=client,
        server=server,
        source=Endpoint(client, a.address4, port),
        destination=Endpoint(server, b.address4, chosen.port_numbers[port % len(chosen.port_numbers)]),
        dscp=dscp,
        sent_dscp=dscp,
        interval_ns=interval_ns,
        burst=1,
        payload_bytes=payload_bytes,
        start_us=0,
        stop_us=int(limit_s * 1e6),
        codec="g711" if chosen.name == "voice" else "",
        groups=("stream",),
    )
    return Stream(wan, flow, limit_s)


@contextmanager
def overload(wan: Wan, streams: Iterable[tuple[str, str, str]]) -> Iterator[None]:
    """Streams (client, server, service) that send more than the slower access link of each carries."""
    running = []
    try:
        for client, server, service in streams:
            slowest = min(wan.site(end).site.accesses[0].rate_bps for end in (client, server))
            rate_bps = int(slowest * _OVERLOAD)
            running.append(
                stream(wan, client, server, service, payload_bytes=_OVERLOAD_BYTES, rate_bps=rate_bps, duration="60 s")
            )
        for each in running:
            each.wait_for_arrivals(50)
        yield
    finally:
        for each in running:
            each.stop()


def _service(wan: Wan, client: str, server: str, name: str) -> Service:
    roles = wan.plan.role_of_site
    ends = roles[wan.site(client).site.id].id, roles[wan.site(server).site.id].id
    known = {each.name: each for each in wan.plan.services if each.protocol is Protocol.UDP}
    usable = [each for each in known if (*ends, each) in wan.plan.allowed]
    if not usable:
        raise InputError(Problem("service", name or None, f"the policy opens no UDP service from {client} to {server}"))
    if name and name not in usable:
        reason = f"is no UDP service that {client} may use at {server}"
        raise InputError(Problem("service", name, reason, nearest(name, usable)))
    return known[name or usable[0]]


_ports = iter(CLIENT_PORTS)
_ports_lock = threading.Lock()


def _next_port() -> int:
    """A client port that no other stream of this process has had lately."""
    global _ports
    with _ports_lock:
        port = next(_ports, None)
        if port is None:
            _ports = iter(CLIENT_PORTS)
            port = next(_ports)
        return port
