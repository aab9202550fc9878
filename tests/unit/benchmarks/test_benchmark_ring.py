"""The benchmarks' ring: a measurement ends if the flows do not use the expected path."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.repair import ring
from benchmarks.repair.ring import AROUND, LINKS_US, OVER, Ring

PACKETS = 100  # between two polls, one second apart


@dataclass
class _Counters:
    """An engine's counters; at each poll the links have carried ``growth`` more, forward and back."""

    growth: dict[str, tuple[int, int]]
    carried: Any = field(default_factory=lambda: np.zeros(2 * len(LINKS_US), int))

    def counters(self) -> dict[str, Any]:
        for place, link in enumerate(LINKS_US):
            self.carried[2 * place : 2 * place + 2] += self.growth.get(link, (0, 0))
        return {"frames_in": self.carried.copy()}


class _Drawn(Ring):
    """A ring whose links carry what a test states."""

    def __init__(self, growth: dict[str, tuple[int, int]]) -> None:
        pipes = {link: SimpleNamespace(forward=2 * n, back=2 * n + 1) for n, link in enumerate(LINKS_US)}
        self.backend = SimpleNamespace(engine=_Counters(growth), links=pipes)  # type: ignore[assignment]

    def start(self) -> None: ...

    def version(self) -> str:
        return "drawn"

    def address(self, site: str) -> IPv4Address:
        raise NotImplementedError

    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        raise NotImplementedError

    def ready(self) -> None: ...

    def set_carrier(self, link: str, up: bool) -> int:
        raise NotImplementedError


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Time that passes in polls only, a second each."""
    now = [0.0]
    monkeypatch.setattr(ring.time, "sleep", lambda _: now.__setitem__(0, now[0] + 1))
    monkeypatch.setattr(ring.time, "monotonic", lambda: now[0])
    yield


def _both(lines: tuple[str, ...], packets: int = PACKETS) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(lines, (packets, packets))


def _seen(growth: dict[str, tuple[int, int]], path: tuple[str, ...]) -> bool:
    takes = _Drawn(growth).takes(path, PACKETS)
    ring.time.sleep(ring.POLL_S)
    return takes()


@pytest.mark.parametrize("path", [OVER, AROUND])
def test_flows_that_take_a_way_are_found_on_it_beside_a_few_packets_elsewhere(path: tuple[str, ...]) -> None:
    few = _both(OVER + AROUND, PACKETS // 20)
    assert _seen(few | _both(path), path)


@pytest.mark.parametrize(
    "growth",
    [
        {},
        _both(AROUND),
        _both(OVER + AROUND),
        _both(OVER[:1]),
        _both(OVER) | {OVER[1]: (PACKETS, 0)},
        _both(OVER, PACKETS // 3),
    ],
    ids=["no flow", "another path", "copies everywhere", "half the path", "one direction", "a third of them"],
)
def test_flows_that_do_not_are_not(growth: dict[str, tuple[int, int]]) -> None:
    assert not _seen(growth, OVER)


def test_what_never_comes_about_ends_the_measuring_in_words() -> None:
    with pytest.raises(RuntimeError, match="flows do not arrive"):
        ring.wait_for(lambda: False, 1, "flows do not arrive")


def test_what_held_for_a_moment_only_is_waited_for_on() -> None:
    answers = iter([True, True, False, True, True, True, False])
    ring.wait_for(lambda: next(answers), 3, "never")
    assert next(answers) is False, "it looked no further than it had to"
