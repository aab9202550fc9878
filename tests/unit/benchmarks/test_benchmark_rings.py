"""The benchmarks' source and sink at rings of the engine: all frames go through, and what does not is missed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.frames.rings import ENTRIES, RingBackend, RingTraffic
from benchmarks.frames.taps import udp_frame
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.pipe_model import ClassQueue, Direction, PipeModel

FRAMES_PER_S = 20_000
SECONDS = 0.5
SETTLE_S = 2.0  # a busy machine may be late


def shape(rate_bps: int, delay_us: int) -> PipeModel:
    return PipeModel(rate_bps, delay_us, (ClassQueue(limit_bytes=1 << 26),))


@pytest.fixture
def backend() -> Iterator[RingBackend]:
    """The links of an engine."""
    with EngineProcess(max_ports=16, max_pipes=16) as engine:
        yield RingBackend(engine, shape)


@pytest.fixture
def traffic(backend: RingBackend, tmp_path: Path) -> Iterator[RingTraffic]:
    """Traffic over one link."""
    (first, source), (second, sink) = backend.ring_end(), backend.ring_end()
    backend.join("link", first, second, 10_000_000_000, 1000)
    backend.commit()
    call = backend.engine.call_descriptor()
    yield RingTraffic(source, sink, call, udp_frame(1500), tmp_path)
    os.close(call)


def test_every_frame_arrives_again_and_again(backend: RingBackend, traffic: RingTraffic) -> None:
    wanted = int(FRAMES_PER_S * SECONDS)
    assert wanted > 4 * ENTRIES  # the rings go round
    for _ in range(2):
        found = traffic.send_paced(SECONDS, FRAMES_PER_S, SETTLE_S)
        assert found.arrived == found.sent <= wanted
        assert found.sent > 0
    assert not backend.engine.port_counters()["rings_broken"].any()


def test_frames_that_the_link_loses_do_not_arrive(backend: RingBackend, traffic: RingTraffic) -> None:
    backend.set_blackhole("link", Direction.FORWARD, True)
    lost = traffic.send_paced(SECONDS, FRAMES_PER_S, SETTLE_S)
    assert (lost.sent > 0, lost.arrived) == (True, 0)
    backend.set_blackhole("link", Direction.FORWARD, False)
    found = traffic.send_paced(SECONDS, FRAMES_PER_S, SETTLE_S)
    assert found.arrived == found.sent
