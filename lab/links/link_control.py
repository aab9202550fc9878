"""The lines of a running network: told, changed, cut, and made again what the blueprint says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names
from helsewan.emulation.links.counters import PIPE_DTYPE
from helsewan.emulation.links.engine import EngineError
from helsewan.emulation.links.link_backend import Direction
from helsewan.emulation.links.links import MininetLink
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.links.trace import Trace
from helsewan.lab.links.link_change import LinkRequest, LinkState, TraceRequest, applied
from helsewan.lab.links.link_names import links_named
from helsewan.lab.testbed.testbed import Testbed

_COUNTERS = tuple(name for name in PIPE_DTYPE.names or () if not name.startswith(("reserved", "lateness_max_at")))


class LinkControl:
    """Changes to the lines of ``rig``. Every change of one request is made at the same
    instant."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed, self._backend = testbed, testbed.backend
        self._queue_of = {cls.name: cls.queue for cls in testbed.plan.classes}
        self._links = {link.line: link for link in testbed.net.links if isinstance(link, MininetLink)}
        self._blueprint = dict(testbed.backend.models)
        self._silent: set[tuple[str, Direction]] = set()
        self._frozen: set[str] = set()
        self._traces: dict[tuple[str, Direction], str] = {}

    def names(self) -> tuple[str, ...]:
        """All lines."""
        return tuple(self._links)

    def change(self, request: LinkRequest) -> tuple[str, ...]:
        """Make the change; the lines it was made on. Raises InputError for what cannot be, and changes nothing."""
        names = links_named(request.line, self._links)
        if request.reset:
            for name, direction in [key for key in self._traces if key[0] in names]:
                self._follow(name, direction, None, "")
        models = {name: self._changed(name, request) for name in names}
        self._check_state(request)
        try:
            if models != {name: self._backend.models[name] for name in names}:
                self._backend.set_models(models)
        except (EngineError, ValueError) as error:
            raise InputError(Problem(request.line, None, f"cannot be changed so: {error}")) from error
        self._change_state(names, request)
        return names

    def follow(self, request: TraceRequest, trace: Trace | None) -> tuple[str, ...]:
        """Have lines follow a trace from now on, or their models again; the lines. Raises InputError for no line."""
        names = links_named(request.line, self._links)
        for name in names:
            for direction in request.directions:
                self._follow(name, direction, trace, request.file)
        return names

    def _follow(self, name: str, direction: Direction, trace: Trace | None, file: str) -> None:
        self._testbed.engine_backend.follow_trace(name, direction, trace)
        self._traces.pop((name, direction), None)
        if trace:
            self._traces[name, direction] = file

    def told(self, text: str) -> list[dict[str, Any]]:
        """What ``text`` means, line by line: how both directions are, and what they have carried."""
        return [self._told(name) for name in links_named(text, self._links)]

    def changed(self) -> list[dict[str, Any]]:
        """The lines that are not as the blueprint has them, with what is other."""
        lines = []
        for name, link in self._links.items():
            states = self._states(name)
            pairs = zip(Direction, self._backend.models[name], self._blueprint[name], strict=True)
            others = {direction.value: _other(model, plain) for direction, model, plain in pairs if model != plain}
            if states or others:
                lines.append({"line": name, "down": not link.lit, "states": states, "changes": others})
        return lines

    def _changed(self, name: str, request: LinkRequest) -> tuple[PipeModel, PipeModel]:
        """Both directions' models with the change made."""
        forward, back = self._blueprint[name] if request.reset else self._backend.models[name]
        try:
            if Direction.FORWARD in request.directions:
                forward = applied(request.change, forward, self._queue_of)
            if Direction.BACK in request.directions:
                back = applied(request.change, back, self._queue_of)
        except KeyError as error:
            cls = str(error.args[0])
            near = similar_names(cls, self._queue_of)
            raise InputError(Problem("class", cls, f"is none of this policy{near}")) from None
        except (TypeError, ValueError) as error:
            raise InputError(Problem(request.line, None, str(error))) from error
        return forward, back

    @staticmethod
    def _check_state(request: LinkRequest) -> None:
        one_way = set(request.directions) != set(Direction)
        if one_way and (request.state.down is not None or request.state.frozen is not None):
            hint = "--silent loses one direction's frames without a sign"
            raise InputError(Problem("--direction", None, "a line is cut, or frozen, both ways", hint))

    def _change_state(self, names: tuple[str, ...], request: LinkRequest) -> None:
        state = LinkState(down=False, silent=False, frozen=False) if request.reset else request.state
        if state.silent is not None:
            for name in names:
                for direction in request.directions:
                    self._backend.set_blackhole(name, direction, state.silent)
                    (self._silent.add if state.silent else self._silent.discard)((name, direction))
        if state.frozen is not None:
            self._backend.set_paused(names, state.frozen)
            (self._frozen.update if state.frozen else self._frozen.difference_update)(names)
        if state.down is not None:
            self._backend.set_down(names, state.down)
            for name in names:
                self._testbed.note_lost_carrier(self._links[name].ends())
                self._links[name].follow(up=not state.down)

    def _states(self, name: str) -> list[str]:
        return [
            *([] if self._links[name].lit else ["down"]),
            *(["frozen"] if name in self._frozen else []),
            *(f"silent {direction.value}" for direction in Direction if (name, direction) in self._silent),
            *(f"{way.value} follows {self._traces[name, way]}" for way in Direction if (name, way) in self._traces),
        ]

    def _told(self, name: str) -> dict[str, Any]:
        link = self._links[name]
        directions = {
            direction.value: {"model": _plain(model), "counters": self._counters(name, direction)}
            for direction, model in zip(Direction, self._backend.models[name], strict=True)
        }
        ends = (link.intf1.node.name, link.intf2.node.name)
        return {"line": name, "ends": ends, "states": self._states(name), **directions}

    def _counters(self, name: str, direction: Direction) -> dict[str, Any]:
        """What one direction has carried; nothing is known of it where the kernel carries it."""
        if not self._testbed.has_engine:
            return {}
        record = self._testbed.engine.counters()[self._testbed.engine_backend.lines[name].pipe(direction)]
        return {field: record[field].tolist() for field in _COUNTERS}


def _plain(model: PipeModel) -> dict[str, Any]:
    """A model as JSON values."""
    return asdict(model)


def _other(model: PipeModel, plain: PipeModel) -> dict[str, Any]:
    before, now = _plain(plain), _plain(model)
    return {key: value for key, value in now.items() if value != before[key]}
