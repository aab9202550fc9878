"""Follows a scenario's timeline: does every event when it is due, and reads the switches' rules between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from helsewan.common.run_clock import RunClock
from helsewan.lab.testbed.testbed import Testbed
from helsewan.scenarios.run.job import Job
from helsewan.scenarios.run.rule_reader import RuleReader
from helsewan.scenarios.spec.checks.schema import VerifySpec
from helsewan.scenarios.spec.timeline.plan import plan_timeline
from helsewan.scenarios.spec.timeline.timepoints import EventTime


@dataclass(frozen=True)
class Timeline:
    """The timeline of ``job`` on ``testbed``. ``until`` waits for a time on ``clock`` (ns) and may raise what ends the
    run; ``record`` writes into the run's history, ``say`` tells people."""

    job: Job
    testbed: Testbed
    reader: RuleReader
    clock: RunClock
    until: Callable[[int], None]
    record: Callable[..., None]
    say: Callable[[str], None]

    def follow(self, epoch_ns: int) -> dict[str, EventTime]:
        """Do every event when it is due; returns the time of each. The scenario's order is kept even when an event is
        late."""
        spec, event_times = self.job.scenario.spec, dict[str, EventTime]()
        rules = (spec.verify or VerifySpec.model_construct()).rules
        plan = plan_timeline(spec)
        planned = plan.known_times
        steps = [(time.begin_us, False, name) for name, time in planned.items()]
        steps += [(point.resolve(planned, spec.duration), True, name) for name, point in rules.items()]
        for at_us, reads, name in sorted(steps):
            if reads:
                at_us = rules[name].resolve(event_times, spec.duration)
            else:
                self.reader.wait_answered()  # rules from both before and after the event would prove nothing
            self.until(epoch_ns + at_us * 1000)
            if reads:
                self.reader.start(name)
                self.record("rules-read", name=name)
            else:
                event_times[name] = self._act(name, epoch_ns)
        return event_times

    def _act(self, name: str, epoch_ns: int) -> EventTime:
        """Do an event of the timeline; returns its time."""
        event, target = self.job.scenario.spec.timeline[name], self.job.targets[name]
        begun_ns = (self.testbed.fail if event.fail else self.testbed.restore)(target)
        begun_ns = self.clock.of_stamp(begun_ns)
        actual = EventTime((begun_ns - epoch_ns) // 1000, (self.clock.now_ns() - epoch_ns) // 1000)
        verb = "failed" if event.fail else "restored"
        self.record(name, action=verb, target=target.name, begun_ns=begun_ns)
        self.say(f"{name}: {target.name} {verb}")
        return actual
