"""The link engine's backend: a TAP at each end of a link, the engine between."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from helsewan.emulation.links.capture import SNAP_BYTES, Capture
from helsewan.emulation.links.engine import EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.link_backend import TAP_QUEUE, Dataplane, End, LinkBackend, Models, Shape
from helsewan.emulation.links.pipe_model import Direction
from helsewan.emulation.links.ring_ports import RingPort, RingPorts
from helsewan.emulation.links.trace import Trace
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.shared_switch import SharedSwitch
from helsewan.emulation.sandbox.namespaces import open_tap

HANDED_OVER = 200  # TAPs handed to the engine at a time: keeping all until ``commit`` would double the open files
_PENDING = -1  # number of a port that the engine does not have yet


@dataclass(frozen=True)
class EngineLink:
    """An emulated link in the engine: the numbers of its two pipes."""

    name: str
    forward: int
    back: int

    def pipe(self, direction: Direction) -> int:
        """The pipe of one direction."""
        return self.forward if direction is Direction.FORWARD else self.back


class EngineBackend(LinkBackend):
    """Adds all links to the engine in one request, and applies each change to all its links at the same time."""

    dataplane = Dataplane.ENGINE
    trunk_queue = TAP_QUEUE

    def __init__(self, engine: EngineProcess, shape: Shape, seed: int = 0) -> None:
        """``shape`` returns a link's model for its rate and delay; ``seed`` seeds the links' random numbers."""
        super().__init__(shape)
        self.engine = engine
        self.links: dict[str, EngineLink] = {}
        self.rings = RingPorts(engine)  # of shared routers
        self._seed = seed
        self._numbers: list[int] = []  # the engine's port number of each end, by ``End.port``
        self._taps: list[tuple[int, int]] = []  # not yet handed over: place in ``_numbers``, descriptor
        self._new_rings: list[tuple[int, RingPort]] = []  # likewise

    def end(self, node: NamespaceNode, name: str) -> End:
        """Create TAP ``name`` in ``node``, or, for a link of a shared router, a port in shared memory."""
        place = len(self._numbers)
        self._numbers.append(_PENDING)
        if isinstance(node, SharedSwitch) and (ring := node.open_ring(name)):
            self._new_rings.append((place, ring))
        else:
            self._taps.append((place, open_tap(node.namespace, name)))
            if len(self._taps) == HANDED_OVER:
                self._hand_over()
        return End(place)

    def commit(self) -> None:
        """Add all links to the engine."""
        self._hand_over()
        pipes = self.engine.add_pipes([self._spec(name, direction) for name in self._ends for direction in Direction])
        for name, forward, back in zip(self._ends, pipes[::2], pipes[1::2], strict=True):
            self.links[name] = EngineLink(name, forward, back)
        self._ends.clear()

    def _spec(self, name: str, direction: Direction) -> PipeSpec:
        source, target = self._ends[name] if direction is Direction.FORWARD else reversed(self._ends[name])
        model = self.models[name][direction is Direction.BACK]
        seed = crc32(f"{self._seed}/{name}/{direction.value}".encode())
        ports = self._numbers[source.port], self._numbers[target.port]
        return PipeSpec(ports[0], source.vlan, ports[1], target.vlan, model, seed)

    def _hand_over(self) -> None:
        """Hand newly created TAPs and ring ports to the engine."""
        numbers = self.engine.add_ports([fd for _, fd in self._taps])
        for (place, fd), number in zip(self._taps, numbers, strict=True):
            self._numbers[place] = number
            os.close(fd)
        self._taps.clear()
        if self._new_rings:
            numbers = self.rings.hand_over([ring for _, ring in self._new_rings])
            for (place, _), number in zip(self._new_rings, numbers, strict=True):
                self._numbers[place] = number
            self._new_rings.clear()

    def compensate_delay(self, by_us: Mapping[tuple[str, Direction], float]) -> None:
        """Deliver earlier on one direction of links, by the delay that the machine adds behind it (us), as far as the
        link's delay allows."""
        self.engine.compensate_delay({self.links[name].pipe(direction): us for (name, direction), us in by_us.items()})

    def set_models(self, models: Models) -> int:
        """Give links new models, forward and back, all at the same time; returns that time (CLOCK_REALTIME, ns).

        Delay compensation stays in effect. Raises EngineError, and changes nothing, when the engine refuses one."""
        changes = []
        for name, pair in models.items():
            for direction, model in zip(Direction, pair, strict=True):
                changes.append(PipeChange(self.links[name].pipe(direction), model))
        instant = self.engine.set_pipes(changes)
        self.models.update(models)
        return instant

    def set_down(self, names: Iterable[str], down: bool) -> int:
        """Fail or restore links, all at the same time; returns that time (CLOCK_REALTIME, ns)."""
        return self.engine.set_pipes([PipeChange(pipe, down=down) for pipe in self._pipes(names)])

    def set_blackhole(self, name: str, direction: Direction, blackhole: bool) -> int:
        """Make one direction a black hole (all its frames are lost in transit), or end that; returns the time of the
        change (CLOCK_REALTIME, ns)."""
        return self.engine.set_pipes([PipeChange(self.links[name].pipe(direction), blackhole=blackhole)])

    def set_paused(self, names: Iterable[str], paused: bool) -> int:
        """Pause or resume links, all at the same time; returns that time (CLOCK_REALTIME, ns)."""
        return self.engine.set_pipes([PipeChange(pipe, paused=paused) for pipe in self._pipes(names)])

    def follow_trace(self, name: str, direction: Direction, trace: Trace | None) -> int:
        """Let one direction of a link follow a trace from now on, or its model again (None); returns the time of the
        change (CLOCK_REALTIME, ns). Delay compensation stays in effect."""
        pipe = self.links[name].pipe(direction)
        if trace is not None:
            return self.engine.follow_trace([pipe], trace)
        self.engine.follow_trace([pipe], None)
        model = self.models[name][direction is Direction.BACK]
        return self.engine.set_pipes([PipeChange(pipe, model)])

    def capture(self, name: str, direction: Direction | None, file: Path, snap_bytes: int = SNAP_BYTES) -> Capture:
        """Start to capture the frames that leave a link in one direction, or in both (None), to a pcapng file, up to
        ``snap_bytes`` of each. Raises OSError if the file cannot be created, EngineError if that direction is already
        being captured."""
        link = self.links[name]
        directions = list(Direction) if direction is None else [direction]
        interfaces = [(f"{name} {one.value}", link.pipe(one)) for one in directions]
        return Capture(self.engine, interfaces, file, snap_bytes)

    def _pipes(self, names: Iterable[str]) -> Iterator[int]:
        for name in names:
            yield from (self.links[name].forward, self.links[name].back)
