"""What a listener hears of voice flows behind a fixed playout buffer: R and MOS of each in a phase. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from helsewan.lab.flows.flowspec import FlowSpec
from helsewan.lab.flows.records import Array
from helsewan.scenarios.results.datagrams.arrivals import Arrivals
from helsewan.scenarios.results.datagrams.losses import loss_periods
from helsewan.scenarios.results.datagrams.segments import summed
from helsewan.scenarios.results.voice_quality import burst_ratio, mos, mouth_to_ear_ms, rating
from helsewan.scenarios.spec.codecs import CODECS

JITTER_BUFFER_US = 40_000  # playout waits this long after the fastest datagram; later ones count as lost


def voice_quality(
    flows: Sequence[FlowSpec],
    came: Arrivals,
    spans: tuple[Array, Array],
    keys: tuple[Array, Array],
    least_us: Array,
) -> dict[str, Array]:
    """R and MOS of each flow; NaN for other than voice and where nothing was due, the lowest where nothing arrived.
    ``spans``: what of ``came.key`` is of the phase; ``keys``: its first and the first no longer due in it;
    ``least_us``: each flow's least delay in it."""
    figures = {name: np.full(len(flows), np.nan) for name in ("r_factor", "mos")}
    begin_key, end_key = keys
    spoken = [number for number, flow in enumerate(flows) if flow.codec and end_key[number] > begin_key[number]]
    if not spoken:
        return figures
    low, high = spans
    with np.errstate(invalid="ignore"):
        latest_ns = np.nan_to_num(least_us * 1000 + JITTER_BUFFER_US * 1000).astype(np.int64)
    in_time = came.delay_ns <= latest_ns[came.key >> 32]
    running = np.concatenate(([0], np.cumsum(in_time)))
    heard = summed(in_time, low, high)
    periods, _ = loss_periods(came.key[in_time], running[low], running[high], begin_key, end_key)
    sent = end_key - begin_key
    for number in spoken:
        if high[number] == low[number]:
            r = 0.0
        else:
            codec = CODECS[flows[number].codec]
            lost = int(sent[number] - heard[number])
            bursts = burst_ratio(int(sent[number]), lost, int(periods[number]))
            delay_ms = mouth_to_ear_ms(float(least_us[number]), JITTER_BUFFER_US, codec)
            r = rating(delay_ms, lost / int(sent[number]), codec, burst_ratio=bursts)
        figures["r_factor"][number], figures["mos"][number] = r, mos(r)
    return figures
