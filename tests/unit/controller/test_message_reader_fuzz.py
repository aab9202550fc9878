"""Bytes from outside, any of them: messages to the link engine's process and trace files are read or refused, and
nothing else ever happens."""

from __future__ import annotations

import json
import socket
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from helsewan.common.errors import InputError
from helsewan.emulation._linkengine import Engine
from helsewan.emulation.links.counters import counters_bytes
from helsewan.emulation.links.engine_process import EngineServer
from helsewan.emulation.links.engine_protocol import receive_message, send_message
from helsewan.emulation.links.trace import parse_trace

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=10) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=25,
)
OPERATIONS = st.sampled_from(
    [
        "configure",
        "add_ports",
        "add_pipes",
        "set_pipes",
        "follow_trace",
        "compensate_delay",
        "restart_lateness",
        "no such",
    ]
)
ARGUMENTS = st.sampled_from(["queues", "pipes", "changes", "dscp", "tc", "other", "says", "repeat_ns"])
CELLS = st.sampled_from(
    ["time_ms", "rate_bps", "delay_us", "loss", "0", "1", "1.5", "-1", "1e400", "nan", "²", "", "#"]
)


def server() -> EngineServer:
    """The engine's side of the conversation."""
    return EngineServer(Engine(np.zeros(counters_bytes(2, 2) // 8, np.uint64), 2, 2, 1 << 16))


@given(OPERATIONS, st.dictionaries(ARGUMENTS, JSON, max_size=4))
def test_a_message_of_any_content_is_answered(operation: str, arguments: dict[str, Any]) -> None:
    reply = server().answer({"op": operation, **arguments}, [])
    assert isinstance(json.loads(json.dumps(reply)), dict)


@given(st.lists(st.lists(JSON, max_size=10), max_size=3), st.lists(st.lists(JSON, max_size=10), max_size=3))
def test_rows_of_any_content_are_answered(queues: list[Any], pipes: list[Any]) -> None:
    ready = server()
    for operation, rows in (("add_pipes", "pipes"), ("set_pipes", "changes")):
        reply = ready.answer({"op": operation, "queues": queues, rows: pipes}, [])
        assert "error" in reply or not pipes


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_a_message_arrives_as_it_was_sent(message: dict[str, Any]) -> None:
    near, far = socket.socketpair()
    with near, far:
        send_message(near, message)
        assert receive_message(far) == (message, [])


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1, max_size=4), st.data())
def test_a_message_that_is_cut_short_is_the_end(message: dict[str, Any], data: st.DataObject) -> None:
    near, far = socket.socketpair()
    with far:
        with near:
            send_message(near, message)
            sent = far.recv(1 << 20)
        start, end = socket.socketpair()
        with end:
            with start:
                start.sendall(sent[: data.draw(st.integers(0, len(sent) - 1))])
            assert receive_message(end) is None


@given(st.binary(max_size=200))
def test_a_trace_file_of_any_bytes_is_read_or_refused(raw: bytes) -> None:
    read_or_refused(raw)


@given(st.lists(st.lists(CELLS, max_size=5).map(",".join), max_size=6).map("\n".join))
def test_a_trace_file_of_any_cells_is_read_or_refused(text: str) -> None:
    read_or_refused(text.encode())


def read_or_refused(raw: bytes) -> None:
    """A trace that can be packed, or problems that name the file."""
    try:
        trace = parse_trace(raw, "line.csv")
    except InputError as error:
        assert all("line.csv" in str(problem) for problem in error.problems)
    else:
        assert len(trace.packed()) == 32 * len(trace.points)
