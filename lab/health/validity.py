"""The validity of a run: the demands on the machine, how they were met, and where and when they were not. Pure.

Every demand has up to two bounds. Beyond the first a run is *suspect*: its figures may show the machine's overload in
part and must be checked before they are trusted. Beyond the second it is *void*: they do show it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from helsewan.emulation.links.counters import Lateness
from helsewan.lab.flows.sender_health import BeginHealth, SenderHealth
from helsewan.lab.health.health import CONTROLLER, ROUTERS, Pressure, Second

MS, SHARE, COUNT = "ms", "share", "count"  # units


class Grade(str, Enum):
    """How far a run's figures can be trusted."""

    VALID = "valid"
    SUSPECT = "suspect"
    VOID = "void"

    @property
    def rank(self) -> int:
        """0 for the best grade, higher for worse ones."""
        return list(Grade).index(self)


@dataclass(frozen=True, slots=True)
class Demand:
    """A demand on the machine: a value above ``suspect`` makes a run suspect, above ``void`` void (None: no such
    bound). Values and bounds are in ``unit``: ``ms``, ``share`` (0 to 1) or ``count``, as in ``result.json``."""

    what: str
    unit: str
    suspect: float | None
    void: float | None

    def grade(self, value: float) -> Grade:
        """The grade that ``value`` gives a run."""
        if self.void is not None and value > self.void:
            return Grade.VOID
        return Grade.SUSPECT if self.suspect is not None and value > self.suspect else Grade.VALID


@dataclass(frozen=True, slots=True)
class ValidityFinding:
    """A value measured for a demand: on a link or process ``where`` (empty: overall), in a second (None: over the whole
    run)."""

    demand: Demand
    value: float
    where: str = ""
    second: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is not valid: which demand was not met, where, in which seconds (none: over the whole run), the worst
    value and the bound that it exceeds (None: the reason is no quantity)."""

    grade: Grade
    what: str
    where: str = ""
    seconds: tuple[int, ...] = ()
    value: float | None = None
    limit: float | None = None
    unit: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.value is not None:
            unit = f" {self.unit}" if self.unit not in (SHARE, COUNT) else ""  # those are named in ``what``
            text += f": {self.value:g}{unit}, allowed {self.limit:g}"
        return text + (f" (second {', '.join(map(str, self.seconds))})" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Kept:
    """A demand and the worst value measured for it."""

    demand: Demand
    worst: float

    @property
    def holds(self) -> bool:
        """Whether the worst value leaves the run's figures usable (not void)."""
        return self.demand.grade(self.worst) is not Grade.VOID


@dataclass(frozen=True)
class Validity:
    """The grade of a run with its reasons, the worst grade first, and how each demand was kept. ``near``: of a network
    that runs without an end, the largest stalls within their bounds; what failed in the same second is doubtful."""

    grade: Grade
    reasons: tuple[Reason, ...]
    kept: tuple[Kept, ...]
    near: tuple[ValidityFinding, ...] = ()


# The bounds and their reasons. A voice packet is sent every 20 ms: 40 ms are a gap of two packets, the most that a
# stall of the machine may add to a gap before it looks like an outage of the network. 0.5 ms is the documented accuracy
# of a one-way delay; 2 ms on one link of a path is four times that.

# --- links ---
LINKS_P99 = Demand("99 % of frames late at a link's end by", MS, suspect=0.5, void=2.0)
# In a single second this is 1 % of that second's frames: it may show in a percentile, not in a median.
SECOND_P99 = Demand("99 % of a second's frames late at a link's end by", MS, suspect=2.0, void=None)
LINK_MAX = Demand("latest frame at a link's end late by", MS, suspect=20.0, void=40.0)
# A frame in a TAP has no arrival time; it has waited at most as long as the engine did not check for frames.
UNREAD = Demand("link engine did not check for frames for", MS, suspect=20.0, void=40.0)
DROPS = Demand("frames dropped by the machine", COUNT, suspect=None, void=0.0)
# The input queue of a core is shared with everything else on the machine: the frames may belong to other programs.
BACKLOG = Demand("frames dropped before any interface saw them", COUNT, suspect=0.0, void=None)

# --- routers ---
# Frames waited and the router did not run: each of them is late by as much. The resolution is one sample (50 ms).
STALL = Demand("frames waited while it did not run, for", MS, suspect=0.0, void=40.0)
# Runnable without a core within one sample interval: the same lateness, at least in sum.
WAIT = Demand("waited for a core within a twentieth of a second", MS, suspect=20.0, void=40.0)
# A thread that never sleeps is overloaded: its queue grows, and the waiting time in it is not measured.
BUSY = Demand("share of a second on a core", SHARE, suspect=0.95, void=None)
# A process that serves or uses TCP is late by its own waiting; a response may take half a second in all.
PROCESS_WAIT = Demand("waited for a core within a second", MS, suspect=500.0, void=None)
# What a controller computes late is new paths, by local repair nobody waits for them: only one that hardly runs at all
# is no longer the controller of the scenario.
CONTROLLER_WAIT = Demand("waited for a core within a second", MS, suspect=900.0, void=None)

# --- the machine ---
# The plan's estimated processor time if every switch is woken for each frame, as on a quiet network. Under load several
# frames share a wake-up, which was measured to make a hop four to eight times cheaper: beyond four it is too much.
OFFERED = Demand("share of all cores that the traffic needs", SHARE, suspect=0.8, void=4.0)
# 5 % of two cores is one core for 100 ms of every second: longer than any of the waits above.
STEAL = Demand("share of processor time taken by the host", SHARE, suspect=0.01, void=0.05)
SECOND_STEAL = Demand("share of a second's processor time taken by the host", SHARE, suspect=0.05, void=None)
# Any task on the machine; its effect on the emulation is measured above, but nearly all the time is suspect anyway.
STALLED = Demand("share of the time in which a task waited for a core", SHARE, suspect=0.9, void=None)
# A limit on processor time (cgroup quota) stops all processes of the emulation at once.
THROTTLED = Demand("throttled by a limit on processor time for", MS, suspect=0.0, void=40.0)

# --- the traffic ---
# Sends may be late: delays count from the actual send, and gaps are corrected for it. But when they are later than a
# voice packet's interval, packets leave in bursts, and at a quarter of a second the traffic is no longer paced.
SENDS_P99 = Demand("99 % of sends late by", MS, suspect=None, void=20.0)
SECOND_SENDS = Demand("99 % of a second's sends late by", MS, suspect=20.0, void=None)
SEND_MAX = Demand("latest send late by", MS, suspect=None, void=250.0)
UNRECORDED = Demand("datagrams not recorded for lack of space", COUNT, suspect=None, void=0)
FULL_SOCKETS = Demand("datagrams dropped at full socket buffers", COUNT, suspect=None, void=0)
NOT_SENT = Demand("datagrams not sent because a queue of the machine was full", COUNT, suspect=None, void=0)
UNTIMED = Demand("datagrams without a kernel timestamp", COUNT, suspect=None, void=0)
CLOCK_SET = Demand("wall clock set by", MS, suspect=None, void=1.0)
NEVER_DUE = Demand("datagrams never due", COUNT, suspect=None, void=0)
# An exchange is measured from its actual begin; one that begins later than clinicians would notice is not open loop.
BEGINS_P99 = Demand("99 % of exchanges begun late by", MS, suspect=20.0, void=250.0)
UNBEGUN = Demand("exchanges never begun", COUNT, suspect=None, void=0)
MUTE = Demand("flows that never sent", COUNT, suspect=None, void=0)


def assess(findings: Iterable[ValidityFinding]) -> Validity:
    """The worst grade that a finding gives, and the reasons by demand and location."""
    found = list(findings)
    worst: dict[Demand, float] = {}
    broken: dict[tuple[Demand, str], list[ValidityFinding]] = {}
    for finding in found:
        demand = finding.demand
        worst[demand] = max(worst.get(demand, finding.value), finding.value)
        if demand.grade(finding.value) is not Grade.VALID:
            broken.setdefault((demand, finding.where), []).append(finding)
    reasons = sorted((_reason(own) for own in broken.values()), key=lambda reason: -reason.grade.rank)
    grade = reasons[0].grade if reasons else Grade.VALID
    return Validity(grade, tuple(reasons), tuple(Kept(demand, value) for demand, value in worst.items()))


def _reason(broken: Sequence[ValidityFinding]) -> Reason:
    """One reason for findings of one demand at one location, all beyond a bound."""
    demand = broken[0].demand
    value = max(finding.value for finding in broken)
    grade = demand.grade(value)
    limit = demand.void if grade is Grade.VOID else demand.suspect
    assert limit is not None
    seconds = tuple(sorted({finding.second for finding in broken if finding.second is not None}))
    return Reason(grade, demand.what, broken[0].where, seconds, round(value, 4), limit, demand.unit)


def of_links(links: Lateness) -> Iterator[ValidityFinding]:
    """Findings from the links' lateness over the whole run."""
    yield ValidityFinding(LINKS_P99, links.p99_us / 1000)
    yield ValidityFinding(UNREAD, links.longest_round_us / 1000)


def of_traffic(keeping: SenderHealth) -> Iterator[ValidityFinding]:
    """Findings from how well the flow engine kept its schedule."""
    yield ValidityFinding(SENDS_P99, keeping.lateness_p99_us / 1000)
    yield ValidityFinding(SEND_MAX, keeping.worst_late_us / 1000)
    yield ValidityFinding(UNRECORDED, keeping.unrecorded)
    yield ValidityFinding(FULL_SOCKETS, keeping.dropped)
    yield ValidityFinding(NOT_SENT, keeping.not_sent)
    yield ValidityFinding(UNTIMED, keeping.untimed)
    yield ValidityFinding(CLOCK_SET, abs(keeping.clock_step_us) / 1000)
    yield ValidityFinding(NEVER_DUE, keeping.unfinished)
    yield ValidityFinding(MUTE, keeping.mute)


def of_exchanges(begins: BeginHealth) -> Iterator[ValidityFinding]:
    """Findings from how well exchanges of applications kept their arrival times."""
    yield ValidityFinding(BEGINS_P99, begins.lateness_p99_us / 1000)
    yield ValidityFinding(UNBEGUN, begins.unbegun)


def of_machine(pressure: Pressure, drops: Mapping[str, int]) -> Iterator[ValidityFinding]:
    """Findings from processor use over the whole run, and frames dropped by the machine, by location."""
    yield ValidityFinding(STEAL, round(pressure.steal, 4))
    if pressure.stalled is not None:
        yield ValidityFinding(STALLED, round(pressure.stalled, 4))
    yield ValidityFinding(DROPS, 0)
    for location, lost in drops.items():
        yield ValidityFinding(DROPS, lost, location)


def of_plan(offered_cores: float, cores: int) -> Iterator[ValidityFinding]:
    """Findings before the traffic starts: it is estimated to need ``offered_cores`` of ``cores`` cores."""
    yield ValidityFinding(OFFERED, round(offered_cores / cores, 3))


def of_second(second: Second) -> Iterator[ValidityFinding]:
    """Findings from one second."""
    at = second.number
    if second.links is not None:
        yield ValidityFinding(SECOND_P99, second.links.p99_us / 1000, second=at)
        yield ValidityFinding(UNREAD, second.unread_us / 1000, second=at)
    yield ValidityFinding(BACKLOG, second.backlog_drops, second=at)
    yield ValidityFinding(SECOND_STEAL, round(second.pressure.steal, 4), second=at)
    yield ValidityFinding(THROTTLED, second.throttled_us / 1000, second=at)
    yield ValidityFinding(SECOND_SENDS, second.sends.p99_us / 1000, second=at)
    for link, late_us in second.late_links.items():
        yield ValidityFinding(LINK_MAX, late_us / 1000, link, at)
    for location, lost in second.drops.items():
        yield ValidityFinding(DROPS, lost, location, at)
    for name, delay in second.threads.items():
        yield ValidityFinding(STALL, delay.stalled_us / 1000, name, at)
        if name != ROUTERS:  # it wakes thousands of times a second: the sum of its waits is nobody's lateness
            yield ValidityFinding(WAIT, delay.longest_wait_us / 1000, name, at)
        yield ValidityFinding(BUSY, round(delay.busy, 3), name, at)
    for name, delay in second.processes.items():
        demand = CONTROLLER_WAIT if name == CONTROLLER else PROCESS_WAIT
        yield ValidityFinding(demand, delay.waited_us / 1000, name, at)
