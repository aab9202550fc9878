"""In a sandbox: one link of the engine between two TAPs against its model. Prints JSON."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from benchmarks.frames.packet_mmap import Sink, Source
from benchmarks.frames.taps import INTERFACE, NUMBER_AT, sites, udp_frame
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.pipe_model import LAYER1_OVERHEAD_BYTES, ClassQueue, Loss, PipeModel
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, set_realtime
from tests.conformance.chance import fates

LINK = "line"  # its name seeds its random numbers: another one gives other losses
IP_BYTES = 1500
FRAME_BITS = 8 * (IP_BYTES + 14 + LAYER1_OVERHEAD_BYTES)  # of a full frame
EXPEDITED, BEST_EFFORT = 46, 0  # DSCP
QUEUES = (ClassQueue(limit_bytes=1 << 23), ClassQueue(limit_bytes=1 << 23, strict=False))
BACKLOG_S, LEAST_BACKLOG = 0.02, 50  # in the queue of a link that must never be idle: time, frames
RATES_BPS = {2_000_000: 2.0, 10_000_000: 1.0, 100_000_000: 1.0, 1_000_000_000: 1.0}  # and seconds for each
PRIORITY_RATES_BPS = (2_000_000, 10_000_000, 100_000_000)
VOICE_BYTES, VOICE_FRAMES, VOICE_PERIOD_S = 200, 400, 0.0071
LOSSES = {
    "Bernoulli, 1 %": Loss.bernoulli(0.01),
    "Gilbert, 1 % in bursts of 4": Loss.correlated(0.01, 0.7475),
    "Gilbert-Elliott": Loss(p=0.01, r=0.2, good=0.001, bad=0.4),
}
FAST_BPS = 10_000_000_000
LOSS_FRAMES, LOSS_WINDOW = 100_000, 1000
SETTLE_S = 0.2


def backlog(rate_bps: int) -> int:
    """The number of full frames that keep a link busy although the source is not always on time."""
    return max(LEAST_BACKLOG, int(BACKLOG_S * rate_bps / FRAME_BITS))


class LinkTestbed:
    """Two sites and a link, whose model changes from measurement to measurement."""

    def __init__(self, engine: EngineProcess) -> None:
        engine.configure([0 if dscp == EXPEDITED else 1 for dscp in range(64)], [1] * 8, 1)
        self.engine = engine
        self.backend = EngineBackend(engine, PipeModel, seed=1)
        self.nodes, (west, east) = sites(self.backend)
        self.backend.join(LINK, west, east, FAST_BPS, 0)
        self.backend.commit()

    def shape(self, model: PipeModel) -> None:
        """Change the link's model, after all frames on it have arrived."""
        pipe = self.engine.counters()[:1]
        while pipe["queued_frames"][0] or pipe["flight_frames"][0]:
            time.sleep(SETTLE_S)
        self.backend.set_models({LINK: (model, model)})

    def source(self, ip_bytes: int, number_at: int | None = None) -> Source:
        """A source of best-effort frames for the link."""
        return Source(self.nodes[0].namespace, INTERFACE, udp_frame(ip_bytes, BEST_EFFORT), number_at)

    def counter(self, name: str) -> Callable[[], int]:
        """A function that reads a counter of the link's first direction."""
        pipe = self.engine.counters()[:1]
        return lambda: int(pipe[name][0])

    @contextmanager
    def full(self, rate_bps: int, seconds: float) -> Iterator[None]:
        """Keep best-effort frames queued meanwhile, sent by a separate process, since Python's threads share a lock."""
        source, out = self.source(IP_BYTES), self.counter("frames_out")
        before = out()
        child = os.fork()
        if child == 0:
            try:
                set_realtime(LINKS + 1)
                source.send_windowed(seconds, lambda: out() - before, backlog(rate_bps))
            finally:
                os._exit(0)
        try:
            time.sleep(SETTLE_S)
            yield
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def rate_error(testbed: LinkTestbed, rate_bps: int, seconds: float) -> float:
    """Relative error of the rate of a link that is never idle."""
    testbed.shape(PipeModel(rate_bps, 0, QUEUES))
    sink = Sink(testbed.nodes[1].namespace, INTERFACE, int(1.5 * seconds * rate_bps / FRAME_BITS) + LEAST_BACKLOG)
    source, out = testbed.source(IP_BYTES), testbed.counter("frames_out")
    before = out()
    source.send_windowed(seconds, lambda: out() - before, backlog(rate_bps))
    times_ns = sink.times_ns()
    return float((len(times_ns) - 1) * FRAME_BITS * 1e9 / (times_ns[-1] - times_ns[0]) / rate_bps - 1)


def voice_delays_ns(nodes: list[NamespaceNode]) -> npt.NDArray[np.int64]:
    """One-way delays of voice frames, sent at regular intervals."""
    sink = Sink(nodes[1].namespace, INTERFACE, 1 << 16)
    frame = udp_frame(VOICE_BYTES, EXPEDITED)
    with nodes[0].namespace.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((INTERFACE, 0))
        for _ in range(VOICE_FRAMES):
            sock.send(frame[:NUMBER_AT] + time.time_ns().to_bytes(8, "big") + frame[NUMBER_AT + 8 :])
            time.sleep(VOICE_PERIOD_S)
    is_voice = sink.bytes(15, 1)[:, 0] >> 2 == EXPEDITED
    sent_ns = sink.bytes(NUMBER_AT, 8).copy().view(">u8")[:, 0].astype(np.int64)
    delays_ns: npt.NDArray[np.int64] = (sink.times_ns() - sent_ns)[is_voice]
    return delays_ns


def voice_rise(testbed: LinkTestbed, rate_bps: int) -> float:
    """Increase of voice's delay (99th percentile) when lower classes fill the link, in frame times."""
    testbed.shape(PipeModel(rate_bps, 1000, QUEUES))
    idle_ns = voice_delays_ns(testbed.nodes)
    with testbed.full(rate_bps, 2 * VOICE_FRAMES * VOICE_PERIOD_S + 10):
        loaded_ns = voice_delays_ns(testbed.nodes)
    return float((np.percentile(loaded_ns, 99) - np.percentile(idle_ns, 99)) * rate_bps / FRAME_BITS / 1e9)


def loss_likelihood(testbed: LinkTestbed, loss: Loss) -> float:
    """p-value of the losses seen under the model."""
    testbed.shape(PipeModel(FAST_BPS, 1000, QUEUES, loss=loss))
    sink = Sink(testbed.nodes[1].namespace, INTERFACE, LOSS_FRAMES)
    source, taken = testbed.source(60, NUMBER_AT), testbed.counter("frames_in")
    before = taken()
    while source.sent < LOSS_FRAMES:
        if source.sent - (taken() - before) < LOSS_WINDOW:
            source.send(min(source.SLOTS, LOSS_FRAMES - source.sent))
    time.sleep(SETTLE_S)
    arrived = sink.bytes(NUMBER_AT, 4).copy().view(">u4")[:, 0]
    lost = np.ones(LOSS_FRAMES, bool)
    lost[arrived] = False
    return fates(lost.tolist(), loss)


def main() -> None:
    """Measure and print."""
    sandbox.enter()
    set_realtime(LINKS + 1)  # the sources stand for other machines
    with EngineProcess(max_ports=2, max_pipes=2) as engine:
        testbed = LinkTestbed(engine)
        found = {
            "loss_p": {
                name: loss_likelihood(testbed, loss) for name, loss in LOSSES.items()
            },  # first: the seed decides
            "rate_error": {rate: rate_error(testbed, rate, seconds) for rate, seconds in RATES_BPS.items()},
            "voice_rise": {rate: voice_rise(testbed, rate) for rate in PRIORITY_RATES_BPS},
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
