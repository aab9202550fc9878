"""What one direction of a line does to frames: the model that every backend emulates, and that tests hold them to.

A frame goes through it in this order: dropped if longer than the MTU; classified and queued (limits, active queue
management); chosen (strict classes first, then deficit round robin) and sent at the line's rate; then, on the way,
lost, duplicated, corrupted; delivered after the propagation delay with its jitter.

Probabilities are shares of frames, 0 to 1. Times are microseconds, one way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# What a frame occupies on the line beyond the bytes that a TAP or packet socket shows (IEEE 802.3):
LAYER1_OVERHEAD_BYTES = 24  # FCS 4, preamble and start delimiter 8, interframe gap 12: rate is the line's
LAYER2_OVERHEAD_BYTES = 4  # FCS alone: rate is that of Ethernet frames
LAYER3_OVERHEAD_BYTES = -14  # without Ethernet's header: rate is that of IP packets
PARETO_SHAPE = 3.0  # of the Pareto jitter, as in netem's pareto table


class Distribution(str, Enum):
    """Of a delay's variation around its mean."""

    UNIFORM = "uniform"
    NORMAL = "normal"
    PARETO = "pareto"  # of shape PARETO_SHAPE: rarely much later, never much earlier


@dataclass(frozen=True, slots=True)
class Jitter:
    """Random variation of the propagation delay, of mean 0, drawn for each frame by itself.

    ``spread_us``: uniform, half the width; normal and Pareto, the standard deviation. Draws end at four standard
    deviations, and the delay never falls below 0. A frame does not overtake another unless ``reorder``: it waits
    until the one before it is delivered."""

    spread_us: int
    distribution: Distribution = Distribution.UNIFORM
    reorder: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss as of Gilbert (1960) and Elliott (1963): a line is good or bad, and may change with every frame.

    For each frame, it is lost with probability ``good`` or ``bad`` by the state it finds; then the state turns: from
    good to bad with probability ``p``, from bad to good with ``r``. The first frame finds the line good.
    Loss independent of the past (Bernoulli) is the case p = 0."""

    p: float = 0.0
    r: float = 1.0
    good: float = 0.0
    bad: float = 1.0

    @classmethod
    def bernoulli(cls, probability: float) -> Loss:
        """Each frame is lost with ``probability``, whatever became of the others."""
        return cls(good=probability)

    @classmethod
    def correlated(cls, probability: float, correlation: float) -> Loss:
        """Loss of mean ``probability`` where neighbouring frames' fates have ``correlation`` (0 to below 1)."""
        return cls(p=probability * (1 - correlation), r=(1 - probability) * (1 - correlation))

    @property
    def mean(self) -> float:
        """The share of frames lost in the long run."""
        if self.p == 0:
            return self.good
        return (self.r * self.good + self.p * self.bad) / (self.p + self.r)


@dataclass(frozen=True, slots=True)
class RedCurve:
    """Random early detection (Floyd and Jacobson, 1993): no drops while the average queue is below ``min_bytes``,
    then with a probability that rises to ``most`` at ``max_bytes``, and all from there on."""

    min_bytes: int
    max_bytes: int
    most: float = 0.1


@dataclass(frozen=True, slots=True)
class Red:
    """RED with one curve, or WRED with three: by drop precedence 1, 2, 3 of an assured-forwarding code point
    (RFC 2597; others count as 1). The average moves by 2**-``weight_shift`` with each arrival."""

    curves: tuple[RedCurve, ...]
    weight_shift: int = 9


@dataclass(frozen=True, slots=True)
class CoDel:
    """Controlled delay (RFC 8289): drops at the head while frames waited longer than ``target_us`` for
    ``interval_us`` on end."""

    target_us: int = 5_000
    interval_us: int = 100_000


@dataclass(frozen=True, slots=True)
class ClassQueue:
    """The queue of one class. ``strict`` queues go before all others, lower number first; the others share what is
    left by ``weight`` (deficit round robin, Shreedhar and Varghese, SIGCOMM 1995).

    ``limit_bytes``: how much may wait (a frame that finds the line free does not wait). ``limit_us``: the same as
    time at the line's present rate, overhead counted. Where both are given, both hold."""

    limit_bytes: int | None = None
    limit_us: int | None = None
    strict: bool = True
    weight: int = 1
    aqm: Red | CoDel | None = None


@dataclass(frozen=True, slots=True)
class PipeModel:
    """One direction of a line.

    A frame of n bytes takes (n + ``overhead_bytes``) * 8 / ``rate_bps`` seconds to send and arrives ``delay_us`` after
    its last bit was sent. ``queues``: by class number, up to eight. ``buffer_bytes``: how much may wait in all of
    them together. ``mtu_bytes``: the longest payload of an Ethernet frame, VLAN tags not counted. A duplicate follows
    its original without time on the line of its own; a corrupted frame has one bit flipped."""

    rate_bps: int
    delay_us: int
    queues: tuple[ClassQueue, ...] = (ClassQueue(),)
    overhead_bytes: int = LAYER1_OVERHEAD_BYTES
    buffer_bytes: int | None = None
    mtu_bytes: int | None = None
    jitter: Jitter | None = None
    loss: Loss | None = None
    duplicate: float = 0.0
    corrupt: float = 0.0
