"""What each direction of a pair of sites sends, for each kind of datagram traffic. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from helsewan.lab.flows._flows import RTCP_BYTES
from helsewan.lab.flows.flowspec import DatagramFormat, RtcpFormat, RtpFormat
from helsewan.lab.flows.schedule import Schedule, schedule_of
from helsewan.scenarios.spec.codecs import CODECS
from helsewan.scenarios.spec.traffic.schema import MessageSpec, VideoSpec, VoiceSpec
from helsewan.scenarios.traffic.schedules.arrivals import Warp, arrival_times
from helsewan.scenarios.traffic.schedules.rtcp import UDP_IP_BYTES, report_schedule
from helsewan.scenarios.traffic.schedules.speech import pause_offset_ns, speech_schedule
from helsewan.scenarios.traffic.schedules.video import CLOCK_HZ, MEDIA_BYTES, video_schedule

RTP_HEADER_BYTES = 12
TABLES = 8  # different schedules of media in an entry, which its flows share
TABLE_NS = 40_000_000_000  # their length at least
MOST_ENTRIES = 1_000_000  # of an entry's schedules of messages: longer runs repeat them
DYNAMIC_TYPE = 96  # payload type of video (RFC 3551, 6)
REPLY_US = 100_000  # from a message's due time to its reply's, longer than any path's round trip


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction of a pair: a burst of datagrams every interval, or what a schedule says; ``delay_us``: by how much
    it begins later than its pair."""

    interval_ns: int
    burst: int
    payload_bytes: int
    schedule: Schedule | None = None
    offset_ns: int = 0
    format: DatagramFormat = None
    delay_us: int = 0

    @property
    def bps(self) -> float:
        """Mean rate of its UDP payload."""
        return self.burst * self.payload_bytes * 8e9 / self.interval_ns


class Streams(Protocol):
    """Makes the streams of an entry's pairs."""

    def pair(self) -> tuple[Stream, Stream]:
        """The streams of the next pair, from client to server and back."""


def streams_of(traffic: VoiceSpec | VideoSpec | MessageSpec, length_us: int, rng: np.random.Generator) -> Streams:
    """The streams of an entry's pairs in a run of ``length_us``."""
    if isinstance(traffic, MessageSpec):
        return _ScheduledMessages(traffic, length_us, rng) if traffic.scheduled else _PacedMessages(traffic, rng)
    if isinstance(traffic, VideoSpec):
        tables = [video_schedule(traffic, TABLE_NS, rng) for _ in range(TABLES)]
        return _Video(traffic, tables, rng)
    codec = CODECS[traffic.codec]
    voice = Stream(
        codec.interval_us * 1000,
        1,
        RTP_HEADER_BYTES + codec.payload_bytes,
        format=RtpFormat(codec.payload_type, codec.clock_hz),
    )
    if traffic.silence_suppression:
        return _Speech(voice, [speech_schedule(voice.interval_ns, TABLE_NS, rng) for _ in range(TABLES)], rng)
    return _Voice(voice, rng)


def report_stream(own: str, peer: str, media: Stream, version: int, length_us: int, rng: np.random.Generator) -> Stream:
    """The RTCP reports of a party that sends the flow ``own`` and hears ``peer``, both like ``media``."""
    session_bps = 2 * (media.bps + UDP_IP_BYTES[version] * 8e9 * media.burst / media.interval_ns)
    schedule = report_schedule(session_bps, version, length_us, rng)
    count = max(len(schedule.table), 1)
    return Stream(length_us * 1000 // count, 1, RTCP_BYTES, schedule, format=RtcpFormat(own, peer))


def _spread(stream: Stream, rng: np.random.Generator) -> Stream:
    """``stream`` with a begin within its interval: senders do not send at the same instant."""
    return replace(stream, delay_us=int(rng.integers(stream.interval_ns // 1000)))


@dataclass(frozen=True)
class _Voice:
    voice: Stream
    rng: np.random.Generator

    def pair(self) -> tuple[Stream, Stream]:
        return _spread(self.voice, self.rng), _spread(self.voice, self.rng)


@dataclass(frozen=True)
class _PacedMessages:
    traffic: MessageSpec
    rng: np.random.Generator

    def pair(self) -> tuple[Stream, Stream]:
        interval_ns = self.traffic.every * 1000
        request, reply = (Stream(interval_ns, 1, size) for size in (self.traffic.request, self.traffic.reply))
        return _spread(request, self.rng), _spread(reply, self.rng)


@dataclass(frozen=True)
class _ScheduledMessages:
    """A schedule of its own for every pair. Where that is too much for the memory, schedules are shorter than the run
    and repeated; a shape is not: it covers the run once."""

    traffic: MessageSpec
    length_us: int
    rng: np.random.Generator

    def pair(self) -> tuple[Stream, Stream]:
        schedule = self._shaped() if self.traffic.shape else self._repeated()
        interval_ns = self.traffic.every * 1000
        request = Stream(interval_ns, 1, self.traffic.request, schedule)
        return request, replace(request, payload_bytes=self.traffic.reply, delay_us=REPLY_US)

    def _shaped(self) -> Schedule:
        assert self.traffic.shape is not None
        warp = Warp(self.traffic.shape, self.length_us)
        times = arrival_times(self.traffic.arrivals, self.traffic.every, warp.length, self.rng)
        return schedule_of((warp.shaped(times) * 1000).astype(np.int64))

    def _repeated(self) -> Schedule:
        most_us = max(MOST_ENTRIES // self.traffic.count, 1) * self.traffic.every
        period_us = min(self.length_us, most_us)
        times = arrival_times(self.traffic.arrivals, self.traffic.every, period_us, self.rng)
        return schedule_of((times * 1000).astype(np.int64), period_ns=period_us * 1000)


@dataclass(frozen=True)
class _Speech:
    voice: Stream
    tables: Sequence[Schedule]
    rng: np.random.Generator

    def pair(self) -> tuple[Stream, Stream]:
        return self._one(), self._one()

    def _one(self) -> Stream:
        schedule = self.tables[int(self.rng.integers(len(self.tables)))]
        interval_ns = schedule.period_ns // len(schedule.table)
        return replace(
            self.voice, interval_ns=interval_ns, schedule=schedule, offset_ns=pause_offset_ns(schedule, self.rng)
        )


@dataclass(frozen=True)
class _Video:
    traffic: VideoSpec
    tables: Sequence[Schedule]
    rng: np.random.Generator

    def pair(self) -> tuple[Stream, Stream]:
        return self._one(), self._one()

    def _one(self) -> Stream:
        schedule = self.tables[int(self.rng.integers(len(self.tables)))]
        interval_ns = schedule.period_ns // len(schedule.table)
        frame_ns = 10**9 // self.traffic.frames_per_second
        offset_ns = int(self.rng.integers(schedule.period_ns // frame_ns)) * frame_ns
        stream = Stream(
            interval_ns,
            1,
            min(round(self.traffic.rate * interval_ns / 8e9), MEDIA_BYTES),
            schedule,
            offset_ns,
            RtpFormat(DYNAMIC_TYPE, CLOCK_HZ),
        )
        return replace(stream, delay_us=int(self.rng.integers(frame_ns // 1000)))
