"""What an established flow notices of a failure and of the return: flows that run all the time, and their records."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.repair.ring import AROUND, CARRIES, LOOKS, OVER, SITES, Failure, Ring, wait_for
from helsewan.emulation.links.link_backend import Direction
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.flowspec import Endpoint, FlowKind, FlowSpec
from helsewan.lab.flows.records import Array

PORT = 20_000
INTERVAL_NS = 1_000_000
RATE = 1e9 / INTERVAL_NS
PAYLOAD_BYTES = 172
SOON_NS = 20_000_000
LEAD_NS = 50_000_000  # packets that are looked at though they were due before: they may still have been under way
MOST_S = 900  # of a run
KNOWN_S = 0.1
WRONG_MS = 25.0  # by which a known silence may be measured wrongly before nothing can be believed


@dataclass(frozen=True)
class Trial:
    """When what happened (CLOCK_REALTIME, ns): the flows were around by ``around_ns`` and are back by ``back_ns``."""

    struck_ns: int
    around_ns: int
    mended_ns: int
    back_ns: int


class Flows:
    """Two flows of 1,000 packets/s between a ring's sites, one each way: number 0 from west to east."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        specs = [_flow(ring, number, *ends) for number, ends in enumerate((SITES, SITES[::-1]))]
        self._engine = FlowEngine(specs, ring.socket_in, cookie=time.monotonic_ns() & 0xFFFFFFFF)
        self._epoch_ns = 0

    def __enter__(self) -> Flows:
        self._epoch_ns = time.time_ns() + SOON_NS
        self._engine.start(self._epoch_ns)
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def settle(self, way: tuple[str, ...]) -> None:
        """Wait until both flows have taken this way for a while, and arrived. Raises RuntimeError where they do not."""
        takes, arrive = self.ring.takes(way, RATE), self._arrive()
        what = f"{self.ring.version()}: flows do not arrive over {', '.join(way)}"
        wait_for(lambda: all([takes(), arrive()]), LOOKS, what)

    def _arrive(self) -> Callable[[], bool]:
        """Tells at each call whether both flows have arrived since the last."""
        before, before_s = self._arrived(), time.monotonic()

        def arrive() -> bool:
            nonlocal before, before_s
            now, now_s = self._arrived(), time.monotonic()
            least = CARRIES * RATE * (now_s - before_s)
            enough = bool((now - before >= least).all())
            before, before_s = now, now_s
            return enough

        return arrive

    def _arrived(self) -> Array:
        """Packets of each flow that have arrived so far."""
        return np.bincount(self._engine.records["flow"], minlength=len(SITES))

    def due(self, number: int, since_ns: int, until_ns: int) -> tuple[Array, range]:
        """A flow's packets that were due in a while: those that have arrived, in order, and the numbers of all."""
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


def trial(flows: Flows, failure: Failure, longer_us: int) -> list[dict[str, Any]]:
    """What each flow that is struck notices. The way around gets ``longer_us`` longer before the line returns. Flows
    are settled over ``near`` before and after."""
    flows.ring.ready()
    struck_ns = flows.ring.strike(failure)
    flows.settle(AROUND)
    around_ns = time.time_ns() - LEAD_NS
    flows.ring.lengthen_way_around(longer_us)
    mended_ns = flows.ring.mend(failure)
    flows.settle(OVER)
    when = Trial(struck_ns, around_ns, mended_ns, time.time_ns() - LEAD_NS)
    flows.ring.lengthen_way_around(0)
    struck = [list(Direction).index(direction) for direction in failure.silent] or [0, 1]
    return [{"longer_us": longer_us, **noticed(flows, number, when)} for number in struck]


def noticed(flows: Flows, number: int, when: Trial) -> dict[str, Any]:
    """A flow's gap: its longest silence after the failure in which packets were lost; its longest of all; and what was
    lost or overtaken until the gap ended, then, and after the return."""
    arrived, due = flows.due(number, when.struck_ns - LEAD_NS, when.around_ns)
    gap_ns, resumed = silence(arrived)
    lost = missing(arrived, due)
    returning = flows.due(number, when.mended_ns, when.back_ns)
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
    ended it; where none are missing, the longest time. (Packets that come late and all come are lateness, be it the
    machine's: no loss of connectivity in the sense of RFC 6413.) ``arrived`` is in order of arrival; raises
    RuntimeError where too few did to tell."""
    if len(arrived) < 2:
        raise RuntimeError(f"{len(arrived)} packets arrived: nothing was measured")
    silences_ns, jumps = np.diff(arrived["rx_ns"]), np.diff(arrived["seq"].astype(np.int64)) > 1
    longest = int(np.argmax(np.where(jumps, silences_ns, 0) if jumps.any() else silences_ns))
    return int(silences_ns[longest]), int(arrived["seq"][longest + 1])


def missing(arrived: Array, due: range) -> Array:
    """The numbers of packets that were due and never arrived."""
    return np.setdiff1d(np.arange(due.start, due.stop), arrived["seq"])


def overtaken(arrived: Array) -> int:
    """How many packets arrived after one that was sent later (reordered, in the words of RFC 4737, 3.3)."""
    return int((arrived["seq"] < np.maximum.accumulate(arrived["seq"])).sum()) if len(arrived) else 0


def known_silence(flows: Flows) -> float:
    """By how much (ms) a silence of known length on a site's line is measured too long. Raises RuntimeError where it
    is not seen for what it is: then nothing else would be either."""
    flows.settle(OVER)
    line, backend = flows.ring.access["west"], flows.ring.backend
    struck_ns = backend.set_blackhole(line, Direction.FORWARD, True)
    time.sleep(KNOWN_S)
    mended_ns = backend.set_blackhole(line, Direction.FORWARD, False)
    flows.settle(OVER)
    seen_ns = time.time_ns() - LEAD_NS
    when = Trial(struck_ns, seen_ns, seen_ns, seen_ns)
    found, (other, _) = noticed(flows, 0, when), flows.due(1, struck_ns, mended_ns)
    known_ms = (mended_ns - struck_ns) / 1e6
    error_ms, error_packets = found["gap_ms"] - known_ms, found["lost"] - known_ms * RATE / 1000
    if abs(error_ms) > WRONG_MS or abs(error_packets) > WRONG_MS * RATE / 1000 or not len(other):
        raise RuntimeError(f"a silence of {known_ms:.1f} ms was measured as {found}")
    return float(error_ms)
