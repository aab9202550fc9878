"""Ends of connections without a network: what one sends reaches the other, in pieces of any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from helsewan.lab.applications.tcp.end import End, ProtocolError

MOST_STEPS = 100_000


def sent(end: End) -> bytes:
    """All that an end has to send."""
    return b"".join(iter(end.outgoing, b""))


def converse(client: End, server: End, piece: int = 65_536) -> None:
    """Pass everything to and fro in pieces of ``piece`` bytes until neither has anything to send; timers run out at
    once."""
    for _ in range(MOST_STEPS):
        moved = False
        for sender, receiver in ((client, server), (server, client)):
            data = sender.outgoing()
            for part in pieces(data, piece):
                receiver.receive(part)
            if sender.wake_after_us is not None:
                sender.wake_after_us = None
                sender.wake()
                moved = True
            moved |= bool(data)
        if not moved:
            return
    raise AssertionError("they do not come to an end")


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """``data`` in pieces of ``size`` bytes."""
    return (data[at : at + size] for at in range(0, len(data), size))


def outcome(make: Callable[[], End], parts: list[bytes]) -> tuple[bytes, bool]:
    """What an end answers to ``parts``, and whether it broke off; any error but ProtocolError is raised."""
    end = make()
    answer = b""
    try:
        for part in parts:
            end.receive(part)
            while end.wake_after_us is not None:
                end.wake_after_us = None
                end.wake()
            answer += sent(end)
        end.end_of_input()
    except ProtocolError:
        return answer, True
    return answer + sent(end), False
