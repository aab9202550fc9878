"""What a case asks of a backend, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from decisions import Dice, Told
from reference import Cause, Change, Frame, Reference

from helsewan.emulation.links.pipe_model import PipeModel


class Feature(Enum):
    """What a backend may lack, each for a reason that it states."""

    TAGS = "VLAN tags of a frame's own"
    BUFFER = "a buffer shared by the queues"
    WRED = "a RED curve for each drop precedence"
    FREEZE = "standing still"
    TRACE = "following a trace"
    JITTER_ORDER = "jitter that keeps the order"
    RATE_10G = "10 Gbit/s"


@dataclass(frozen=True)
class Experiment:
    """Frames offered to a line while it changes. ``seed``: of the backend's own chance, where it can be seeded.
    ``until_ns``: when to look; None: once everything has happened."""

    model: PipeModel
    frames: tuple[Frame, ...]
    changes: tuple[Change, ...] = ()
    seed: int = 1
    until_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A frame that came out: when, which, and how many of its bits were wrong."""

    time_ns: int
    number: int
    wrong_bits: int = 0


@dataclass(frozen=True)
class Observation:
    """``sent_ns`` and ``changed_ns``: when each frame was really offered, and each change made. ``received``: as they
    came. ``drops``: what the backend counted, by cause, and how many frames are still ``inside``; None where it counts
    otherwise."""

    sent_ns: tuple[int, ...]
    changed_ns: tuple[int, ...]
    received: tuple[Received, ...]
    drops: Mapping[Cause, int] | None = None
    inside: int = 0


@dataclass(frozen=True)
class Precision:
    """How far a backend may be from the model for its clock's sake. All 0: every frame at its nanosecond.

    ``offset_us``: what the way through the machine adds to every delay, measured; the rest is judged without it."""

    offset_us: float = 0.0
    median_us: float = 0.0
    p99_us: float = 0.0

    @property
    def exact(self) -> bool:
        return self.p99_us == 0


def expected(experiment: Experiment, seen: Observation, told: Told | None = None) -> Reference:
    """What the reference makes of the frames as they were really offered, where nothing is left to chance or all of
    it is told."""
    line = Reference(experiment.model, told or Dice(0))
    frames = [replace(frame, time_ns=ns) for ns, frame in zip(seen.sent_ns, experiment.frames, strict=True)]
    changes = [replace(change, time_ns=ns) for ns, change in zip(seen.changed_ns, experiment.changes, strict=True)]
    line.run(frames, changes, experiment.until_ns)
    return line
