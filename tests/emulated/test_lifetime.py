"""How networks end that nobody ends by ``helsewan down``: their launcher, their owner, or their lease ended."""

from __future__ import annotations

import json
import signal
import subprocess
from itertools import product
from pathlib import Path

import pytest
from short_run import outside, wait_until_gone
from terminal import DEADLINE_S, Terminal, running
from waiting import wait_for

UP = ("up", "--from", "small.yaml", "--policy", "open", "--detach")
WORKER = "helsewan.lab.server.worker"  # the sandbox's first process, and its launchers
ROUTERS = "ovsdb-server"  # of either kind of routers, which are being started


def last_event(directory: Path) -> dict[str, object]:
    history = directory / "results/up/latest/history.jsonl"
    event: dict[str, object] = json.loads(history.read_text().splitlines()[-1])
    return event


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, WORKER),
        (signal.SIGKILL, ROUTERS),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in product([signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP], [WORKER, ROUTERS])
            if case not in [(signal.SIGTERM, WORKER), (signal.SIGKILL, ROUTERS)]
        ),
    ],
)
def test_a_launcher_that_ends_early_leaves_nothing(tmp_path: Path, number: int, moment: str) -> None:
    """As soon as there is a sandbox, and while its routers start."""
    before = outside()
    terminal = Terminal(tmp_path)
    with terminal.ending(*UP) as launcher:
        wait_for(lambda: running(terminal, moment), moment)
        launcher.send_signal(number)
        _, said = launcher.communicate(timeout=DEADLINE_S)
        assert launcher.returncode == (130 if number in (signal.SIGINT, signal.SIGTERM) else -number), said
        assert said.count(b"\n") <= 1
    wait_until_gone(tmp_path)
    assert outside() == before
    assert terminal.run("status").returncode == 2


def test_it_ends_with_its_owner_and_lives_on_with_its_lease(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    with subprocess.Popen(["sleep", "1000"]) as owner:
        try:
            done = terminal.run(*UP, "--with-pid", str(owner.pid), "--lease", "1 h")
            assert done.returncode == 0, done.stderr
            facts = json.loads(terminal.run("status", "--json").stdout)
            assert facts["with_process"] == {"pid": owner.pid, "name": "sleep"}
            assert facts["lease"]["seconds"] == 3600 and facts["lease"]["left_s"] > 3000
            assert terminal.run("renew", "--lease", "2 h").returncode == 0
            assert b"7200 s" in terminal.run("renew").stdout
            assert terminal.run("renew", "--lease", "none").returncode == 0
            assert b"has no lease" in terminal.run("renew").stderr
            assert json.loads(terminal.run("status", "--json").stdout)["state"] == "up"
        finally:
            owner.kill()
    wait_until_gone(tmp_path)
    assert last_event(tmp_path)["reason"] == f"process {owner.pid} (sleep) ended"


def test_it_ends_when_its_lease_is_not_renewed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    assert terminal.run(*UP, "--lease", "1 s").returncode == 0
    wait_until_gone(tmp_path)
    assert last_event(tmp_path)["reason"] == "the lease of 1 s was not renewed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--name", "No Name"), b"--name: 'No Name' is not a valid name"),
        (("--api", "127.0.0.1:1x"), b"--api: '127.0.0.1:1x' is no address"),
        (("--with-pid", "0"), b"--with-pid: 0 is not the id of a process"),
        (("--with-pid", "999999999"), b"--with-pid: 999999999 "),
        (("--lease", "60"), b"--lease: '60' unit is missing"),
        (("--lease", "1ms"), b"--lease: '1ms' is too short"),
    ],
)
def test_a_refusal_leaves_nothing_and_is_on_standard_error(tmp_path: Path, words: tuple[str, ...], said: bytes) -> None:
    terminal = Terminal(tmp_path)
    done = terminal.run(*UP, *words)
    assert (done.returncode, done.stdout) == (2, b"") and said in done.stderr and done.stderr.count(b"\n") == 1
    assert not (tmp_path / "results").exists()


def test_what_the_sandbox_refuses_leaves_nothing_either(tmp_path: Path) -> None:
    """Here: too few open files, which is only known once the sandbox stands."""
    terminal = Terminal(tmp_path)
    command = ["prlimit", "--nofile=300:300", "setpriv", "--bounding-set", "-sys_resource", *terminal.argv(*UP)]
    done = subprocess.run(command, capture_output=True, env=terminal.env, cwd=tmp_path, timeout=DEADLINE_S, check=False)
    assert done.returncode == 2 and b"open files: 300 are too few" in done.stderr, done.stderr
    assert not (tmp_path / "results").exists()


def test_results_go_where_the_environment_says(tmp_path: Path) -> None:
    """And nowhere else; a folder that helsewan makes is ignored by git."""
    terminal = Terminal(tmp_path)
    terminal.env["HELSEWAN_RESULTS"] = str(tmp_path / "elsewhere")
    done = terminal.run(*UP)
    assert done.returncode == 0 and b"elsewhere/up/" in done.stdout
    assert terminal.run("down").returncode == 0
    assert not (tmp_path / "results").exists()
    assert (tmp_path / "elsewhere/.gitignore").read_text().splitlines()[-1] == "*"
    assert json.loads((tmp_path / "elsewhere/up/latest/history.jsonl").read_text().splitlines()[0])["event"] == "up"
