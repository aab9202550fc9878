"""The model of one direction of a link, which every backend emulates and tests check.

Processing order of a frame: dropped if longer than the MTU; classified and queued (limits, active queue management);
scheduled (strict classes first, then deficit round robin) and sent at the link's rate; then, in transit, lost,
duplicated, corrupted; delivered after the propagation delay with its jitter.

Probabilities are shares of frames, 0 to 1. Times are microseconds, one way.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

# Bytes that a frame occupies on the link beyond those that a TAP or packet socket shows (IEEE 802.3):
LAYER1_OVERHEAD_BYTES = 24  # FCS 4, preamble and start delimiter 8, interframe gap 12: physical line rate
LAYER2_OVERHEAD_BYTES = 4  # FCS only: rate of Ethernet frames
LAYER3_OVERHEAD_BYTES = -14  # without Ethernet header: rate of IP packets
PARETO_SHAPE = 3.0  # of the Pareto jitter, as in netem's pareto table


class Direction(str, Enum):
    """One of a link's two directions."""

    FORWARD = "forward"  # from the first end: router ``a`` of a link, or the site
    BACK = "back"


class Distribution(str, Enum):
    """Distribution of the delay's variation around its mean."""

    UNIFORM = "uniform"
    NORMAL = "normal"
    PARETO = "pareto"  # of shape PARETO_SHAPE: long tail of high delays


@dataclass(frozen=True, slots=True)
class Jitter:
    """Random variation of the propagation delay, of mean 0, sampled independently for each frame.

    ``spread_us``: uniform, half the width; normal and Pareto, the standard deviation. Samples are limited to four
    standard deviations, and the delay is at least 0. Frames do not overtake each other unless ``reorder``: a frame
    waits until the one before it is delivered."""

    spread_us: int
    distribution: Distribution = Distribution.UNIFORM
    reorder: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """Loss model of Gilbert (1960) and Elliott (1963): the link is in a good or a bad state, which may change with
    every frame.

    Each frame is lost with probability ``good`` or ``bad``, by the current state; then the state changes: from good to
    bad with probability ``p``, from bad to good with ``r``. The initial state is good. Independent loss (Bernoulli) is
    the case p = 0."""

    p: float = 0.0
    r: float = 1.0
    good: float = 0.0
    bad: float = 1.0

    @classmethod
    def bernoulli(cls, probability: float) -> Loss:
        """Each frame is lost with ``probability``, independently of the others."""
        return cls(good=probability)

    @classmethod
    def correlated(cls, probability: float, correlation: float) -> Loss:
        """Loss of mean ``probability``; the losses of consecutive frames have ``correlation`` (0 to below 1)."""
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
    then with a probability that rises to ``most`` at ``max_bytes``; from there on all frames are dropped."""

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
    """Controlled delay (RFC 8289): drops at the head once all frames of an ``interval_us`` waited longer than
    ``target_us``."""

    target_us: int = 5_000
    interval_us: int = 100_000


@dataclass(frozen=True, slots=True)
class ClassQueue:
    """The queue of one class. ``strict`` queues are served before all others, lower number first; the others share the
    remaining rate by ``weight`` (deficit round robin, Shreedhar and Varghese, SIGCOMM 1995).

    ``limit_bytes``: maximum bytes waiting (a frame that arrives at an idle link does not wait). ``limit_us``: the same
    as time at the link's current rate, overhead included. Where both are given, both apply."""

    limit_bytes: int | None = None
    limit_us: int | None = None
    strict: bool = True
    weight: int = 1
    aqm: Red | CoDel | None = None


@dataclass(frozen=True, slots=True)
class PipeModel:
    """One direction of a link.

    A frame of n bytes takes (n + ``overhead_bytes``) * 8 / ``rate_bps`` seconds to send and arrives ``delay_us`` after
    its last bit was sent. ``queues``: by class number, up to eight. ``buffer_bytes``: maximum bytes waiting in all
    queues together. ``mtu_bytes``: the longest payload of an Ethernet frame, VLAN tags not counted. A duplicate follows
    its original without using transmission time; a corrupted frame has one bit flipped."""

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
