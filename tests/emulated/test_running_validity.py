"""The health monitor of running networks: of ``helsewan up`` and of an Emulation."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mininet_client import Script
from short_run import wait_until_gone
from terminal import DEADLINE_S, Terminal, running
from waiting import wait_for

ENGINE = "-m helsewan.emulation.links.engine_process"
UNREAD = "link engine did not check for frames for"


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path_factory.mktemp("running"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--detach", "--lease", "10 min")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


def unread(terminal: Terminal, *words: str) -> dict[str, Any] | None:
    """What ``status`` says of an engine that did not look, if anything."""
    validity = json.loads(terminal.run("status", "--json", *words).stdout)["validity"]
    found = [reason for reason in validity["reasons"] if reason["what"] == UNREAD]
    return {**found[0], "of": validity["grade"]} if found else None


def test_a_stopped_engine_makes_the_network_void(terminal: Terminal) -> None:
    """Each time, also when it was stopped for longer before; from then on it is as good as new."""
    (engine,) = running(terminal, ENGINE)
    for stops, wait in ((1, "2"), (2, "1")):
        os.kill(engine, signal.SIGSTOP)
        try:
            lost = terminal.run("exec", "gp-c", "--", "ping", "-c", "1", "-W", wait, "10.0.1.2")
        finally:
            os.kill(engine, signal.SIGCONT)
        assert lost.returncode == 1

        def told(times: int = stops) -> bool:
            reason = unread(terminal)
            return reason is not None and reason["seconds"] >= times

        wait_for(told, "the status to say it")
    reason = unread(terminal)
    assert reason is not None and reason["of"] == "void" and reason["value"] > 1000
    shown = terminal.run("status").stdout.decode()
    assert "validity   void since it is up, void in the last minute" in shown and f"void: {UNREAD}: " in shown
    history = (terminal.directory / "results/up").glob("2*/history.jsonl")
    turns = [
        event
        for event in map(json.loads, next(iter(history)).read_text().splitlines())
        if event["event"] == "validity" and event["grade"] == "void"
    ]
    assert turns and UNREAD in turns[0]["reasons"][0]
    wait_for(lambda: unread(terminal, "--since", "1s") is None, "a second without a stop")


def test_an_emulation_knows_it_too(tmp_path: Path) -> None:
    do = Script(tmp_path)
    with do.process:
        do(f"setattr(emulation, 'pid', emulation.testbed.engine.pid) or __import__('os').kill(emulation.pid, {19})")
        assert do("net.ping([a, c], timeout='1')") == 100.0
        do(f"__import__('os').kill(emulation.pid, {18})")
        do.until(f"[True for reason in emulation.validity().reasons if reason.what == '{UNREAD}']")
        assert do("emulation.validity().grade.value") == "void"
        assert "InputError" in do("emulation.validity(since='tomorrow')")
        do.until(f"not [True for reason in emulation.validity(since='1 s').reasons if reason.what == '{UNREAD}']")
        do.process.stdin.close()  # type: ignore[union-attr]
        assert do.process.wait(DEADLINE_S) == 0
