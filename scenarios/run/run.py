"""One run inside its sandbox: bring the network up, send traffic, fail and restore parts on time, collect records.

Nothing is judged here: the records are values, which pure code judges.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helsewan.common.ownership import create_log
from helsewan.common.run_clock import RunClock
from helsewan.common.terminal.progress import Progress
from helsewan.emulation.links.counters import Lateness
from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.emulation.routers.switches import RouterKind
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, cores_awake, set_realtime, unset_realtime
from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.applications.records import Exchange
from helsewan.lab.calibration.calibration import Overhead
from helsewan.lab.calibration.capacity import Capacity, measure_capacity
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.records import Array
from helsewan.lab.flows.sender_health import BeginHealth, SenderHealth
from helsewan.lab.health.health import Pressure, Second
from helsewan.lab.health.health_monitor import HealthMonitor
from helsewan.lab.health.validity import Grade, assess, of_plan
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.processes.history import History
from helsewan.lab.programs.engine import ProgramEngine
from helsewan.lab.programs.records import ProgramResult
from helsewan.lab.proofs.rule_sources import from_file
from helsewan.lab.testbed.observation import pipe_ends
from helsewan.lab.testbed.testbed import Testbed
from helsewan.lab.testbed.testbed_metrics import TestbedMetrics
from helsewan.scenarios.events.actions import Actions
from helsewan.scenarios.events.conditions import Conditions
from helsewan.scenarios.events.effects import UndoStack
from helsewan.scenarios.events.live_assertions import AssertionBroken, LiveAssertions
from helsewan.scenarios.run.engine import Engine
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.link_sampler import LinkSampler
from helsewan.scenarios.run.rule_reader import RuleReader
from helsewan.scenarios.run.scene import scene_of
from helsewan.scenarios.run.timeline import Timeline
from helsewan.scenarios.spec.checks.schema import VerifySpec
from helsewan.scenarios.spec.timeline.timepoints import EventTime
from helsewan.scenarios.traffic.offered_load import offered_load

if TYPE_CHECKING:
    from helsewan.lab.replay.replay_engine import Replayed, ReplayEngine
    from helsewan.verification.live.live_report import LiveReport

LEAD_NS = 500_000_000  # from starting the senders to the first datagram
TAIL_S = 0.5  # after sending ends, for datagrams in flight; longer than any one-way delay
TICK_S = 0.25
PROGRAMS = "programs"  # the folder of programs' outputs in a run's directory
_CHECK_TAKES_S = 0.005  # no look at the processes so shortly before an event


class SandboxBroken(RuntimeError):
    """A part of the emulation ended that the scenario did not end."""


class CapacityExceeded(RuntimeError):
    """The scenario's traffic is more than this machine can carry."""


@dataclass(frozen=True)
class Collected:
    """The records of a run, to be judged. ``epoch_ns`` is the traffic's time 0 (CLOCK_REALTIME). ``event_times`` has
    the time of each event; ``dumps`` the files with the switches' rules, ``live`` the reports on probe packets;
    ``aborted`` is the assertion that ended the run before its time. ``links``, ``link_sampling``, ``capacity``,
    ``required_cores`` and ``scheduling`` are for the link engine: None without it."""

    epoch_ns: int
    event_times: dict[str, EventTime]
    records: Array
    due: Array
    exchanges: tuple[Exchange, ...]
    programs: tuple[ProgramResult, ...]
    replayed: tuple[Replayed, ...]
    traffic: SenderHealth
    begins: BeginHealth
    links: Lateness | None
    machine_drops: Mapping[str, int]
    seconds: tuple[Second, ...]
    pressure: Pressure
    up_s: float
    capacity: Capacity | None
    required_cores: float | None
    overhead: Overhead
    short_lines_us: Mapping[str, float]
    cores_awake: bool
    scheduling: str | None
    forwarding: Forwarding
    dumps: Mapping[str, Path]
    live: Mapping[str, LiveReport]
    link_sampling: Mapping[str, float] | None
    aborted: AssertionBroken | None


class Run:
    """The run of ``job``; ``history`` gets every event as it happens."""

    def __init__(self, job: Job, history: History, progress: Progress) -> None:
        self._job, self._history, self._progress = job, history, progress
        standby = job.scenario.spec.standby
        self._testbed = Testbed(
            job.plan, sandbox.RUN_DIR, job.directory / "logs", self._controller_event, job.forwarding, standby
        )
        self._flows = job.traffic.flows
        self._verify = job.scenario.spec.verify or VerifySpec.model_construct()
        self._reader = RuleReader(job.directory)
        self._closing = ExitStack()  # what was begun last is ended first
        self._checked_at = 0.0

    def execute(self) -> Collected:
        """Do the whole run. Raises SandboxBroken, CapacityExceeded, or the error of a part that did not come up."""
        with self._closing:
            self._closing.callback(self._testbed.close)
            self._closing.callback(self._reader.close)
            with cores_awake() as awake:
                return self._execute(awake)

    def _execute(self, awake: bool) -> Collected:
        began = time.monotonic()
        capacity = self._measure_capacity()
        self._testbed.start(self._progress.say)
        up_s = time.monotonic() - began
        overhead = self._testbed.overhead
        required = self._check_capacity(capacity, overhead) if capacity else None
        self._record("network-up", seconds=round(up_s, 3), overhead=asdict(overhead))
        self._progress.say(f"the network is up and programmed after {up_s:.1f} s")
        live = self._probe("before")
        self._reader.prepare(self._verify.rules)
        seed = self._job.scenario.spec.network.seed
        flows = FlowEngine(self._flows, self._testbed.socket_in, cookie=seed & 0xFFFFFFFF)
        exchanges = ApplicationEngine(self._job.traffic.exchanges, self._testbed.socket_in)
        programs = ProgramEngine(self._job.traffic.programs, self._testbed.site, self._job.directory / PROGRAMS)
        sampler, replays = self._link_sampler(), self._replay_engine()
        engines: tuple[Engine, ...] = (
            *([sampler] if sampler else []),
            flows,
            exchanges,
            programs,
            *([replays] if replays else []),
        )
        for engine in engines:
            self._closing.callback(engine.close)
        spec, timeline = self._job.scenario.spec, self._job.timeline
        actions = Actions(self._testbed, spec, timeline, self._job.directory, self._record)
        self._closing.callback(actions.close)
        undo = UndoStack(self._record)
        self._closing.callback(undo.end_all)
        conditions = Conditions(spec, self._flows, flows, actions.monitor_repair)
        self._closing.callback(conditions.close)
        if self._testbed.has_engine:
            self._testbed.engine.restart_lateness()
        self._clock = RunClock()
        epoch_ns = self._clock.now_ns() + LEAD_NS
        for engine in engines:
            engine.start(epoch_ns)
        testbed_metrics = TestbedMetrics(self._testbed, flows.sender)
        monitor = HealthMonitor(testbed_metrics, *flows.lateness, self._second_passed)
        monitor.start(epoch_ns)
        self._record("traffic-started", epoch_ns=epoch_ns, flows=len(self._flows))
        set_realtime(LINKS)  # a failure takes all its links down at once

        def until(time_ns: int) -> None:
            self._until(time_ns, epoch_ns, flows)

        say = self._progress.say
        self._timeline = Timeline(
            self._job, actions, undo, conditions, self._reader, self._clock, until, self._record, say
        )
        self._assertions = LiveAssertions(spec, scene_of(self._job), flows, lambda: exchanges.results, epoch_ns)
        aborted = self._followed(epoch_ns, until)
        unset_realtime()
        for engine in reversed(engines):
            engine.stop()
        seconds, pressure = monitor.stop()
        testbed_metrics.close()
        self._check_parts()  # a part that died in the last event_times spoils the records
        self._record("traffic-ended", records=len(flows.records))
        self._reader.finish()
        dumps = {name: file for name, file in self._reader.done.items() if name in self._verify.rules}
        flows.close()  # sessions use some of its ports
        live |= self._probe("after")
        return Collected(
            epoch_ns=epoch_ns,
            event_times=self._timeline.times,
            records=flows.records,
            due=flows.due,
            exchanges=exchanges.results,
            programs=programs.results,
            replayed=replays.results if replays else (),
            traffic=flows.keeping_up(),
            begins=exchanges.health,
            links=self._testbed.engine.lateness() if self._testbed.has_engine else None,
            machine_drops=self._testbed.machine_drops(),
            seconds=seconds,
            pressure=pressure,
            up_s=up_s,
            capacity=capacity,
            required_cores=required,
            overhead=overhead,
            short_lines_us=self._testbed.short_links_us,
            cores_awake=awake,
            scheduling=self._testbed.engine.scheduling if self._testbed.has_engine else None,
            forwarding=self._testbed.forwarding,
            dumps=dumps,
            live=live,
            link_sampling=sampler.figures() if sampler else None,
            aborted=aborted,
        )

    def _followed(self, epoch_ns: int, until: Callable[[int], None]) -> AssertionBroken | None:
        """Follow the timeline until the traffic has ended; returns the assertion that ended it before, if any."""
        try:
            self._timeline.follow(epoch_ns)
            until(epoch_ns + self._job.scenario.spec.duration * 1000 + int(TAIL_S * 1e9))
        except AssertionBroken as broken:
            self._record("aborted", assertion=broken.name, reason=broken.detail)
            self._progress.say(str(broken))
            return broken
        return None

    def _replay_engine(self) -> ReplayEngine | None:
        """The engine of the scenario's replays; None where it has none."""
        if not self._job.traffic.replays:
            return None
        from helsewan.lab.replay.replay_engine import ReplayEngine  # loads Scapy, which most runs do not need

        testbed, plans = self._testbed, self._job.traffic.replays
        return ReplayEngine(plans, testbed.network, testbed.namespaces(), self._job.directory)

    def _link_sampler(self) -> LinkSampler | None:
        """The sampler of the links' counters; None for the kernel dataplane."""
        if not self._testbed.has_engine:
            return None
        links = self._testbed.engine_backend.links
        ends = pipe_ends(self._testbed.network, links)
        pipes = {
            link.pipe(direction): (name, direction.value, *ends[link.pipe(direction)])
            for name, link in links.items()
            for direction in Direction
        }
        return LinkSampler(self._job.directory, self._testbed.engine, pipes)

    def _probe(self, when: str) -> dict[str, LiveReport]:
        """Send the scenario's probe packets, if it has any, on the idle network; the report under ``when``."""
        if self._verify.questions is None:
            return {}
        from helsewan.lab.probing.local_prober import LocalProber
        from helsewan.lab.probing.verify_live import verify_live  # loads Scapy, which most runs do not need
        from helsewan.verification.live.side_by_side import as_rows

        self._progress.say(f"sending {self._verify.questions} probe packets, controls and sessions")
        self._reader.prepare([f"asked-{when}"])
        self._reader.start(f"asked-{when}")
        self._reader.finish()
        dump = from_file(self._reader.done[f"asked-{when}"])
        seed = self._job.scenario.spec.network.seed
        most = self._verify.questions
        report = verify_live(
            self._testbed.plan, dump.rules, LocalProber(self._testbed.namespaces()), seed, most, dump.down
        )
        answers = self._job.directory / f"answers-{when}.jsonl"
        create_log(answers)
        with answers.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in as_rows(report))
        self._record("asked", when=when, findings=len(report.findings), **report.figures)
        return {when: report}

    def _measure_capacity(self) -> Capacity | None:
        """What the machine's link engine can carry; None for the kernel dataplane."""
        if not self._testbed.has_engine:
            return None
        self._progress.say("measuring the machine")
        return measure_capacity()

    def _check_capacity(self, capacity: Capacity, overhead: Overhead) -> float:
        """The number of cores that the traffic needs; raises CapacityExceeded where this machine plainly has fewer."""
        load = offered_load(self._job.traffic, self._job.plan)
        threads = 1 if self._job.forwarding.routers is RouterKind.SHARED else None
        cores = load.cores(capacity.line_us, overhead.hop_us, threads)
        self._record("capacity", **asdict(capacity), hop_us=overhead.hop_us, offered=asdict(load), asked_cores=cores)
        for reason in assess(of_plan(cores, capacity.cores)).reasons:
            if reason.grade is Grade.VOID:
                raise CapacityExceeded(str(reason))
            self._progress.say(f"{reason.grade.value}: {reason}")
        return cores

    def _until(self, time_ns: int, epoch_ns: int, flows: FlowEngine) -> None:
        """Wait until ``time_ns`` (on the run's clock), checking the sandbox's processes meanwhile."""
        whole_s = self._job.scenario.spec.duration / 1e6
        while (left_s := (time_ns - self._clock.now_ns()) / 1e9) > 0:
            if left_s > _CHECK_TAKES_S and time.monotonic() - self._checked_at >= TICK_S:
                self._checked_at = time.monotonic()
                self._check_parts()
                self._assertions.check((self._clock.now_ns() - epoch_ns) // 1000, self._timeline.times)
                at_s = (self._clock.now_ns() - epoch_ns) / 1e9
                self._progress.show(f"{max(at_s, 0):5.1f} of {whole_s:.0f} s, {len(flows.records):,} datagrams arrived")
                continue
            time.sleep(min(left_s, TICK_S))

    def _check_parts(self) -> None:
        if dead := self._testbed.dead_parts():
            raise SandboxBroken(f"ended unexpectedly: {', '.join(dead)}")

    def _second_passed(self, second: Second) -> None:
        self._record("machine", **second.compact())

    def _controller_event(self, event: Event) -> None:
        self._record("controller." + event["event"], **{key: value for key, value in event.items() if key != "event"})

    def _record(self, event: str, **details: object) -> None:
        self._history.append(event, **details)
