"""Disruption of established flows by a failure and by the return: flows that run all the time, and their records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.repair.ring import AROUND, OVER, POLLS, SITES, USED, Failure, Ring, wait_for
from helsewan.common.run_clock import RunClock
from helsewan.emulation.links.pipe_model import Direction
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.lab.flows.records import Array

PORT = 20_000
INTERVAL_NS = 1_000_000
RATE = 1e9 / INTERVAL_NS
PAYLOAD_BYTES = 172
SOON_NS = 20_000_000
LEAD_NS = 50_000_000  # packets due this long before an event are included: they may still have been in flight
MOST_S = 900  # upper bound for a run
LOAD_PORT, LOAD_INTERVAL_NS = 21_000, 20_000_000  # other traffic: streams of telephony
LOAD_RATE = 1e9 / LOAD_INTERVAL_NS
KNOWN_S = 0.1
WRONG_MS = 25.0  # maximum error of a known silence; beyond it the measurement is rejected


@dataclass(frozen=True)
class Trial:
    """Times of one trial (flows' clock, ns): by ``around_ns`` the flows were on the alternative path, by ``back_ns``
    on the original one again."""

    failed_ns: int
    around_ns: int
    restored_ns: int
    back_ns: int


class Flows:
    """Two flows of 1,000 packets/s between a ring's sites, one in each direction: number 0 from west to east."""

    def __init__(self, ring: Ring, load: int = 0) -> None:
        """``load``: packets a second of other traffic between the same sites, half of them in each direction."""
        self.ring = ring
        specs = [_flow(ring, number, *ends) for number, ends in enumerate((SITES, SITES[::-1]))]
        cookie = time.monotonic_ns() & 0xFFFFFFFF
        self._engine = FlowEngine(specs, ring.socket_in, cookie)
        streams = round(load / 2 / LOAD_RATE)  # in each direction
        self._rate = RATE + streams * LOAD_RATE
        others = [_stream(ring, number, 2 * streams) for number in range(2 * streams)]
        self._load = FlowEngine(others, ring.socket_in, cookie ^ 1)
        self.clock = RunClock()
        self._epoch_ns = 0

    def __enter__(self) -> Flows:
        self._epoch_ns = self.clock.now_ns() + SOON_NS
        self._engine.start(self._epoch_ns)
        self._load.start(self._epoch_ns)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()
        self._load.close()

    def settle(self, path: tuple[str, ...]) -> None:
        """Wait until both flows have used this path for a while, and arrived. Raises RuntimeError if they do not."""
        takes, arrive = self.ring.takes(path, self._rate), self._arrive()
        what = f"{self.ring.version()}: flows do not arrive over {', '.join(path)}"
        wait_for(lambda: all([takes(), arrive()]), POLLS, what)

    def _arrive(self) -> Callable[[], bool]:
        """Return a function that reports whether both flows have arrived since its last call."""
        before, before_s = self._arrived(), time.monotonic()

        def arrive() -> bool:
            nonlocal before, before_s
            now, now_s = self._arrived(), time.monotonic()
            least = USED * RATE * (now_s - before_s)
            enough = bool((now - before >= least).all())
            before, before_s = now, now_s
            return enough

        return arrive

    def _arrived(self) -> Array:
        """Packets of each flow that have arrived so far."""
        return np.bincount(self._engine.records["flow"], minlength=len(SITES))

    def due(self, number: int, since_ns: int, until_ns: int) -> tuple[Array, range]:
        """A flow's packets due in an interval: records of those that arrived, in order, and the numbers of all."""
        first, end = (-((self._epoch_ns - instant) // INTERVAL_NS) for instant in (since_ns, until_ns))
        records = self._engine.records
        mine = records[(records["flow"] == number) & (records["seq"] >= first) & (records["seq"] < end)]
        return mine[np.argsort(mine["rx_ns"], kind="stable")], range(first, end)


def _flow(ring: Ring, number: int, a: str, b: str) -> FlowSpec:
    return FlowSpec(
        id=number,
        name=f"{a} > {b}",
        kind=FlowKind.MESSAGES,
        class_name="best-effort",
        service="udp",
        client=a,
        server=b,
        source=Endpoint(a, ring.address(a), PORT + number),
        destination=Endpoint(b, ring.address(b), PORT + number),
        dscp=0,
        sent_dscp=0,
        interval_ns=INTERVAL_NS,
        burst=1,
        payload_bytes=PAYLOAD_BYTES,
        start_us=0,
        stop_us=MOST_S * 1_000_000,
    )


def _stream(ring: Ring, number: int, count: int) -> FlowSpec:
    """One of ``count`` streams of other traffic, in turn from west to east and back, evenly interleaved."""
    a, b = SITES if number % 2 == 0 else SITES[::-1]
    return replace(
        _flow(ring, number, a, b),
        source=Endpoint(a, ring.address(a), LOAD_PORT + number),
        destination=Endpoint(b, ring.address(b), LOAD_PORT + number),
        interval_ns=LOAD_INTERVAL_NS,
        start_us=LOAD_INTERVAL_NS * number // count // 1000,
    )


def trial(flows: Flows, failure: Failure, longer_us: int) -> list[dict[str, Any]]:
    """Figures of each flow that a failure affects. The delay of the alternative path is increased by ``longer_us``
    before the link returns. Flows are settled over ``near`` before and after."""
    flows.ring.ready()
    failed_ns = flows.clock.of_stamp(flows.ring.fail(failure))
    flows.settle(AROUND)
    around_ns = flows.clock.now_ns() - LEAD_NS
    flows.ring.lengthen_alternative_path(longer_us)
    restored_ns = flows.clock.of_stamp(flows.ring.restore(failure))
    flows.settle(OVER)
    when = Trial(failed_ns, around_ns, restored_ns, flows.clock.now_ns() - LEAD_NS)
    flows.ring.lengthen_alternative_path(0)
    affected = [list(Direction).index(direction) for direction in failure.silent] or [0, 1]
    return [{"longer_us": longer_us, **noticed(flows, number, when)} for number in affected]


def noticed(flows: Flows, number: int, when: Trial) -> dict[str, Any]:
    """A flow's gap: its longest silence after the failure in which packets were lost; its longest silence of all; and
    the packets lost or overtaken until the gap ended, after that, and after the return."""
    arrived, due = flows.due(number, when.failed_ns - LEAD_NS, when.around_ns)
    gap_ns, resumed = silence(arrived)
    lost = missing(arrived, due)
    returning = flows.due(number, when.restored_ns, when.back_ns)
    return {
        "gap_ms": gap_ns / 1e6,
        "longest_silence_ms": float(np.diff(arrived["rx_ns"]).max()) / 1e6,
        "lost": int((lost < resumed).sum()),
        "lost_reoptimising": int((lost >= resumed).sum()),
        "reordered_reoptimising": overtaken(arrived),
        "lost_returning": len(missing(*returning)),
        "reordered_returning": overtaken(returning[0]),
    }


def silence(arrived: Array) -> tuple[int, int]:
    """The longest time (ns) between two arrivals with packets missing in between, and the number of the packet that
    ended it; if none are missing, the longest time between two arrivals. (If all packets arrive, only late, that is
    delay, possibly the machine's, and no loss of connectivity in the sense of RFC 6413.) ``arrived`` is in order of
    arrival; raises RuntimeError for fewer than two packets."""
    if len(arrived) < 2:
        raise RuntimeError(f"{len(arrived)} packets arrived: nothing was measured")
    silences_ns, jumps = np.diff(arrived["rx_ns"]), np.diff(arrived["seq"].astype(np.int64)) > 1
    longest = int(np.argmax(np.where(jumps, silences_ns, 0) if jumps.any() else silences_ns))
    return int(silences_ns[longest]), int(arrived["seq"][longest + 1])


def missing(arrived: Array, due: range) -> Array:
    """The numbers of packets that were due and never arrived."""
    return np.setdiff1d(np.arange(due.start, due.stop), arrived["seq"])


def overtaken(arrived: Array) -> int:
    """How many packets arrived after one that was sent later (reordered, RFC 4737, 3.3)."""
    return int((arrived["seq"] < np.maximum.accumulate(arrived["seq"])).sum()) if len(arrived) else 0


def known_silence(flows: Flows) -> float:
    """Error (ms) of the measurement of a silence of known length on an access link. Raises RuntimeError if it exceeds
    WRONG_MS: then no other measurement is reliable either."""
    flows.settle(OVER)
    link, backend = flows.ring.access["west"], flows.ring.backend
    failed_ns = flows.clock.of_stamp(backend.set_blackhole(link, Direction.FORWARD, True))
    time.sleep(KNOWN_S)
    restored_ns = flows.clock.of_stamp(backend.set_blackhole(link, Direction.FORWARD, False))
    flows.settle(OVER)
    seen_ns = flows.clock.now_ns() - LEAD_NS
    when = Trial(failed_ns, seen_ns, seen_ns, seen_ns)
    found, (other, _) = noticed(flows, 0, when), flows.due(1, failed_ns, restored_ns)
    known_ms = (restored_ns - failed_ns) / 1e6
    error_ms, error_packets = found["gap_ms"] - known_ms, found["lost"] - known_ms * RATE / 1000
    if abs(error_ms) > WRONG_MS or abs(error_packets) > WRONG_MS * RATE / 1000 or not len(other):
        raise RuntimeError(f"a silence of {known_ms:.1f} ms was measured as {found}")
    return float(error_ms)
