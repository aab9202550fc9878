"""One run inside its world: bring the network up, send, strike and restore on time, collect.

Judging is not done here: what happened is collected as values and judged by pure code.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from helsewan.common.progress import Progress
from helsewan.emulation.links.counters import Lateness
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.realtime import LINKS, cores_awake, set_realtime, unset_realtime
from helsewan.lab.calibration.calibration import Overhead
from helsewan.lab.calibration.capacity import Capacity, measure_capacity
from helsewan.lab.flows.flow_engine import FlowEngine
from helsewan.lab.flows.records import Array
from helsewan.lab.flows.sender_health import KeepingUp
from helsewan.lab.health.health import Pressure, Second
from helsewan.lab.health.health_monitor import HealthMonitor
from helsewan.lab.health.validity import Grade, assess, of_plan
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.processes.history import History
from helsewan.lab.proofs.rule_sources import from_file
from helsewan.lab.testbed.testbed import Testbed
from helsewan.lab.testbed.testbed_metrics import TestbedMetrics
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.rule_reader import RuleReader
from helsewan.scenarios.spec.schema import VerifySpec
from helsewan.scenarios.spec.timepoints import Moment
from helsewan.scenarios.traffic.offered_load import offered
from helsewan.scenarios.traffic.transactions import Exchange, ExchangeEngine

if TYPE_CHECKING:
    from helsewan.verification.live.live_report import LiveReport

LEAD_NS = 500_000_000  # from planning the first datagram to sending it
TAIL_S = 0.5  # what is under way when sending ends still arrives; longer than any one-way delay
TICK_S = 0.25


class SandboxBroken(RuntimeError):
    """A part of the emulation ended that no scenario told to end."""


class TooMuchAsked(RuntimeError):
    """The scenario's traffic is more than this machine can carry."""


@dataclass(frozen=True)
class Collected:
    """Everything a run leaves to be judged. ``epoch_ns`` is the traffic's time 0 (CLOCK_REALTIME).
    ``readings`` are dumps of the switches' rules by the moment, ``live`` what the network answered.
    ``links``, ``capacity``, ``asked_cores`` and ``scheduling`` are the link engine's: None where the kernel carried."""

    epoch_ns: int
    moments: dict[str, Moment]
    records: Array
    due: Array
    exchanges: tuple[Exchange, ...]
    traffic: KeepingUp
    links: Lateness | None
    machine_drops: Mapping[str, int]
    seconds: tuple[Second, ...]
    pressure: Pressure
    up_s: float
    capacity: Capacity | None
    asked_cores: float | None
    overhead: Overhead
    short_lines_us: Mapping[str, float]
    cores_awake: bool
    scheduling: str | None
    dataplane: Dataplane
    readings: Mapping[str, Path]
    live: Mapping[str, LiveReport]


class Run:
    """The run of ``job``; ``history`` gets every event as it happens."""

    def __init__(self, job: Job, history: History, progress: Progress) -> None:
        self._job, self._history, self._progress = job, history, progress
        standby = job.scenario.spec.standby
        self._testbed = Testbed(
            job.plan, sandbox.RUN_DIR, job.directory / "logs", self._controller_said, job.dataplane, standby
        )
        self._flows = job.traffic.flows
        self._verify = job.scenario.spec.verify or VerifySpec.model_construct()
        self._reader = RuleReader(job.directory)

    def execute(self) -> Collected:
        """All of it; raises WorldBroken or what a part raised that did not come up."""
        try:
            with cores_awake() as awake:
                return self._execute(awake)
        finally:
            self._reader.close()
            self._testbed.close()

    def _execute(self, awake: bool) -> Collected:
        began = time.monotonic()
        capacity = self._measure_capacity()
        self._testbed.start(self._progress.say)
        up_s = time.monotonic() - began
        overhead = self._testbed.overhead
        asked = self._weigh(capacity, overhead) if capacity else None
        self._record("network-up", seconds=round(up_s, 3), overhead=asdict(overhead))
        self._progress.say(f"the network is up and programmed after {up_s:.1f} s")
        live = self._ask("before")
        self._reader.prepare(self._verify.rules)
        flows = FlowEngine(
            self._flows, self._testbed.socket_in, cookie=self._job.scenario.spec.network.seed & 0xFFFFFFFF
        )
        exchanges = ExchangeEngine(self._job.traffic.exchanges, self._testbed.socket_in)
        if self._testbed.has_engine:
            self._testbed.engine.restart_lateness()
        epoch_ns = time.time_ns() + LEAD_NS
        flows.start(epoch_ns)
        exchanges.start(epoch_ns)
        testbed_metrics = TestbedMetrics(self._testbed, flows.sender)
        watch = HealthMonitor(testbed_metrics, *flows.lateness, self._second_passed)
        watch.start(epoch_ns)
        self._record("traffic-started", epoch_ns=epoch_ns, flows=len(self._flows))
        set_realtime(LINKS)  # a failure strikes all lines at once, not as the machine finds time
        moments = self._follow_timeline(epoch_ns, flows)
        self._until(epoch_ns + self._job.scenario.spec.duration * 1000 + int(TAIL_S * 1e9), epoch_ns, flows)
        unset_realtime()
        exchanges.stop()
        flows.stop()
        seconds, pressure = watch.stop()
        testbed_metrics.close()
        self._check_parts()  # what died in the last moments made the records what they are
        self._record("traffic-ended", records=len(flows.records))
        self._reader.finish()
        readings = {name: self._reader.done[name] for name in self._verify.rules}
        flows.close()  # conversations want some of its ports
        live |= self._ask("after")
        return Collected(
            epoch_ns=epoch_ns,
            moments=moments,
            records=flows.records,
            due=flows.due,
            exchanges=exchanges.results,
            traffic=flows.keeping_up(),
            links=self._testbed.engine.lateness() if self._testbed.has_engine else None,
            machine_drops=self._testbed.machine_drops(),
            seconds=seconds,
            pressure=pressure,
            up_s=up_s,
            capacity=capacity,
            asked_cores=asked,
            overhead=overhead,
            short_lines_us=self._testbed.short_links_us,
            cores_awake=awake,
            scheduling=self._testbed.engine.scheduling if self._testbed.has_engine else None,
            dataplane=self._testbed.dataplane,
            readings=readings,
            live=live,
        )

    def _ask(self, when: str) -> dict[str, LiveReport]:
        """Ask the quiet network the scenario's questions, if it has any."""
        if self._verify.questions is None:
            return {}
        from helsewan.lab.probing.local_prober import LocalProber
        from helsewan.lab.probing.verify_live import (
            verify_live,
        )  # Scapy takes a while to load, and most runs do without
        from helsewan.verification.live.side_by_side import as_rows

        self._progress.say(f"asking the network {self._verify.questions} questions and more")
        self._reader.prepare([f"asked-{when}"])
        self._reader.start(f"asked-{when}")
        self._reader.finish()
        dump = from_file(self._reader.done[f"asked-{when}"])
        seed = self._job.scenario.spec.network.seed
        most = self._verify.questions
        report = verify_live(
            self._testbed.plan, dump.rules, LocalProber(self._testbed.namespaces()), seed, most, dump.down
        )
        with (self._job.directory / f"answers-{when}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in as_rows(report))
        self._record("asked", when=when, findings=len(report.findings), **report.figures)
        return {when: report}

    def _measure_capacity(self) -> Capacity | None:
        """What the machine can carry; None where no engine will, of whose work it is the measure."""
        if not self._testbed.has_engine:
            return None
        self._progress.say("measuring the machine")
        return measure_capacity()

    def _weigh(self, capacity: Capacity, overhead: Overhead) -> float:
        """How many cores the traffic asks for; raises TooMuchAsked for what this machine plainly does not have."""
        load = offered(self._job.traffic, self._job.plan)
        cores = load.cores(capacity.line_us, overhead.hop_us)
        self._record("capacity", **asdict(capacity), hop_us=overhead.hop_us, offered=asdict(load), asked_cores=cores)
        for reason in assess(of_plan(cores, capacity.cores)).reasons:
            if reason.grade is Grade.VOID:
                raise TooMuchAsked(str(reason))
            self._progress.say(f"{reason.grade.value}: {reason}")
        return cores

    def _follow_timeline(self, epoch_ns: int, flows: FlowEngine) -> dict[str, Moment]:
        """Do every event of the timeline when it is due, and read rules between; when each event really began and was
        done. Late or not, all is done in the order that the scenario has it in."""
        spec, moments = self._job.scenario.spec, dict[str, Moment]()
        planned = {name: Moment(event.at, event.at) for name, event in spec.timeline.items()}
        steps = [(event.at, False, name) for name, event in spec.timeline.items()]
        steps += [(point.resolve(planned, spec.duration), True, name) for name, point in self._verify.rules.items()]
        for at_us, reads, name in sorted(steps):
            if reads:
                at_us = self._verify.rules[name].resolve(moments, spec.duration)
            else:
                self._reader.told()  # rules half of which are older than the event would prove nothing
            self._until(epoch_ns + at_us * 1000, epoch_ns, flows)
            if reads:
                self._reader.start(name)
                self._record("rules-read", name=name)
            else:
                moments[name] = self._act(name, epoch_ns)
        return moments

    def _act(self, name: str, epoch_ns: int) -> Moment:
        """Do an event of the timeline."""
        event, target = self._job.scenario.spec.timeline[name], self._job.targets[name]
        begun_ns = (self._testbed.fail if event.fail else self._testbed.restore)(target)
        moment = Moment((begun_ns - epoch_ns) // 1000, (time.time_ns() - epoch_ns) // 1000)
        verb = "failed" if event.fail else "restored"
        self._record(name, action=verb, target=target.name, begun_ns=begun_ns)
        self._progress.say(f"{name}: {target.name} {verb}")
        return moment

    def _until(self, moment_ns: int, epoch_ns: int, flows: FlowEngine) -> None:
        """Wait for a moment of the schedule, watching over the world meanwhile."""
        whole_s = self._job.scenario.spec.duration / 1e6
        while (left_s := (moment_ns - time.time_ns()) / 1e9) > 0:
            self._check_parts()
            at_s = (time.time_ns() - epoch_ns) / 1e9
            self._progress.show(f"{max(at_s, 0):5.1f} of {whole_s:.0f} s, {len(flows.records):,} datagrams arrived")
            time.sleep(min(left_s, TICK_S))

    def _check_parts(self) -> None:
        if dead := self._testbed.dead_parts():
            raise SandboxBroken(f"ended unexpectedly: {', '.join(dead)}")

    def _second_passed(self, second: Second) -> None:
        self._record("machine", **second.compact())

    def _controller_said(self, event: Event) -> None:
        self._record("controller." + event["event"], **{key: value for key, value in event.items() if key != "event"})

    def _record(self, event: str, **details: object) -> None:
        self._history.append(event, **details)
