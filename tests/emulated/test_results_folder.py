"""The results folder of a running network: whose its files are, and what happens when its disk is full."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from router_kinds import forwarder_log
from short_run import wait_until_gone
from terminal import DEADLINE_S, Terminal

from helsewan.lab.processes.history import read

USER, GROUP = 4711, 4712
UP = "helsewan up --from small.yaml --policy open --detach --lease 5min"


def run_with_disk(terminal: Terminal, size: str, script: str) -> subprocess.CompletedProcess[bytes]:
    """Run a script with a disk of ``size`` at ``disk``, which only its processes see."""
    start = f"""
        helsewan() {{ {shlex.join(terminal.argv())} "$@"; }}
        mkdir disk && mount -t tmpfs -o size={size} none disk
        export HELSEWAN_RESULTS=disk
    """
    command = ["unshare", "--mount", "bash", "-c", start + script]
    return subprocess.run(
        command, capture_output=True, env=terminal.env, cwd=terminal.directory, timeout=3 * DEADLINE_S, check=False
    )


def test_a_full_disk_is_told_with_its_path(tmp_path: Path) -> None:
    done = run_with_disk(Terminal(tmp_path), "64k", f"{UP}; code=$?; ls -A disk; exit $code")
    assert (done.returncode, done.stdout) == (2, b""), done.stderr
    assert done.stderr == b"--results: 'disk/up' No space left on device (hint: name another directory)\n"


def test_a_disk_that_fills_up_later_ends_nothing(tmp_path: Path) -> None:
    """The status names the file; when there is room again the history says how much it lacks."""
    script = f"""
        {UP} || exit 9
        cat /dev/zero > disk/fill
        for i in $(seq 40); do
            helsewan link set gp-c --delay ${{i}}ms || exit 8
            helsewan status | grep "^unwritten" && break
        done
        helsewan exec gp-c -- ping -c 1 -W 5 10.0.1.2 || exit 7
        rm disk/fill
        helsewan link set gp-c --reset || exit 6
        helsewan status | grep "^unwritten" && exit 5
        helsewan down || exit 4
        cp disk/up/latest/history.jsonl .
    """
    done = run_with_disk(Terminal(tmp_path), "4m", script)
    assert done.returncode == 0, done.stderr + done.stdout
    assert b"history.jsonl: No space left on device" in done.stdout
    events = [event["event"] for event in read(tmp_path / "history.jsonl")]
    assert events[-1] == "down" and "history-gap" in events
    wait_until_gone(tmp_path)


def test_under_sudo_all_files_are_the_users_from_the_start(tmp_path: Path) -> None:
    """Also those of daemons, and after kill -9."""
    terminal = Terminal(tmp_path)
    terminal.env |= {"SUDO_UID": str(USER), "SUDO_GID": str(GROUP)}
    process = terminal.up("--api", "unix")
    captured = terminal.run("capture", "gp-c", "-w", "frames.pcapng", "--duration", "10ms")
    assert captured.returncode == 0, captured.stderr
    process.kill()
    process.communicate()
    wait_until_gone(tmp_path)
    files = [tmp_path / "frames.pcapng", tmp_path / "results", *(tmp_path / "results").rglob("*")]
    assert {"history.jsonl", "controller.log", forwarder_log("south"), "changes.jsonl", "northbound.log"} <= {
        path.name for path in files
    }
    assert {(path.stat().st_uid, path.stat().st_gid) for path in files} == {(USER, GROUP)}
