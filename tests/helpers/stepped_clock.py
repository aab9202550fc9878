"""Parts of a run under a wall clock that is set meanwhile: ``python stepped_clock.py PART STEP_NS``, with
stepped_clock.c preloaded. Prints what came of it as JSON."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import threading
import time
from ipaddress import IPv4Address
from types import SimpleNamespace

import numpy as np
from waiting import wait_for

from helsewan.common.run_clock import RunClock
from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.flows._flows import Engine
from helsewan.lab.flows.applications import Span, Transaction
from helsewan.lab.flows.flowspec import ExchangeSpec
from helsewan.lab.flows.records import RECEIVER, RECORD, SENDER
from helsewan.lab.health.health_monitor import HealthMonitor
from helsewan.scenarios.run.run import Run

STEP = ctypes.c_int64.in_dll(ctypes.CDLL(None), "test_step_ns")
DEADLINE_S = 60.0
MS = 1_000_000
COUNT = 40
LONG_NS = 3_600_000 * MS


def datagrams(step_ns: int) -> object:
    """How many arrive of COUNT, and whether all their delays are possible ones."""
    records, senders, receivers = np.zeros(COUNT, RECORD), np.zeros(1, SENDER), np.zeros(1, RECEIVER)
    engine = Engine(records, senders, receivers, np.zeros(100, np.uint64), cookie=7)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        far.bind(("127.0.0.1", 0))
        engine.add_receiver(far.fileno(), 0)
        start_ns = time.time_ns()
        model = {"interval_ns": 10 * MS, "burst": 1, "payload_bytes": 100, "tos": 0, "start_ns": start_ns}
        address, port = far.getsockname()
        stop_ns = start_ns + COUNT * 10 * MS
        engine.add_sender(near.fileno(), flow=3, address=address, port=port, stop_ns=stop_ns, **model)
        reader, writer = os.pipe()
        thread = threading.Thread(target=engine.run, args=(reader,), daemon=True)
        thread.start()
        wait_for(lambda: receivers[0]["received"] > 2, "the first datagrams", DEADLINE_S)
        STEP.value = step_ns
        wait_for(lambda: receivers[0]["received"] == COUNT, "the last datagram", DEADLINE_S)
        os.write(writer, b"x")
        thread.join()
    delays_ns = np.sort(records["rx_ns"] - records["tx_ns"])[1:-1]  # one may have been stamped before, and read after
    return [int(receivers[0]["received"]), bool((delays_ns >= 0).all() and (delays_ns < LONG_NS).all())]


def exchanges(step_ns: int) -> object:
    """How many requests are answered, and whether all durations are possible ones."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    spec = ExchangeSpec(
        id=0,
        name="x/1",
        class_name="data",
        service="x",
        client="a",
        server="b",
        client_address=IPv4Address("127.0.0.1"),
        server_address=IPv4Address("127.0.0.1"),
        port=port,
        dscp=0,
        start_us=0,
        stop_us=COUNT * 10_000,
        groups=("x",),
        application=Transaction(Span(10, 10), Span(10, 10)),
        begins_us=tuple(range(0, COUNT * 10_000, 10_000)),
        seed="1",
        deadline_us=50_000_000,
    )
    engine = ApplicationEngine([spec], lambda _, family, kind: socket.socket(family, kind))
    engine.start(time.time_ns())
    wait_for(lambda: len(engine.results) > 2, "the first exchanges", DEADLINE_S)
    STEP.value = step_ns
    wait_for(lambda: len(engine.results) == COUNT, "the last exchange", DEADLINE_S)
    engine.stop()
    took_us = [done.end_us - done.begin_us for done in engine.results]
    return [sum(done.ok for done in engine.results), all(0 <= each < LONG_NS / 1000 for each in took_us)]


def timeline(step_ns: int) -> object:
    """Whether a wait for an event ends by the monotonic clock, and how many hours the monitor's seconds are off."""
    clock = RunClock()
    epoch_ns = clock.now_ns()
    job = SimpleNamespace(scenario=SimpleNamespace(spec=SimpleNamespace(duration=1_000_000)))
    steps = iter([step_ns])

    def check_parts() -> None:
        STEP.value = next(steps, step_ns)

    progress = SimpleNamespace(show=lambda _: None)
    run = SimpleNamespace(_job=job, _clock=clock, _check_parts=check_parts, _progress=progress, _checked_at=0.0)
    began = time.monotonic_ns()
    Run._until(run, epoch_ns + 300 * MS, epoch_ns, SimpleNamespace(records=[]))  # type: ignore[arg-type]
    waited_ns = time.monotonic_ns() - began
    monitor = HealthMonitor.__new__(HealthMonitor)
    monitor._epoch_ns, monitor._clock = epoch_ns, clock
    stamp_off_ns = clock.of_stamp(time.time_ns()) - clock.now_ns()
    return [waited_ns > 200 * MS, waited_ns < LONG_NS, monitor._number() // 3600, round(stamp_off_ns / LONG_NS)]


PARTS = {"datagrams": datagrams, "exchanges": exchanges, "timeline": timeline}

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](int(sys.argv[2]))))
