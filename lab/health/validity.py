"""The validity of a run: the demands on the machine, how they were met, and where and when they were not. Pure.

Every demand has up to two bounds. Beyond the first a run is *suspect*: its figures may be the machine's in part, look
before trusting them. Beyond the second it is *void*: they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from helsewan.emulation.links.counters import Lateness
from helsewan.lab.flows.sender_health import KeepingUp
from helsewan.lab.health.health import Pressure, Second


class Grade(str, Enum):
    """How far a run can be trusted."""

    VALID = "valid"
    SUSPECT = "suspect"
    VOID = "void"

    @property
    def rank(self) -> int:
        """0 for the best."""
        return list(Grade).index(self)


@dataclass(frozen=True, slots=True)
class Demand:
    """A demand on the machine: a value in ``unit`` up to ``suspect``, and up to ``void`` at the least.
    None: no such bound."""

    what: str
    unit: str
    suspect: float | None
    void: float | None

    def grade(self, value: float) -> Grade:
        """What a value makes of a run."""
        if self.void is not None and value > self.void:
            return Grade.VOID
        return Grade.SUSPECT if self.suspect is not None and value > self.suspect else Grade.VALID


@dataclass(frozen=True, slots=True)
class ValidityFinding:
    """A value found for a demand: at a line or part (empty: everywhere), in a second (None: over the whole run)."""

    demand: Demand
    value: float
    where: str = ""
    second: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a run is not valid: what broke its bound, where, in which seconds (none: over the whole run), the worst
    value and the bound it broke (none: not a matter of more or less)."""

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
            text += f": {self.value:g} {self.unit}".rstrip() + f", allowed {self.limit:g}"
        return text + (f" (second {', '.join(map(str, self.seconds))})" if self.seconds else "")


@dataclass(frozen=True, slots=True)
class Kept:
    """A demand and the worst value found for it."""

    demand: Demand
    worst: float

    @property
    def holds(self) -> bool:
        """Whether the worst was good enough for the run to count."""
        return self.demand.grade(self.worst) is not Grade.VOID


@dataclass(frozen=True)
class Validity:
    """The grade of a run with its reasons, the gravest first, and how each demand was kept."""

    grade: Grade
    reasons: tuple[Reason, ...]
    kept: tuple[Kept, ...]


# The bounds, and why they are where they are. A voice packet comes every 20 ms: 40 ms are a gap of two, the most that
# a stall of the machine may add to a silence before it looks like an outage of the network. 0.5 ms is the accuracy
# promised of a one-way delay; 2 ms at one line of a path is that accuracy lost four times over.

# --- links ---
LINKS_P99 = Demand("99 % of frames late at a link's end by", "ms", suspect=0.5, void=2.0)
# In one second alone it is one percent of that second's frames: seen in a percentile, not in a median.
SECOND_P99 = Demand("99 % of a second's frames late at a link's end by", "ms", suspect=2.0, void=None)
LINK_MAX = Demand("latest frame at a link's end late by", "ms", suspect=20.0, void=40.0)
# A frame in a TAP has no time of arrival: it has waited no longer than the engine did not look, which is what counts.
UNREAD = Demand("link engine did not look for frames for", "ms", suspect=20.0, void=40.0)
DROPS = Demand("frames dropped by the machine", "", suspect=None, void=0.0)
# The input queue of a core is shared with all else on the machine: whose frames these were is not known.
BACKLOG = Demand("frames dropped before any interface saw them", "", suspect=0.0, void=None)

# --- routers ---
# Frames lay waiting and the router did not run: every one of them late by so much. Seen in steps of a look (50 ms).
STALL = Demand("frames waited while it did not run, for", "ms", suspect=0.0, void=40.0)
# Runnable without a core, within one look: the same lateness, at least in sum.
WAIT = Demand("waited for a core within a twentieth of a second", "ms", suspect=20.0, void=40.0)
# A thread that never rests has more to do than it can: its queue grows and nobody counts how long.
BUSY = Demand("share of a second on a core", "", suspect=0.95, void=None)
# What answers and asks over TCP does so late by its own waiting; half of a second is what a response may take at all.
PROCESS_WAIT = Demand("waited for a core within a second", "ms", suspect=500.0, void=None)

# --- the machine ---
# What the plan takes of the cores when every switch is woken for every frame, as it is on a quiet network. Under load
# wake-ups are shared, which has made a hop four to eight times cheaper: beyond four no machine gets round to it all.
ASKED = Demand("share of all cores that the traffic asks for", "", suspect=0.8, void=4.0)
# A twentieth of two cores gone is one core for 100 ms in every second: longer than any of the waits above.
STEAL = Demand("share of processor time taken by the host", "", suspect=0.01, void=0.05)
SECOND_STEAL = Demand("share of a second's processor time taken by the host", "", suspect=0.05, void=None)
# Some task, of whomever: what it did to the emulation is measured above. Nearly always is worth a look all the same.
STALLED = Demand("time with a task waiting for a core", "", suspect=0.9, void=None)
# A limit on processor time stops every part at once.
THROTTLED = Demand("kept from running by a limit on processor time for", "ms", suspect=0.0, void=40.0)

# --- the traffic ---
# Sends may be late: delay counts from the send, and silences have it taken out. But later than a voice packet's
# interval packets go out in pairs, and a quarter of a second is no pace at all.
SENDS_P99 = Demand("99 % of sends late by", "ms", suspect=None, void=20.0)
SECOND_SENDS = Demand("99 % of a second's sends late by", "ms", suspect=20.0, void=None)
SEND_MAX = Demand("latest send late by", "ms", suspect=None, void=250.0)
UNRECORDED = Demand("datagrams without room in the records", "", suspect=None, void=0)
FULL_SOCKETS = Demand("datagrams dropped at full sockets", "", suspect=None, void=0)
NOT_SENT = Demand("datagrams the machine had no room to send", "", suspect=None, void=0)
UNTIMED = Demand("datagrams without a kernel timestamp", "", suspect=None, void=0)
CLOCK_SET = Demand("wall clock set by", "ms", suspect=None, void=1.0)
NEVER_DUE = Demand("datagrams never due", "", suspect=None, void=0)
MUTE = Demand("flows that never sent", "", suspect=None, void=0)


def assess(findings: Iterable[ValidityFinding]) -> Validity:
    """The grade that the worst of the findings gives, and the reasons by demand and place."""
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
    """Findings of one demand at one place, all beyond a bound, as one."""
    demand = broken[0].demand
    value = max(finding.value for finding in broken)
    grade = demand.grade(value)
    limit = demand.void if grade is Grade.VOID else demand.suspect
    assert limit is not None
    seconds = tuple(sorted({finding.second for finding in broken if finding.second is not None}))
    return Reason(grade, demand.what, broken[0].where, seconds, round(value, 4), limit, demand.unit)


def of_links(links: Lateness) -> Iterator[ValidityFinding]:
    """How late the links were over the whole run."""
    yield ValidityFinding(LINKS_P99, links.p99_us / 1000)
    yield ValidityFinding(UNREAD, links.longest_round_us / 1000)


def of_traffic(keeping: KeepingUp) -> Iterator[ValidityFinding]:
    """What the flow engine kept."""
    yield ValidityFinding(SENDS_P99, keeping.lateness_p99_us / 1000)
    yield ValidityFinding(SEND_MAX, keeping.worst_late_us / 1000)
    yield ValidityFinding(UNRECORDED, keeping.unrecorded)
    yield ValidityFinding(FULL_SOCKETS, keeping.dropped)
    yield ValidityFinding(NOT_SENT, keeping.not_sent)
    yield ValidityFinding(UNTIMED, keeping.untimed)
    yield ValidityFinding(CLOCK_SET, abs(keeping.clock_step_us) / 1000)
    yield ValidityFinding(NEVER_DUE, keeping.unfinished)
    yield ValidityFinding(MUTE, keeping.mute)


def of_machine(pressure: Pressure, drops: Mapping[str, int]) -> Iterator[ValidityFinding]:
    """Processor time over the whole run, and all frames lost by place."""
    yield ValidityFinding(STEAL, round(pressure.steal, 4))
    if pressure.stalled is not None:
        yield ValidityFinding(STALLED, round(pressure.stalled, 4))
    yield ValidityFinding(DROPS, 0)
    for place, lost in drops.items():
        yield ValidityFinding(DROPS, lost, place)


def of_plan(asked_cores: float, cores: int) -> Iterator[ValidityFinding]:
    """What the traffic asks for before it has begun, of how many cores."""
    yield ValidityFinding(ASKED, round(asked_cores / cores, 3))


def of_second(second: Second) -> Iterator[ValidityFinding]:
    """What one second shows."""
    at = second.number
    if second.links is not None:
        yield ValidityFinding(SECOND_P99, second.links.p99_us / 1000, second=at)
        yield ValidityFinding(UNREAD, second.unread_us / 1000, second=at)
    yield ValidityFinding(BACKLOG, second.backlog_drops, second=at)
    yield ValidityFinding(SECOND_STEAL, round(second.pressure.steal, 4), second=at)
    yield ValidityFinding(THROTTLED, second.throttled_us / 1000, second=at)
    yield ValidityFinding(SECOND_SENDS, second.sends.p99_us / 1000, second=at)
    for line, late_us in second.late_lines.items():
        yield ValidityFinding(LINK_MAX, late_us / 1000, line, at)
    for place, lost in second.drops.items():
        yield ValidityFinding(DROPS, lost, place, at)
    for name, strain in second.threads.items():
        yield ValidityFinding(STALL, strain.stalled_us / 1000, name, at)
        yield ValidityFinding(WAIT, strain.longest_wait_us / 1000, name, at)
        yield ValidityFinding(BUSY, round(strain.busy, 3), name, at)
    for name, strain in second.processes.items():
        yield ValidityFinding(PROCESS_WAIT, strain.waited_us / 1000, name, at)
