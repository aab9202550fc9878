"""The actions of a timeline, on links, routers and controllers; those on policies and sites are done by modules of
their own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.routers.management import management_link_name
from helsewan.lab.links.link_change import LinkChange
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.links.link_overlays import LinkOverlay, LinkOverlays
from helsewan.lab.links.repair import RepairMonitor, expectation
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.fault_injection import Boot
from helsewan.lab.testbed.testbed import Testbed
from helsewan.scenarios.events.effects import Effect, Occurrence, done
from helsewan.scenarios.events.policy_actions import PolicyActions
from helsewan.scenarios.events.site_actions import SiteActions
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.timeline.prepare import PreparedTimeline
from helsewan.scenarios.spec.timeline.targets import link_names
from helsewan.topology.model import access_link_name

_WAYS = {"both": tuple(Direction), "forward": (Direction.FORWARD,), "back": (Direction.BACK,)}
_NO_TARGET = Target("")


@dataclass(frozen=True, eq=False)
class _Booting:
    """A restoration that is going on: ``powered`` is done once its routers have power."""

    boot: Boot
    powered: Future[None]


class Actions:
    """Does the actions of ``timeline``, of the scenario ``spec``, on ``testbed``, which is up. Outputs of commands and
    captures go below ``directory``; ``record`` writes into the run's history."""

    def __init__(
        self,
        testbed: Testbed,
        spec: ScenarioSpec,
        timeline: PreparedTimeline,
        directory: Path,
        record: Callable[..., None],
    ) -> None:
        self._testbed, self._spec, self._timeline = testbed, spec, timeline
        self._control = LinkControl(testbed)
        self._overlays = LinkOverlays(self._control, {cls.name: cls.queue for cls in testbed.plan.classes})
        self._policies = PolicyActions(testbed, timeline.policies)
        self._sites = SiteActions(testbed, directory, record)
        self._failed: dict[str, Target] = {}  # what each event failed, and was not restored
        self._booting: list[_Booting] = []
        self._power = ThreadPoolExecutor(1, thread_name_prefix="router-power")
        self._power.submit(time.time_ns).result()  # the thread is there before this one gets real-time priority
        self._paused: dict[str, str] = {}  # routers that stand still, by event
        self._do: dict[str, Callable[[Occurrence], Effect]] = {
            "fail": self._fail,
            "restore": self._restore,
            "cut": self._cut,
            "blackhole": self._blackhole,
            "flap": self._flap,
            "set": self._set,
            "pause": self._pause,
            "partition": self._partition,
            "withdraw": self._policies.withdraw,
            "policy": self._policies.change,
            "exception": self._policies.change,
            "quarantine": self._policies.change,
            "command": self._sites.command,
            "capture": self._sites.capture,
            "mark": lambda its: done(time.time_ns(), text=its.event.mark),
        }

    def begin(self, name: str, entry: str) -> Effect:
        """Do the action of the occurrence ``name`` of the timeline's ``entry``. Raises what makes it impossible."""
        event = self._spec.timeline[entry]
        return self._do[event.action](Occurrence(name, entry, event, self.target(entry)))

    def target(self, entry: str) -> Target:
        """The target of an entry of the timeline; one without a name where its action has none."""
        return self._timeline.targets.get(entry, _NO_TARGET)

    def monitor_repair(self) -> RepairMonitor:
        """Begin to look whether the network has reacted to all failures so far."""
        client = self._testbed.controllers.client()
        return RepairMonitor(client, lambda: expectation(self._testbed, self._control, list(self._paused.values())))

    def close(self) -> None:
        """End the threads that do actions beside the timeline. Idempotent."""
        self._policies.close()
        self._sites.close()
        self._power.shutdown(cancel_futures=True)

    def _fail(self, its: Occurrence) -> Effect:
        for booting in [each for each in self._booting if set(each.boot.routers) & set(its.target.routers)]:
            self._abandon(booting)
        failed_ns = self._testbed.fail(its.target)
        self._failed[its.name] = its.target
        return done(failed_ns, lambda: self._boot(_without(self._failed.pop(its.name), self._failed.values())))

    def _restore(self, its: Occurrence) -> Effect:
        self._failed = {name: _without(failed, [its.target]) for name, failed in self._failed.items()}
        return self._boot(its.target)

    def _boot(self, target: Target) -> Effect:
        """Restore ``target``; its links carry again once its routers are programmed."""
        faults = self._testbed.faults
        if target.controller:
            return done(self._testbed.restore(target))
        target = _without(target, [each.boot.target for each in self._booting])
        if not (target.routers or target.links or target.accesses):  # all of it was restored before, or is
            return done(time.time_ns())
        boot = faults.boot(target)
        booting = _Booting(boot, self._power.submit(faults.power_on, boot))
        self._booting.append(booting)

        def poll() -> int | None:
            if booting not in self._booting:  # it has failed again
                return time.time_ns()
            if not booting.powered.done():
                return None
            try:
                booting.powered.result()
                if not faults.is_programmed(boot):
                    return None
            except Exception:
                self._abandon(booting)
                raise
            self._booting.remove(booting)
            return faults.finish(boot)

        return Effect(poll)

    def _abandon(self, booting: _Booting) -> None:
        """Give a restoration up: its routers are off again."""
        self._booting.remove(booting)
        wait([booting.powered])
        self._testbed.faults.abandon(booting.boot)

    def _cut(self, its: Occurrence) -> Effect:
        assert its.event.cut is not None
        names, (direction,) = self._links(its), _WAYS[its.event.cut.direction]
        cut_ns = self._overlays.begin(its.name, LinkOverlay(names, (direction,), blackhole=True))
        self._testbed.faults.darken(names, direction)

        def mend() -> Effect:
            mended_ns = self._overlays.end(its.name)
            self._testbed.faults.lighten(names, direction)
            return done(mended_ns)

        return done(cut_ns, mend)

    def _blackhole(self, its: Occurrence) -> Effect:
        assert its.event.blackhole is not None
        return self._overlay(its, LinkOverlay(self._links(its), _WAYS[its.event.blackhole.direction], blackhole=True))

    def _set(self, its: Occurrence) -> Effect:
        assert its.event.set is not None
        spec, names = its.event.set, self._links(its)
        if spec.trace is not None:
            trace = self._timeline.traces[its.entry]
            return self._overlay(its, LinkOverlay(names, _WAYS[spec.direction], trace=trace, file=spec.trace))
        change = LinkChange.model_validate_json(json.dumps(spec.change))
        return self._overlay(its, LinkOverlay(names, _WAYS[spec.direction], change))

    def _overlay(self, its: Occurrence, overlay: LinkOverlay) -> Effect:
        return done(self._overlays.begin(its.name, overlay), lambda: done(self._overlays.end(its.name)))

    def _flap(self, its: Occurrence) -> Effect:
        assert its.event.flap is not None
        spec, names = its.event.flap, set(self._links(its))
        network = self._testbed.network
        links = Target(
            its.target.name,
            links=tuple(link.id for link in network.links if link.id in names),
            accesses=its.target.accesses,
        )

        def down() -> int:
            self._failed[its.name] = links
            return self._testbed.fail(links)

        def up() -> int:
            self._failed.pop(its.name, None)
            return self._testbed.restore(_without(links, self._failed.values()))

        period_us = spec.down + spec.up
        downs = [(number * period_us, down) for number in range(1, spec.times)]
        ups = [(number * period_us + spec.down, up) for number in range(spec.times)]
        return replace(done(down(), lambda: done(up())), steps=tuple(sorted([*downs, *ups], key=itemgetter(0))))

    def _pause(self, its: Occurrence) -> Effect:
        controllers = self._testbed.controllers
        if its.target.controller:
            paused_ns, number = controllers.pause_leader()
            return done(paused_ns, lambda: done(controllers.resume(number)))
        if not its.target.routers:
            return self._overlay(its, LinkOverlay(self._links(its), paused=True))
        (router,) = its.target.routers
        names = (*self._links(its), *self._accesses(router), management_link_name(router))
        self._paused[its.name] = router
        paused_ns = self._overlays.begin(its.name, LinkOverlay(names, paused=True))

        def resume() -> Effect:
            del self._paused[its.name]
            return done(self._overlays.end(its.name))

        return done(paused_ns, resume)

    def _partition(self, its: Occurrence) -> Effect:
        faults, routers = self._testbed.faults, its.target.routers
        return done(faults.partition(routers), lambda: done(faults.rejoin(routers)))

    def _links(self, its: Occurrence) -> tuple[str, ...]:
        return link_names(its.target, self._testbed.network)

    def _accesses(self, router: str) -> Iterable[str]:
        """The access links of a router, by name."""
        for site in self._testbed.network.sites:
            for number, access in enumerate(site.accesses):
                if access.router == router:
                    yield access_link_name(site.id, number)


def _without(target: Target, others: Iterable[Target]) -> Target:
    """``target`` without what belongs to one of the others."""
    others = list(others)
    return replace(
        target,
        routers=tuple(each for each in target.routers if not any(each in other.routers for other in others)),
        links=tuple(each for each in target.links if not any(each in other.links for other in others)),
        accesses=tuple(each for each in target.accesses if not any(each in other.accesses for other in others)),
        controller=target.controller and not any(other.controller for other in others),
    )
