"""H.264-like video: frames of three types with sizes of their own, each some RTP datagrams. Pure."""

from __future__ import annotations

import numpy as np

from helsewan.lab.flows._flows import RTP_BYTES
from helsewan.lab.flows.records import Array
from helsewan.lab.flows.schedule import Schedule, schedule_of
from helsewan.scenarios.spec.traffic.media import Sending
from helsewan.scenarios.spec.traffic.schema import VideoSpec

MEDIA_BYTES = 1200  # a datagram's greatest payload, which fits any path's MTU
CLOCK_HZ = 90_000  # of video's RTP time stamps (RFC 3551, 5)


def video_schedule(spec: VideoSpec, least_ns: int, rng: np.random.Generator) -> Schedule:
    """A repeating schedule of at least ``least_ns`` and of whole groups of pictures, whose UDP payload takes exactly
    ``spec.rate`` but for rounding to bytes. A frame's datagrams share its time stamp, the last of them is marked
    (RFC 6184, 5.1); frames are sent in the order in which a decoder needs them."""
    frame_ns = 10**9 // spec.frames_per_second
    groups = -(-least_ns // (frame_ns * len(spec.frames.gop)))
    shown = np.array(list(spec.frames.gop * groups))
    order, places = coded_order(shown)
    sizes = _frame_bytes(spec, shown[order], frame_ns, rng)
    counts = -(-sizes // MEDIA_BYTES)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    slots, share = np.repeat(np.arange(len(order)), counts), np.repeat(counts, counts)
    spread_ns = within * frame_ns // share if spec.sending is Sending.PACED else np.zeros(len(within), np.int64)
    each = np.repeat(sizes // counts, counts) + (within < np.repeat(sizes % counts, counts))
    latest = int((places - np.arange(len(order))).max())  # of the frames: sent before it would be shown
    age_ns = (slots - np.repeat(places, counts) + latest) * frame_ns + spread_ns
    return schedule_of(
        slots * frame_ns + spread_ns,
        bytes_=each,
        marker=within == share - 1,
        age_ns=age_ns,
        period_ns=len(order) * frame_ns,
    )


def coded_order(shown: Array) -> tuple[Array, Array]:
    """Frames in the order in which they are coded and sent: each I or P frame before the B frames shown before it.
    Their numbers, and their places in the order shown; B frames at the end of a repeating sequence follow the first I
    frame of its next round, so that their places there are below 0."""
    anchors = np.flatnonzero(shown != "B")
    before = np.concatenate([[anchors[-1] - len(shown)], anchors[:-1]])
    places = np.concatenate(
        [np.concatenate([[anchor], np.arange(last + 1, anchor)]) for last, anchor in zip(before, anchors, strict=True)]
    )
    return places % len(shown), places


def _frame_bytes(spec: VideoSpec, kinds: Array, frame_ns: int, rng: np.random.Generator) -> Array:
    """UDP payload of each frame, headers included: lognormal about its type's mean, scaled to the rate."""
    frames = spec.frames
    weights = np.select([kinds == "I", kinds == "B"], [frames.i, frames.b], 1.0)
    sigma = np.sqrt(np.log1p(frames.variation**2))
    weights = weights * rng.lognormal(-(sigma**2) / 2, sigma, len(kinds))
    total = spec.rate * frame_ns * len(kinds) / 8e9
    return np.asarray(np.maximum(np.rint(weights * total / weights.sum()).astype(np.int64), RTP_BYTES))
