"""Requests of the link engine's backend to the engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from helsewan.emulation.links import engine_backend
from helsewan.emulation.links.engine import EngineError, PipeChange, PipeSpec
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import End
from helsewan.emulation.links.pipe_model import Direction, PipeModel
from helsewan.emulation.links.trace import Trace, TracePoint

BACK = Direction.BACK
INSTANT = 1_234


class Recorder:
    """A fake engine: records requests, and refuses a rate of 0."""

    def __init__(self) -> None:
        self.specs: list[PipeSpec] = []
        self.models: dict[int, PipeModel] = {}
        self.changes: list[PipeChange] = []
        self.traces: list[tuple[list[int], Trace | None]] = []

    def add_ports(self, fds: Sequence[int]) -> list[int]:
        return list(range(len(fds)))

    def add_pipes(self, specs: Sequence[PipeSpec]) -> list[int]:
        self.specs += specs
        self.models = {number: spec.model for number, spec in enumerate(self.specs)}
        return list(self.models)

    def set_pipes(self, changes: Sequence[PipeChange]) -> int:
        if any(change.model and change.model.rate_bps == 0 for change in changes):
            raise EngineError("rate_bps 0")
        self.changes = list(changes)
        self.models |= {change.pipe: change.model for change in changes if change.model}
        return INSTANT

    def follow_trace(self, pipes: Sequence[int], trace: Trace | None) -> int:
        self.traces.append((list(pipes), trace))
        return INSTANT


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> EngineBackend:
    """Links "one" (pipes 0 and 1), "two" (2 and 3) and "three" (4 and 5) from ports of their own to a trunk (port 3),
    over a recorder."""
    monkeypatch.setattr(engine_backend, "open_tap", lambda namespace, name: os.open(os.devnull, os.O_RDWR))
    result = EngineBackend(Recorder(), lambda rate_bps, delay_us: PipeModel(rate_bps, delay_us), seed=5)  # type: ignore[arg-type]
    node: Any = SimpleNamespace(namespace=None)
    *ends, trunk = (result.end(node, name) for name in ("wan0", "wan1", "wan2", "trunk"))
    for number, name in enumerate(("one", "two", "three")):
        result.join(name, ends[number], End(trunk.port, vlan=number + 1), 1_000_000, 10_000 + number)
    result.commit()
    return result


def test_a_link_is_two_pipes_each_with_its_own_seed(backend: EngineBackend) -> None:
    specs: list[PipeSpec] = backend.engine.specs  # type: ignore[attr-defined]
    ends = [(spec.src_port, spec.src_vlan, spec.dst_port, spec.dst_vlan) for spec in specs[:2]]
    assert ends == [(0, 0, 3, 1), (3, 1, 0, 0)]
    assert len({spec.seed for spec in specs}) == 6
    assert [backend.links["two"].pipe(direction) for direction in Direction] == [2, 3]


def test_set_models_gives_each_direction_its_model(backend: EngineBackend) -> None:
    recorder: Recorder = backend.engine  # type: ignore[assignment]
    fast, slow = PipeModel(5_000_000, 2_000), PipeModel(3_000_000, 100)
    assert backend.set_models({"one": (fast, slow), "three": (slow, slow)}) == INSTANT
    assert [recorder.models[pipe] for pipe in (0, 1, 4, 5)] == [fast, slow, slow, slow]
    assert recorder.models[2].delay_us == 10_001
    assert backend.models["one"] == (fast, slow)


def test_a_refused_model_is_not_remembered(backend: EngineBackend) -> None:
    before = dict(backend.models)
    with pytest.raises(EngineError):
        backend.set_models({"one": (PipeModel(0, 0), PipeModel(1, 0))})
    assert backend.models == before


def test_switches_reach_their_pipes(backend: EngineBackend) -> None:
    asked = backend.engine
    assert backend.set_down(["one", "three"], True) == INSTANT
    assert asked.changes == [PipeChange(pipe, down=True) for pipe in (0, 1, 4, 5)]  # type: ignore[attr-defined]
    assert backend.set_blackhole("two", BACK, True) == INSTANT
    assert asked.changes == [PipeChange(3, blackhole=True)]  # type: ignore[attr-defined]
    assert backend.set_paused(["two"], False) == INSTANT
    assert asked.changes == [PipeChange(pipe, paused=False) for pipe in (2, 3)]  # type: ignore[attr-defined]


def test_a_link_follows_a_trace_until_its_model_is_restored(backend: EngineBackend) -> None:
    recorder: Recorder = backend.engine  # type: ignore[assignment]
    trace = Trace((TracePoint(0, delay_us=50), TracePoint(1_000, delay_us=5_000)), repeat_us=2_000)
    assert backend.follow_trace("one", BACK, trace) == INSTANT
    assert recorder.traces == [([1], trace)]
    backend.follow_trace("one", BACK, None)
    assert recorder.traces[-1] == ([1], None)
    assert recorder.changes == [PipeChange(1, backend.models["one"][1])]
