"""Runs as users start them: side by side, interrupted at any time. Nothing is ever left."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from short_run import outside, processes, result_of, start, wait_until_gone


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    """Each has its own world: neither sees the other, and both come to a verdict."""
    before = outside()
    runs = {name: start(tmp_path / name) for name in ("a", "b")}
    for name, run in runs.items():
        said, _ = run.communicate(timeout=120)
        assert run.returncode in (0, 3), said  # two at once may be more than the machine can carry
        result = result_of(tmp_path / name)
        checks = {check["name"]: check["passed"] for check in result["checks"]}  # type: ignore[attr-defined]
        assert checks == {"isolation": True, "heard": True}, said
        history = [json.loads(line) for line in (tmp_path / name / "results/short/latest/history.jsonl").open()]
        assert {"network-up", "cut", "repaired", "verdict"} <= {event["event"] for event in history}
        wait_until_gone(tmp_path / name)
    assert outside() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_run_in_order(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C or kill, once or in anger: the run says so in its result, and nothing is left."""
    run = start(tmp_path)
    assert run.stdout is not None
    while "programmed" not in (line := run.stdout.readline()):
        assert line, "the run ended early"
    for _ in range(1 if number is signal.SIGTERM else 4):
        run.send_signal(number)
        time.sleep(0.05)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 3, said
    assert "Traceback" not in said, said
    assert result_of(tmp_path)["verdict"] == "void"
    wait_until_gone(tmp_path)


def test_an_interrupt_while_the_world_starts_is_heard(tmp_path: Path) -> None:
    """Ctrl-C before the world's first process can answer: it does when it can, without a traceback."""
    run = start(tmp_path)
    while "launcher" not in processes(tmp_path).values():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 3, said
    assert "interrupted" in said and "Traceback" not in said, said
    wait_until_gone(tmp_path)


def test_a_run_goes_on_when_its_reader_leaves(tmp_path: Path) -> None:
    """As under ``| head -1``: the verdict is the run's own, and is kept."""
    run = start(tmp_path)
    assert run.stdout is not None and run.stdout.readline()
    run.stdout.close()
    assert run.wait(120) in (0, 3)
    assert result_of(tmp_path)["exit_code"] == run.returncode
    assert result_of(tmp_path)["checks"], "the run was cut short"


def test_a_router_that_dies_during_the_start_is_named_at_once(tmp_path: Path) -> None:
    """Nobody waits a minute for it to be programmed."""
    run = start(tmp_path)
    assert run.stdout is not None
    while "programming the routers" not in (line := run.stdout.readline()):
        assert line, "the run ended early"
    switches = [pid for pid, kind in processes(tmp_path).items() if kind == "ovs-vswitchd"]
    (victim,) = [pid for pid in switches if b"/south/" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(victim, signal.SIGKILL)
    said, _ = run.communicate(timeout=30)  # the wait for the routers is twice as long
    assert run.returncode == 3, said
    assert "ended unexpectedly: south's ovs-vswitchd (was killed by SIGKILL)" in said, said
