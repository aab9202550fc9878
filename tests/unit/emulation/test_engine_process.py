"""The link engine's process over sockets: real time, counters in shared memory, and how it ends.

Times are only held to "never early": how late a busy machine is proves nothing about the code.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import waiting
from engine_bench import ipv4
from idle_engine import needless_turns

from helsewan.emulation.links.counters import quantile_us
from helsewan.emulation.links.engine import EngineError, EngineProcess, PipeChange, PipeSpec
from helsewan.emulation.links.engine_protocol import receive_message, send_message
from helsewan.emulation.links.pipe_model import ClassQueue, Loss, PipeModel
from helsewan.emulation.links.trace import Trace, TracePoint

PATIENCE_S = 10.0
MS = 1_000_000


class Cable:
    """A socket pair: ``end`` is where a test sends and receives, ``port`` what the engine gets."""

    def __init__(self) -> None:
        self.end, self.port = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.end.settimeout(PATIENCE_S)

    def close(self) -> None:
        """Let go of both."""
        self.end.close()
        self.port.close()


@pytest.fixture
def engine() -> Iterator[EngineProcess]:
    """A running engine."""
    with EngineProcess(max_ports=1024, max_pipes=1024) as running:
        yield running


@pytest.fixture
def cables(engine: EngineProcess) -> Iterator[list[Cable]]:
    """Four cables, the engine's ports 0 to 3."""
    result = [Cable() for _ in range(4)]
    assert engine.add_ports([cable.port.fileno() for cable in result]) == [0, 1, 2, 3]
    yield result
    for cable in result:
        cable.close()


def model(rate_bps: int = 100_000_000, delay_us: int = 0, loss: Loss | None = None) -> PipeModel:
    """A plain line with one large queue."""
    return PipeModel(rate_bps, delay_us, (ClassQueue(limit_bytes=1 << 24),), loss=loss)


def spec(src: int = 0, dst: int = 1, rate_bps: int = 100_000_000, delay_us: int = 0) -> PipeSpec:
    """A plain pipe."""
    return PipeSpec(src, 0, dst, 0, model(rate_bps, delay_us))


soon = partial(waiting.wait_for, deadline_s=PATIENCE_S, pause_s=0.001)


def wait_for(engine: EngineProcess, counter: str, value: int, pipe: int = 0) -> None:
    """Wait until the pipe's counter has the value."""
    soon(lambda: int(engine.counters()[pipe][counter].sum()) == value, f"{counter} to be {value}")


def test_frames_come_in_order_whole_and_never_early(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(rate_bps=20_000_000, delay_us=3000)])
    frames = [ipv4(1226, mark=mark) for mark in range(30)]
    start = time.monotonic_ns()
    for frame in frames:
        cables[0].end.send(frame)
    for number, frame in enumerate(frames, start=1):
        assert cables[1].end.recv(2000) == frame
        # (1226 + 24) bytes at 20 Mbit/s take 0.5 ms each, one after the other
        assert time.monotonic_ns() - start >= number * MS // 2 + 3 * MS


def test_bursts_longer_than_a_reading_budget_are_all_read(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(0, 1), spec(1, 0), spec(2, 3), spec(3, 2)])
    os.kill(engine.pid, signal.SIGSTOP)
    for cable in cables:
        for mark in range(60):
            cable.end.send(ipv4(60, mark=mark))
    os.kill(engine.pid, signal.SIGCONT)
    for cable in cables:
        assert [cable.end.recv(100) for _ in range(60)] == [ipv4(60, mark=mark) for mark in range(60)]
    assert engine.counters()["frames_out"].tolist() == [60] * 4
    assert engine.port_counters()["frames_in"].tolist() == [60] * 4


def test_changes_hold_from_the_moment_told(engine: EngineProcess, cables: list[Cable]) -> None:
    pipes = engine.add_pipes([spec(0, 1), spec(2, 3)])
    before = time.time_ns()
    at_ns = engine.set_pipes([PipeChange(pipe, down=True) for pipe in pipes])
    assert before <= at_ns <= time.time_ns()
    for cable in (cables[0], cables[2]):
        cable.end.send(ipv4(60))
    for pipe in pipes:
        wait_for(engine, "drop_down", 1, pipe)
    engine.set_pipes([PipeChange(pipe, model(1_000_000, delay_us=2000), down=False) for pipe in pipes])
    start = time.monotonic_ns()
    cables[0].end.send(ipv4(101))
    assert cables[1].end.recv(200) == ipv4(101)
    assert time.monotonic_ns() - start >= 1 * MS + 2 * MS  # 125 bytes at 1 Mbit/s
    engine.set_pipes([PipeChange(pipes[0], model(loss=Loss.bernoulli(1.0)))])
    cables[0].end.send(ipv4(60))
    wait_for(engine, "drop_loss", 1)


def test_frames_in_flight_are_lost_when_the_line_is_cut(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(delay_us=3_000_000_000)])
    for _ in range(5):
        cables[0].end.send(ipv4(60))
    wait_for(engine, "frames_in", 5)
    engine.set_pipes([PipeChange(0, down=True)])
    assert engine.counters()[0]["drop_down"] == 5
    assert engine.counters()[0]["flight_frames"] == 0


def test_classes_are_told_apart(engine: EngineProcess, cables: list[Cable]) -> None:
    dscp = [1] * 64
    dscp[46] = 0
    engine.configure(dscp, [1] * 8, other_queue=1)
    queues = (ClassQueue(limit_bytes=1 << 20), ClassQueue(limit_bytes=1 << 20, strict=False))
    engine.add_pipes([PipeSpec(0, 0, 1, 0, PipeModel(1_000_000, 0, queues))])
    for mark in range(3):
        cables[0].end.send(ipv4(1226, mark=mark))  # 10 ms each
    wait_for(engine, "frames_in", 3)
    cables[0].end.send(ipv4(60, dscp=46))
    wait_for(engine, "frames_in", 4)
    assert engine.counters()[0]["queued_frames"] > 1, "the machine was too slow to see the queue"
    received = [cables[1].end.recv(2000) for _ in range(4)]
    assert received.index(ipv4(60, dscp=46)) < 3


def test_a_trace_is_followed_and_left(engine: EngineProcess, cables: list[Cable]) -> None:
    (pipe,) = engine.add_pipes([spec()])
    before = time.time_ns()
    at_ns = engine.follow_trace([pipe], Trace((TracePoint(0, loss=1.0), TracePoint(10**9, loss=0.0)), 10**9 + 1))
    assert before <= at_ns <= time.time_ns()
    for _ in range(3):
        cables[0].end.send(ipv4(60))
    wait_for(engine, "drop_loss", 3)
    engine.follow_trace([pipe], None)
    engine.set_pipes([PipeChange(pipe, model())])
    cables[0].end.send(ipv4(60))
    assert cables[1].end.recv(100) == ipv4(60)
    with pytest.raises(EngineError, match="there is no pipe 9"):
        engine.follow_trace([9], Trace((TracePoint(0, loss=1.0),)))


def test_deliveries_of_a_class_have_their_lateness(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(delay_us=1000)])
    for _ in range(5):
        cables[0].end.send(ipv4(60))
        cables[1].end.recv(100)
    wait_for(engine, "frames_out", 5)
    (record,) = engine.of_classes(0).values()
    assert record["lateness"].sum() == record["queue_delay"].sum() == 5
    assert record == engine.class_counters()[0]
    assert 0 < quantile_us(record["lateness"], 0.5) <= engine.lateness().max_us * 1.25 + 1.024
    engine.restart_lateness()
    assert record["lateness"].sum() == 0 and record["queue_delay"].sum() == 5


def test_a_request_that_fails_is_answered_and_changes_nothing(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec()])
    with pytest.raises(EngineError, match="there is no pipe 9"):
        engine.set_pipes([PipeChange(0, down=True), PipeChange(9, down=True)])
    with pytest.raises(EngineError, match="rate_bps 0"):
        engine.set_pipes([PipeChange(0, down=True), PipeChange(0, model(rate_bps=0))])
    with pytest.raises(EngineError, match="no such port"):
        engine.add_pipes([spec(7, 8)])
    with pytest.raises(EngineError, match="before pipes are added"):
        engine.configure([0] * 64, [0] * 8, 0)
    with pytest.raises(EngineError, match="PermissionError"), open(os.devnull) as not_pollable:
        engine.add_ports([not_pollable.fileno()])
    cables[0].end.send(ipv4(60))
    assert cables[1].end.recv(100) == ipv4(60)


def test_bad_arguments_do_not_reach_the_engine(engine: EngineProcess) -> None:
    queues = (ClassQueue(strict=False, weight=0),)
    with pytest.raises(ValueError, match="at least 1"):
        engine.set_pipes([PipeChange(0, PipeModel(1, 0, queues))])


def test_hundreds_of_ports_and_pipes_are_set_up_at_once(engine: EngineProcess) -> None:
    pairs = [Cable() for _ in range(500)]
    ports = engine.add_ports([cable.port.fileno() for cable in pairs])
    assert ports == list(range(500))
    assert engine.add_pipes([spec(port, port ^ 1) for port in ports]) == list(range(500))
    assert len(engine.counters()) == len(engine.port_counters()) == 500
    for cable in pairs:
        cable.port.close()  # the engine has its own
    pairs[498].end.send(ipv4(60))
    assert pairs[499].end.recv(100) == ipv4(60)
    for cable in pairs:
        cable.close()


def test_a_nations_lines_are_one_request_and_touch_little_memory() -> None:
    """25,000 pipes between four trunks; counters are touched where frames came, not spread over their half gigabyte."""
    with EngineProcess() as engine:
        trunks = [Cable() for _ in range(14)]
        ports = engine.add_ports([cable.port.fileno() for cable in trunks])
        ends = [(port, vlan) for port in ports[::2] for vlan in range(1, 1787)]
        lines = [PipeSpec(port + one, vlan, port + 1 - one, vlan, model()) for port, vlan in ends for one in (0, 1)]
        assert engine.add_pipes(lines) == list(range(25_004))
        tag = b"\x81\x00" + (1786).to_bytes(2, "big")
        trunks[13].end.send(ipv4(60)[:12] + tag + ipv4(60)[12:])
        assert trunks[12].end.recv(100) == ipv4(60)[:12] + tag + ipv4(60)[12:]
        status = Path(f"/proc/{engine.pid}/status").read_text().splitlines()
        shared_kib = next(int(line.split()[1]) for line in status if line.startswith("RssShmem"))
        assert shared_kib < 256
        for cable in trunks:
            cable.close()


def test_a_peer_that_is_gone_is_counted_and_left_alone(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(0, 1)])
    cables[1].close()
    soon(lambda: engine.port_counters()[1]["retired"], "the port to be retired")
    cables[0].end.send(ipv4(60))
    wait_for(engine, "drop_dst_down", 1)
    assert needless_turns(engine) < 10, "the loop does not rest"


def test_what_the_kernel_refuses_is_counted_as_the_machines_loss(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(rate_bps=10_000_000_000)])
    for _ in range(2000):  # nobody receives
        cables[0].end.send(ipv4(1500))
    wait_for(engine, "frames_in", 2000)
    soon(lambda: engine.counters()[0]["frames_out"] + engine.counters()[0]["drop_machine"] >= 2000, "all frames' fate")
    assert engine.counters()[0]["drop_machine"] > 0


def test_every_delivery_has_a_lateness(engine: EngineProcess, cables: list[Cable]) -> None:
    engine.add_pipes([spec(delay_us=1000)])
    started = time.time_ns()
    for _ in range(20):
        cables[0].end.send(ipv4(60))
        cables[1].end.recv(100)
    wait_for(engine, "frames_out", 20)
    lateness = engine.lateness()
    assert lateness.deliveries == sum(lateness.histogram) == 20
    assert 0 < lateness.p50_us <= lateness.p99_us <= lateness.max_us * 1.25
    assert lateness.share_above(0) == 1.0
    assert lateness.share_above(lateness.max_us) == 0.0
    assert lateness.max_us == engine.counters()[0]["lateness_max_ns"] / 1000
    assert started <= lateness.max_at_ns <= time.time_ns()
    engine.restart_lateness()
    assert engine.lateness().deliveries == engine.lateness().max_us == engine.counters()[0]["lateness_max_ns"] == 0


def test_the_process_ends_with_its_client_and_counters_stay() -> None:
    engine = EngineProcess(max_ports=4, max_pipes=4)
    engine.start()
    assert engine.scheduling in {"rr", "nice", "none"}
    pidfd = os.pidfd_open(engine.pid)
    engine.close()
    assert select.select([pidfd], [], [], PATIENCE_S)[0]
    os.close(pidfd)
    assert len(engine.counters()) == 0
    engine.close()
    with pytest.raises(EngineError, match="not running"):
        engine.set_pipes([])


def test_a_process_that_died_is_reported(engine: EngineProcess) -> None:
    os.kill(engine.pid, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"has ended|not running"):
        engine.set_pipes([])


def test_the_process_dies_with_a_killed_parent() -> None:
    script = (
        "from helsewan.emulation.links.engine import EngineProcess\n"
        "e = EngineProcess(4, 4); e.start(); print(e.pid); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as parent:
        assert parent.stdout is not None
        pidfd = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([pidfd], [], [], PATIENCE_S)[0]
    os.close(pidfd)


def test_a_late_reply_is_not_taken_for_the_next_one() -> None:
    """A stopped engine does not answer in time; once it runs again, every request gets its own reply."""
    with EngineProcess() as engine:
        os.kill(engine.pid, signal.SIGSTOP)
        engine._control.settimeout(0.05)
        for _ in range(2):
            with pytest.raises(EngineError, match="did not answer"):
                engine.restart_lateness()
        os.kill(engine.pid, signal.SIGCONT)
        engine._control.settimeout(60)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            assert engine.add_ports([theirs.fileno()]) == [0]
        assert engine.set_pipes([]) > 0


@pytest.mark.parametrize("asks", [False, True], ids=["while it starts", "before its answer"])
def test_a_client_that_has_gone_ends_it_without_a_word(asks: bool) -> None:
    """As an interrupt does that comes early."""
    ours, theirs = socket.socketpair()
    counters = os.memfd_create("counters")
    os.ftruncate(counters, 1 << 20)
    command = [sys.executable, "-m", "helsewan.emulation.links.engine_process"]
    numbers = [theirs.fileno(), counters, 2, 2, 1 << 20, 0]
    with subprocess.Popen(
        [*command, *map(str, numbers)], pass_fds=[theirs.fileno(), counters], stderr=subprocess.PIPE
    ) as process:
        theirs.close()
        os.close(counters)
        if asks:
            assert receive_message(ours) is not None
            send_message(ours, {"op": "no such"})
        ours.close()
        assert process.communicate(timeout=PATIENCE_S)[1] == b""
        assert process.returncode == 0
