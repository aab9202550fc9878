"""What a connection may send and how fast, and who may come in: rules without sockets or clocks."""

from __future__ import annotations

import random
import struct

import pytest

from helsewan.controller.control.connection_limiter import MAX_CONNECTIONS, MAX_REASONS, ConnectionLimiter
from helsewan.controller.openflow.message_reader import (
    BURST_TOKENS,
    HANDSHAKE_BYTES,
    TIMEOUT_S,
    TOKENS_PER_S,
    MessageReader,
    MessageRefused,
)

HELLO = struct.pack("!BBHI", 4, 0, 8, 1)


def message(size: int = 8, version: int = 4, kind: int = 21) -> bytes:
    return struct.pack("!BBHI", version, kind, size, 1) + bytes(size - 8)


def greeted() -> MessageReader:
    """A connection through its handshake at 0 s."""
    inflow = MessageReader(0.0)
    assert inflow.take(HELLO, 0.0) == HELLO
    inflow.established = True
    return inflow


@pytest.mark.parametrize("seed", range(5))
def test_whole_messages_come_out_however_they_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    sent = HELLO + b"".join(message(chance.randint(8, 300)) for _ in range(100))
    inflow, came, at = MessageReader(0.0), b"", 0
    while at < len(sent):
        size = chance.randint(1, 400)
        whole = inflow.take(sent[at : at + size], 0.0)
        came, at = came + whole, at + size
        assert sent.startswith(came)
    assert came == sent


@pytest.mark.parametrize("size", range(8))
def test_length_shorter_than_a_header_is_refused(size: int) -> None:
    with pytest.raises(MessageRefused, match=f"length {size}"):
        greeted().take(struct.pack("!BBHI", 4, 2, size, 1), 0.0)


@pytest.mark.parametrize("version", [0, 1, 3, 5, 6, 255])
def test_another_version_is_refused_after_hello_alone(version: int) -> None:
    MessageReader(0.0).take(message(version=version, kind=0), 0.0)  # hello says what the other end would speak
    with pytest.raises(MessageRefused, match=f"version {version}"):
        greeted().take(message(version=version), 0.0)


def test_first_must_be_hello() -> None:
    with pytest.raises(MessageRefused, match="not with hello"):
        MessageReader(0.0).take(message(), 0.0)


def test_handshake_is_held_to_time_and_bytes() -> None:
    inflow = MessageReader(100.0)
    inflow.take(HELLO, 100.0)
    inflow.check(100.0 + TIMEOUT_S - 0.001)
    with pytest.raises(MessageRefused, match="not through the handshake"):
        inflow.check(100.0 + TIMEOUT_S)
    inflow.take(bytes(HELLO) * ((HANDSHAKE_BYTES - 8) // 8), 100.0)
    with pytest.raises(MessageRefused, match="more than"):
        inflow.take(HELLO, 100.0)


def test_established_connection_may_be_silent_between_messages_but_not_within_one() -> None:
    inflow = greeted()
    inflow.check(1e6)
    inflow.take(message(100)[:50], 1e6)
    inflow.take(message(100)[50:60], 1e6 + 20)  # a drop now and then does not help
    with pytest.raises(MessageRefused, match="not complete"):
        inflow.check(1e6 + TIMEOUT_S)
    inflow.take(message(100)[60:], 1e6 + TIMEOUT_S)
    inflow.check(2e6)


def test_each_message_has_its_own_time() -> None:
    inflow = greeted()
    inflow.take(message(100)[:50], 10.0)
    inflow.take(message(100)[50:] + message(100)[:50], 35.0)
    inflow.check(35.0 + TIMEOUT_S - 0.001)


def test_what_comes_too_fast_is_read_later() -> None:
    """A burst goes through; then at the rate."""
    inflow, now = greeted(), 0.0
    messages = 0
    while now < 10.0:
        inflow.take(message() * 1000, now)
        messages += 1000
        now += inflow.pause_s()
    assert messages == pytest.approx(BURST_TOKENS + 10.0 * TOKENS_PER_S, rel=0.1)


def test_large_messages_cost_more() -> None:
    small, large = greeted(), greeted()
    for _ in range(1000):
        small.take(message(8), 0.0)
        large.take(message(60_000), 0.0)
    assert small.pause_s() == 0.0 < large.pause_s()


def test_one_address_gets_so_many_connections() -> None:
    entrance = ConnectionLimiter()
    assert [entrance.enter("a") for _ in range(MAX_CONNECTIONS + 1)] == [True] * MAX_CONNECTIONS + [False]
    assert entrance.enter("b")
    entrance.leave("a")
    assert entrance.enter("a") and not entrance.enter("a")


def test_complaint_is_news_once_until_the_switch_was_let_in() -> None:
    entrance = ConnectionLimiter()
    assert [
        entrance.is_first_report("a", "expired"),
        entrance.is_first_report("a", "expired"),
        entrance.is_first_report("b", "expired"),
    ] == [
        True,
        False,
        True,
    ]
    entrance.accepted("a")
    assert entrance.is_first_report("a", "expired") and not entrance.is_first_report("b", "expired")


def test_complaints_that_never_repeat_end_too() -> None:
    entrance = ConnectionLimiter()
    assert sum(entrance.is_first_report("a", str(number)) for number in range(1000)) == MAX_REASONS
