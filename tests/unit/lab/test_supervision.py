"""Which condition a part is in, when it is restarted, and how the end of a network is found: without processes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helsewan.lab.client.registry import LabRegistry
from helsewan.lab.processes.history import History, read
from helsewan.lab.processes.main_thread import MainThread
from helsewan.lab.server.northbound_api import refuse
from helsewan.lab.supervision.conditions import (
    LATE_READINGS,
    STALLED_AFTER_S,
    Condition,
    PartConditions,
    Reading,
    Time,
    Trouble,
)
from helsewan.lab.supervision.last_network import Ending, details, forget, last_network, note_killed, remember
from helsewan.lab.supervision.restarts import RESTARTS, WITHIN_S, Restart, RestartPolicy
from helsewan.lab.testbed.parts import how_ended


def at(seconds: float) -> Time:
    return Time(round((1_700_000_000 + seconds) * 1e9), round(seconds * 1e9))


class Watched:
    """A part that is read every half second."""

    def __init__(self) -> None:
        self.conditions, self.now_s, self.ran_s, self.waited_s = PartConditions(), 0.0, 0.0, 0.0

    def read(self, state: str = "S", ran_s: float = 0.0, waited_s: float = 0.0) -> list[Trouble]:
        self.now_s += 0.5
        self.ran_s += ran_s
        self.waited_s += waited_s
        reading = Reading(state, round(self.ran_s * 1e9), round(self.waited_s * 1e9))
        return self.conditions.observe("it", reading, at(self.now_s))


def test_a_stopped_process_is_stalled_until_it_runs() -> None:
    part = Watched()
    assert part.read(ran_s=0.1) == []
    (began,) = part.read("T")
    assert (began.condition, began.until) == (Condition.STALLED, None) and part.read("T") == []
    assert part.conditions.present[0].since == at(1.0)
    (ended,) = part.read(ran_s=0.1)
    assert ended.since == at(1.0) and ended.until == at(2.0) and ended.facts(at(9))["for_s"] == 1.0
    assert part.conditions.present == () and part.conditions.past == (ended,)


def test_a_process_that_never_runs_is_stalled_since_it_last_did() -> None:
    part = Watched()
    part.read(ran_s=0.1)
    last = at(part.now_s)
    changes = [change for _ in range(int(2 * STALLED_AFTER_S) + 1) for change in part.read("D")]
    assert [(each.condition, each.since) for each in changes] == [(Condition.STALLED, last)]
    assert part.read(ran_s=0.01)[0].until is not None


def test_one_that_waits_for_a_core_is_late_not_stalled() -> None:
    part = Watched()
    part.read(ran_s=0.1)
    for _ in range(LATE_READINGS - 1):
        assert part.read("R", waited_s=0.4) == []
    (began,) = part.read("R", waited_s=0.4)
    assert began.condition is Condition.LATE and began.since == at(0.5)
    for _ in range(40):
        assert part.read("R", waited_s=0.5) == []
    for _ in range(LATE_READINGS - 1):
        assert part.read(ran_s=0.3) == []
    assert part.read(ran_s=0.3)[0].until is not None


@given(st.lists(st.tuples(st.sampled_from("RSDTt"), st.sampled_from((0, 0.1, 0.4)), st.sampled_from((0, 0.4)))))
def test_troubles_begin_and_end_in_turns(readings: list[tuple[str, float, float]]) -> None:
    part = Watched()
    changes = [change for reading in readings for change in part.read(*reading)]
    begun = [change for change in changes if change.until is None]
    ended = [change for change in changes if change.until is not None]
    assert len(begun) - len(ended) == len(part.conditions.present) <= 1
    for first, second in zip(ended, begun[1:], strict=False):
        assert first.until is not None and first.since.monotonic_ns <= first.until.monotonic_ns
        assert first.condition is not second.condition or second.since.monotonic_ns >= first.since.monotonic_ns


def test_a_part_is_restarted_at_once_then_after_pauses_then_no_more() -> None:
    policy, now_s, pauses = RestartPolicy(), 100.0, []
    while (decision := policy.decide("it", now_s, now_s)) is not Restart.GIVE_UP:
        died_s = now_s
        while decision is Restart.LATER:
            now_s += 0.25
            decision = policy.decide("it", died_s, now_s)
        pauses.append(now_s - died_s)
    assert pauses == [0, 1, 2, 4, 8][:RESTARTS]
    assert policy.decide("another", now_s, now_s) is Restart.NOW
    now_s += WITHIN_S + 60
    assert RestartPolicy().decide("it", now_s, now_s) is policy.decide("it", now_s, now_s) is Restart.NOW


def test_how_a_process_ended_is_in_words() -> None:
    assert [how_ended(status) for status in (-9, -11, 3, 0, -40)] == [
        "was killed by SIGKILL",
        "was killed by SIGSEGV",
        "ended with exit status 3",
        "ended with exit status 0",
        "was killed by signal 40",
    ]


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabRegistry]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with closing(LabRegistry(tmp_path / "place")) as registry:
        yield registry


def network_in(registry: LabRegistry, directory: Path, name: str = "default") -> History:
    directory.mkdir()
    remember(registry, name, directory)
    history = History(directory / "history.jsonl")
    history.append("up", name=name, policy="open", network="small")
    history.append("network-up", seconds=3.0)
    return history


def shown(registry: LabRegistry, name: str | None = None, runs: bool = False) -> dict[str, object]:
    network = last_network(registry, name)
    assert network is not None
    return details(network, runs)


def test_the_last_network_is_found_with_its_ending(registry: LabRegistry, tmp_path: Path) -> None:
    assert last_network(registry, None) is None
    with network_in(registry, tmp_path / "one") as history:
        assert shown(registry, runs=True)["how"] is None
        ending = Ending("failed", "the link engine was killed by SIGKILL", "/logs")
        history.append("part-dead", part="the link engine", reason="was killed by SIGKILL")
        history.append(ending.event, **ending.facts())
    facts = shown(registry)
    assert facts["how"] == "failed" and facts["reason"] == ending.reason and facts["log"] == "/logs"
    assert facts["policy"] == "open" and facts["up_after_s"] == 3.0
    network_in(registry, tmp_path / "two", "other").close()
    network_in(registry, tmp_path / "refused", "other").close()
    forget(tmp_path / "refused")
    assert shown(registry)["name"] == "other" and shown(registry, "default")["how"] == "failed"


def test_networks_of_another_registry_are_not_ones_own(registry: LabRegistry, tmp_path: Path) -> None:
    network_in(registry, tmp_path / "one").close()
    with closing(LabRegistry(tmp_path / "elsewhere")) as other:
        assert last_network(other, None) is None


def test_one_that_was_killed_has_its_last_word_from_outside(registry: LabRegistry, tmp_path: Path) -> None:
    network_in(registry, tmp_path / "one").close()
    assert shown(registry)["how"] == "killed" and "network-up" in str(shown(registry)["reason"])
    history = tmp_path / "one/history.jsonl"
    with history.open("a") as file:
        file.write('{"wall_ns": 1, "eve')  # the line that it was about to write
    note_killed(tmp_path / "one", "its first process: killed")
    lines = history.read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "failed" and len(lines) == 4


def test_a_last_word_is_not_said_twice(registry: LabRegistry, tmp_path: Path) -> None:
    with network_in(registry, tmp_path / "one") as history:
        history.append("down", how="asked", reason="", log=None)
    note_killed(tmp_path / "one", "its first process: killed")
    assert [event["event"] for event in read(tmp_path / "one/history.jsonl")][-1] == "down"


def test_a_record_that_cannot_be_kept_or_read_is_no_error(
    registry: LabRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("[")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    remember(registry, "default", tmp_path)
    assert last_network(registry, None) is None
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # a user without a home
    monkeypatch.chdir(tmp_path)
    remember(registry, "default", tmp_path)
    assert last_network(registry, None) is None and not (tmp_path / "~").exists()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    remember(registry, "default", tmp_path / "removed")
    assert shown(registry)["how"] == "unknown"
    (tmp_path / "state/helsewan/networks.json").write_text("{}")
    assert last_network(registry, None) is None
    note_killed(tmp_path / "nowhere", "killed")


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_a_socket_that_nobody_serves_refuses(family: int, tmp_path: Path) -> None:
    """Also while another process holds the listening socket, and for clients that wait already."""
    with socket.socket(family) as listener, socket.socket(family) as waits, socket.socket(family) as late:
        listener.bind(str(tmp_path / "sock") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        listener.listen()
        held = listener.dup()
        waits.settimeout(10)
        waits.connect(listener.getsockname())
        refuse(listener.fileno())
        with held, pytest.raises(ConnectionRefusedError):
            late.connect(held.getsockname())
        with suppress(ConnectionResetError):
            assert waits.recv(1) == b""


def test_a_call_to_a_busy_main_thread_is_given_up() -> None:
    main, begun, go_on = MainThread(), threading.Event(), threading.Event()
    done: list[str] = []

    def long() -> None:
        begun.set()
        go_on.wait(60)
        done.append("long")

    def client() -> None:
        main.call(long)

    def impatient() -> None:
        begun.wait(60)
        try:
            main.call(lambda: done.append("not done"), within_s=0.01)
        except TimeoutError:
            done.append("given up")
        go_on.set()

    threads = [threading.Thread(target=target) for target in (client, impatient)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        main.work_for(0.02)
    assert done == ["given up", "long"]
