"""The links of a running lab: describes, changes, fails and resets them to the network's settings."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names
from helsewan.emulation.links.counters import PIPE_DTYPE
from helsewan.emulation.links.engine import EngineError
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import Models
from helsewan.emulation.links.mininet_links import MininetAccessLink, MininetLink
from helsewan.emulation.links.pipe_model import Direction, PipeModel
from helsewan.emulation.links.trace import Trace
from helsewan.lab.links.link_change import LinkRequest, LinkState, TraceRequest, applied
from helsewan.lab.links.link_names import links_named
from helsewan.lab.links.mtu_remarks import mtu_remarks
from helsewan.lab.testbed.testbed import Testbed

_COUNTERS = tuple(name for name in PIPE_DTYPE.names or () if not name.startswith(("reserved", "lateness_max_at")))


class LinkControl:
    """Changes to the links of ``testbed``. All changes of one request take effect at the same time."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed, self._backend = testbed, testbed.backend
        self._queue_of = {cls.name: cls.queue for cls in testbed.plan.classes}
        self._links = {link.link_name: link for link in testbed.net.links if isinstance(link, MininetLink)}
        self.originals = dict(testbed.backend.models)  # the links' models when this object was created
        self._blackholes: set[tuple[str, Direction]] = set()
        self._paused: set[str] = set()
        self._traces: dict[tuple[str, Direction], str] = {}

    def names(self) -> tuple[str, ...]:
        """The names of all links."""
        return tuple(self._links)

    def change(self, request: LinkRequest) -> tuple[str, ...]:
        """Apply the change; returns the names of the links. Raises InputError, and changes nothing, for an invalid
        one."""
        names = links_named(request.line, self._links)
        if request.reset:
            for name, direction in [key for key in self._traces if key[0] in names]:
                self.follow_trace(name, direction, None)
        models = {name: self._changed_models(name, request) for name in names}
        self._check_state(request)
        self._check_carrier(names, request)
        try:
            if models != {name: self._backend.models[name] for name in names}:
                self.set_models(models)
        except (EngineError, ValueError) as error:
            raise InputError(Problem(request.line, None, f"cannot be changed: {error}")) from error
        self._change_state(names, request)
        return names

    def set_models(self, models: Models) -> int:
        """Give links new models, and sites the MTUs that follow; returns the time of the change (CLOCK_REALTIME, ns).
        Raises EngineError."""
        before = {name: self._backend.models[name][0].mtu_bytes for name in models}
        changed_ns = self._backend.set_models(models)
        self._change_site_mtus(before)
        return changed_ns

    def remarks(self, names: Iterable[str], request: LinkRequest) -> list[str]:
        """What the change of the links' MTU, if it was one, does not do."""
        if "mtu_bytes" not in request.change.model_fields_set:
            return []
        mtus = {name: self._backend.models[name][0].mtu_bytes for name in names}
        answered = isinstance(self._backend, EngineBackend)
        return list(mtu_remarks(self._testbed.network, mtus, answered))

    def follow(self, request: TraceRequest, trace: Trace | None) -> tuple[str, ...]:
        """Let links follow a trace from now on, or, without one, their models again; returns the names of the links.

        Raises InputError where no link has that name."""
        names = links_named(request.line, self._links)
        for name in names:
            for direction in request.directions:
                self.follow_trace(name, direction, trace, request.file)
        return names

    def describe(self, text: str) -> list[dict[str, Any]]:
        """The links that ``text`` names, each with its states, and both directions' models and counters."""
        return [self._describe(name) for name in links_named(text, self._links)]

    told = describe  # deprecated alias

    def changed(self) -> list[dict[str, Any]]:
        """The links that differ from the network's settings, with the differences."""
        links = []
        for name, link in self._links.items():
            states = self._states(name)
            pairs = zip(Direction, self._backend.models[name], self.originals[name], strict=True)
            changes = {
                direction.value: _differences(model, original)
                for direction, model, original in pairs
                if model != original
            }
            if states or changes:
                links.append({"line": name, "down": not link.has_carrier, "states": states, "changes": changes})
        return links

    def _change_site_mtus(self, before: dict[str, int | None]) -> None:
        """A host knows the MTU of its own interface: set it where an access link's changed towards its router."""
        for name, mtu_bytes in before.items():
            link, now = self._links[name], self._backend.models[name][0].mtu_bytes
            if isinstance(link, MininetAccessLink) and now != mtu_bytes:
                link.set_mtu(now)

    def _changed_models(self, name: str, request: LinkRequest) -> tuple[PipeModel, PipeModel]:
        """Both directions' models with the change applied."""
        forward, back = self.originals[name] if request.reset else self._backend.models[name]
        try:
            if Direction.FORWARD in request.directions:
                forward = applied(request.change, forward, self._queue_of)
            if Direction.BACK in request.directions:
                back = applied(request.change, back, self._queue_of)
        except KeyError as error:
            cls = str(error.args[0])
            hint = similar_names(cls, self._queue_of)
            raise InputError(Problem("class", cls, f"is no class of this policy{hint}")) from None
        except (TypeError, ValueError) as error:
            raise InputError(Problem(request.line, None, str(error))) from error
        return forward, back

    @staticmethod
    def _check_state(request: LinkRequest) -> None:
        one_direction = set(request.directions) != set(Direction)
        if one_direction and (request.state.down is not None or request.state.paused is not None):
            hint = "--blackhole drops the frames of one direction, with carrier up"
            raise InputError(Problem("--direction", None, "a link is down or paused in both directions", hint))

    def _check_carrier(self, names: tuple[str, ...], request: LinkRequest) -> None:
        """Raise InputError where a link of a router that is dead or failed would get carrier."""
        if request.state.down is False and not request.reset:
            for name in names:
                if dead := self._dead_ends(name):
                    hint = f"`helsewan router power-on {dead[0]}` restores it; `helsewan status` shows why"
                    raise InputError(Problem(name, None, f"stays down: router {dead[0]} is dead", hint))

    def _dead_ends(self, name: str) -> list[str]:
        link = self._links[name]
        return sorted({link.intf1.node.name, link.intf2.node.name} & self._testbed.failed_routers)

    def _change_state(self, names: tuple[str, ...], request: LinkRequest) -> None:
        state = LinkState(down=False, blackhole=False, paused=False) if request.reset else request.state
        if state.blackhole is not None:
            self.set_blackholes(
                ((name, direction) for name in names for direction in request.directions), state.blackhole
            )
        if state.paused is not None:
            self.set_paused(names, state.paused)
        if state.down is not None:
            for name in names:
                self._links[name].is_cut = state.down
            if not state.down:  # what a dead router took down stays down, also in a reset
                names = tuple(name for name in names if not self._dead_ends(name))
            self._backend.set_down(names, state.down)
            for name in names:
                self._testbed.note_lost_carrier(self._links[name].ends())
                self._links[name].set_carrier(up=not state.down)

    def set_blackholes(self, directions: Iterable[tuple[str, Direction]], blackhole: bool) -> int:
        """Make directions of links (name, direction) black holes, or end that; returns the time at which the first
        changed (CLOCK_REALTIME, ns)."""
        found = list(directions)
        times_ns = [self._backend.set_blackhole(*each, blackhole) for each in found]
        (self._blackholes.update if blackhole else self._blackholes.difference_update)(found)
        return min(times_ns, default=time.time_ns())

    def set_paused(self, names: Collection[str], paused: bool) -> int:
        """Pause or resume links; returns the time (CLOCK_REALTIME, ns)."""
        changed_ns = self._backend.set_paused(names, paused)
        (self._paused.update if paused else self._paused.difference_update)(names)
        return changed_ns

    def follow_trace(self, name: str, direction: Direction, trace: Trace | None, file: str = "") -> int:
        """Let one direction of a link follow a trace, named ``file``, or its model again (None); returns the time
        (CLOCK_REALTIME, ns)."""
        changed_ns = self._testbed.engine_backend.follow_trace(name, direction, trace)
        self._traces.pop((name, direction), None)
        if trace:
            self._traces[name, direction] = file
        return changed_ns

    @property
    def unusable(self) -> frozenset[str]:
        """Links that carry nothing in one direction or both, although their ends may have carrier."""
        return frozenset(self._paused).union(name for name, _ in self._blackholes)

    def _states(self, name: str) -> list[str]:
        return [
            *([] if self._links[name].has_carrier else ["down"]),
            *(["paused"] if name in self._paused else []),
            *(f"blackhole {direction.value}" for direction in Direction if (name, direction) in self._blackholes),
            *(
                f"{direction.value} follows {self._traces[name, direction]}"
                for direction in Direction
                if (name, direction) in self._traces
            ),
        ]

    def _describe(self, name: str) -> dict[str, Any]:
        link = self._links[name]
        directions = {
            direction.value: {"model": asdict(model), "counters": self._counters(name, direction)}
            for direction, model in zip(Direction, self._backend.models[name], strict=True)
        }
        ends = (link.intf1.node.name, link.intf2.node.name)
        return {"line": name, "ends": ends, "states": self._states(name), **directions}

    def _counters(self, name: str, direction: Direction) -> dict[str, Any]:
        """The link engine's counters of one direction; empty where the kernel carries the links."""
        if not self._testbed.has_engine:
            return {}
        record = self._testbed.engine.counters()[self._testbed.engine_backend.links[name].pipe(direction)]
        return {field: record[field].tolist() for field in _COUNTERS}


def _differences(model: PipeModel, original: PipeModel) -> dict[str, Any]:
    before, now = asdict(original), asdict(model)
    return {key: value for key, value in now.items() if value != before[key]}
