"""Frames longer than a pipe's MTU: which of them the engine reports, with what, and that it never waits."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
from engine_bench import ipv4
from waiting import wait_for

from helsewan.emulation.links.engine import TOO_LONG_HEAD, EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.pipe_model import PipeModel

PATIENCE_S = 30.0
MTU = 1000
MODEL = PipeModel(1_000_000_000, 0, mtu_bytes=MTU)
ETHERNET = 14
LONG, SHORT = ipv4(ETHERNET + MTU + 1), ipv4(ETHERNET + MTU)


class Bench(NamedTuple):
    """A link between ``source`` and ``target``, whose pipe 1 leads to ``target``; reports come to ``reports``."""

    source: socket.socket
    target: socket.socket
    reports: socket.socket
    engine: EngineProcess


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A running engine."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    for one in ours:
        one.settimeout(PATIENCE_S)
    with EngineProcess(max_ports=2, max_pipes=2) as engine:
        engine.report_too_long(theirs[2].fileno())
        engine.add_ports([one.fileno() for one in theirs[:2]])
        engine.add_pipes([PipeSpec(1, 0, 0, 0, replace(MODEL, mtu_bytes=None)), PipeSpec(0, 0, 1, 0, MODEL)])
        yield Bench(ours[0], ours[1], ours[2], engine)
    for one in (*ours, *theirs):
        one.close()


def test_a_frame_too_long_is_reported_with_its_pipe_and_mtu(bench: Bench) -> None:
    source, target, reports, _ = bench
    source.send(LONG)
    assert reports.recv(1 << 16) == TOO_LONG_HEAD.pack(1, MTU) + LONG
    source.send(SHORT)
    assert target.recv(1 << 16) == SHORT


def test_a_frame_that_fits_or_has_no_limit_is_not_reported(bench: Bench) -> None:
    source, target, reports, engine = bench
    target.send(LONG)
    assert source.recv(1 << 16) == LONG
    engine.set_pipes([PipeChange(0, replace(MODEL, mtu_bytes=500))])
    target.send(SHORT)
    assert TOO_LONG_HEAD.unpack_from(reports.recv(1 << 16)) == (0, 500)


def test_frames_that_nobody_reads_are_only_dropped(bench: Bench) -> None:
    """More than the socket has room for, and more than are reported in a millisecond."""
    source, target, reports, engine = bench
    for _ in range(2_000):
        source.send(LONG)
    source.send(SHORT)
    assert target.recv(1 << 16) == SHORT
    counters = engine.counters()
    wait_for(lambda: counters["drop_mtu"][1] == 2_000, "the frames to be counted")
    reports.setblocking(False)
    told = 0
    with pytest.raises(BlockingIOError):
        while reports.recv(1 << 16):
            told += 1
    assert 1 <= told < 2_000
