"""Ports that regain carrier: sessions forward nothing until both ends take frames, also when links flap."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

from waiting import wait_for

from helsewan.emulation.routers import returning_ports
from helsewan.emulation.routers.returning_ports import ReturningPorts


class Port:
    def __init__(self, name: str) -> None:
        self.name, self.running, self.frames = name, False, 5  # that it took before


class Rings:
    """Ring ports whose switch takes frames when a test says so."""

    def __init__(self) -> None:
        self.carriers: list[tuple[list[str], bool, float]] = []

    def sent(self, ports: Iterable[Port]) -> list[int]:
        return [port.frames for port in ports]

    taken = sent

    def set_carrier(self, ports: Iterable[Port], up: bool, apart_s: float) -> None:
        self.carriers.append(([port.name for port in ports], up, apart_s))
        for port in ports:
            port.running = up


class Switch:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def tell(self, asked: Sequence[Sequence[str]]) -> None:
        with self.lock:
            assert all(name == "bfd/set-forwarding" for name, *_ in asked)
            self.told += [(interface, whether) for _, interface, whether in asked]


def started() -> tuple[Any, Rings, Switch]:
    rings, switch = Rings(), Switch()
    return ReturningPorts(rings, switch.tell), rings, switch  # type: ignore[arg-type]


def test_a_session_decides_again_once_both_ends_take_frames() -> None:
    returning, rings, switch = started()
    near, far = Port("near"), Port("far")
    returning.restore({"near": near, "far": far}, [])
    assert rings.carriers == [(["near", "far"], True, 0.0)]
    assert switch.told == [("near", "false"), ("far", "false")]
    near.frames += 1
    assert switch.told == [("near", "false"), ("far", "false")]
    far.frames += 1
    wait_for(lambda: len(switch.told) == 4, "the sessions to decide")
    assert switch.told[2:] == [("near", "normal"), ("far", "normal")]


def test_one_that_has_returned_once_more_goes_on_waiting() -> None:
    returning, _, switch = started()
    flapping, other = Port("flapping"), Port("other")
    returning.restore({"flapping": flapping, "other": other}, [])
    returning.restore({"flapping": flapping}, [])
    other.frames += 1
    flapping.frames += 1
    wait_for(lambda: switch.told.count(("other", "normal")) == 1, "the other's session to decide")
    wait_for(lambda: switch.told.count(("flapping", "normal")) == 1, "the flapping one's to decide, once")


def test_ports_without_a_session_are_up_after_frames_may_be_sent_to_them() -> None:
    returning, rings, switch = started()
    returning.restore({}, [Port("access")])
    assert rings.carriers == [(["access"], True, returning_ports.NOTED_S)] and switch.told == []


def test_a_port_that_is_off_or_takes_nothing_does_not_wait_for_ever(monkeypatch: Any) -> None:
    monkeypatch.setattr(returning_ports, "POLLED_DEADLINE_S", 0.05)
    returning, _, switch = started()
    silent = Port("silent")
    returning.restore({"silent": silent}, [])
    wait_for(lambda: ("silent", "normal") in switch.told, "the deadline")
