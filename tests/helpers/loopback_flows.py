"""A call between two sockets of the loopback interface, for tests of the flow engine."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial

from scenario_case import FLOW
from waiting import wait_for

from helsewan.lab.flows.flowspec import Endpoint, FlowSpec

DEADLINE_S = 20.0
MS = 1_000_000

wait_until = partial(wait_for, what="what was sent to be counted", deadline_s=DEADLINE_S, pause_s=0.005)


def bound(address: str = "127.0.0.1") -> socket.socket:
    opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, 0))
    return opened


def loopback(port: int, site: str) -> Endpoint:
    return replace(FLOW.source, site=site, port=port)


def two_way_call() -> list[FlowSpec]:
    ports = []
    for opened in (bound(), bound()):
        ports.append(opened.getsockname()[1])
        opened.close()
    near, far = loopback(ports[0], "a"), loopback(ports[1], "b")
    there = replace(FLOW, source=near, destination=far, interval_ns=2 * MS, stop_us=100_000)
    return [there, replace(there, id=1, source=far, destination=near)]


def plain_socket(site: str, family: int, type_: int) -> socket.socket:
    return socket.socket(family, type_)
