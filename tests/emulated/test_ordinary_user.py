"""An ordinary user, where namespaces and /dev/net/tun are open to all: everything works without root."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from router_kinds import VARIABLE, kind_of_run
from small_network import DESCRIPTION

from helsewan.common.exit_codes import ExitCode

REPOSITORY = Path(__file__).parents[2]
USER = "12345"  # nobody's
HELSEWAN = f"{shlex.quote(sys.executable)} -m helsewan.cli.main"
DEADLINE_S = 180.0

SCENARIO = """
name: short
description: calls between two hospitals, and a fibre that is cut
network: {from: small.yaml, sites: 3, seed: 1}
policy: open
duration: 2 s
timeline:
  cut: {at: 1 s, fail: {link: north-middle}}
traffic:
  calls: {kind: voice, service: udp, count: 1, from: {kind: [hospital]}, to: {kind: [hospital]}}
checks:
  heard: {metric: received, class: best-effort, over: together, limit: "> 0"}
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the ordinary user's, where such users may go."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="helsewan-test-") as directory:
        home = Path(directory)
        home.chmod(0o755)
        (home / "small.yaml").write_text(DESCRIPTION)
        (home / "short.yaml").write_text(SCENARIO)
        (home / "mounts").mkdir()
        os.chown(home, int(USER), int(USER))
        yield home


def as_ordinary_user(home: Path, script: str, tun_mode: str = "0666") -> subprocess.CompletedProcess[str]:
    """Run a shell script as an ordinary user in a mount namespace where /dev/net/tun has ``tun_mode``."""
    steps = ["set -e", *_opened(home), _tun(home, tun_mode), f"exec {_drop(home)} sh -c {shlex.quote(script)}"]
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", "\n".join(steps)],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def _tun(home: Path, mode: str) -> str:
    return f"mknod -m {mode} {home}/mounts/tun c 10 200; mount --bind {home}/mounts/tun /dev/net/tun"


def _opened(home: Path) -> Iterator[str]:
    """Commands that let everybody go where the interpreter and this project are: below a directory that keeps others
    out, these and nothing else are shown."""
    wanted = {Path(sys.base_prefix), Path(sys.prefix), REPOSITORY}
    for number, path in enumerate(sorted(wanted)):
        closed = next((parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001), None)
        if closed is None:
            continue
        stash = f"{home}/mounts/{number}"
        yield f"mkdir {stash}; mount --bind {shlex.quote(str(path))} {stash}"
        yield f"[ $(stat -c %a {closed}) = 755 ] || mount -t tmpfs -o mode=755 none {closed}"
        yield f"mkdir -p {shlex.quote(str(path))}; mount --bind {stash} {shlex.quote(str(path))}"


def _drop(home: Path) -> str:
    """The user alone: no group, no capability, an environment of their own."""
    ids = f"--reuid {USER} --regid {USER} --clear-groups --inh-caps=-all --bounding-set=-all"
    environment = f"env -i PATH=/usr/bin:/bin HOME={home} {VARIABLE}={kind_of_run()}"
    return f"setpriv {ids} {environment} PYTHONPATH={shlex.quote(str(REPOSITORY))}"


def test_a_network_stands(home: Path) -> None:
    """Brought up, used, changed and ended, and nothing of it is root's or left."""
    script = f"""
        set -ex
        id -u
        {HELSEWAN} up --from small.yaml --policy open --hosts-per-hospital 1 --detach
        {HELSEWAN} exec hospital-a.h1 -- ping -c 1 -W 3 10.0.1.3
        {HELSEWAN} link set hospital-b --delay 20ms --loss 1%
        echo 'hospital-a ping -c 2 -W 3 hospital-b' | {HELSEWAN} cli
        {HELSEWAN} capture gp-c -w gp.pcapng --duration 1ms
        {HELSEWAN} status
        {HELSEWAN} down
        ls /tmp/helsewan-{USER} || echo nothing left
    """
    done = as_ordinary_user(home, script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(USER) and done.stdout.endswith("nothing left\n")
    assert {path.stat().st_uid for path in (home / "results").rglob("*")} == {int(USER)}


def test_a_scenario_runs(home: Path) -> None:
    done = as_ordinary_user(home, f"{HELSEWAN} scenario run short.yaml")
    assert done.returncode in (0, 3), done.stdout + done.stderr  # void where the machine is too busy
    result = json.loads((home / "results/short/latest/result.json").read_text())
    assert {check["name"]: check["passed"] for check in result["checks"]} == {"heard": True}, done.stdout


@pytest.mark.parametrize("command", ["up --from small.yaml", "scenario run short.yaml"])
def test_a_closed_device_is_named_in_one_line(home: Path, command: str) -> None:
    done = as_ordinary_user(home, f"{HELSEWAN} {command}", tun_mode="0600")
    assert done.returncode == ExitCode.MISSING_PRIVILEGE
    assert done.stderr.startswith(
        "device: '/dev/net/tun' has mode 0600, not 0666 (hint: sudo chmod 0666 /dev/net/tun, or "
    )
    assert done.stderr.count("\n") == 1


def test_python_in_a_thread_is_refused_in_one_line(home: Path) -> None:
    """A program that has threads cannot get a user namespace; one that has none can, and so can its threads."""
    (home / "program.py").write_text(PROGRAM)
    python = shlex.quote(sys.executable)
    done = as_ordinary_user(home, f"{python} program.py late; {python} program.py early")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "True True\n",
        "sandbox: 'program.py' has other threads already, and only root can move one thread into a sandbox "
        "(hint: call sandbox.inhabit() before threads start, or start the program as root)\n",
    )


PROGRAM = """
import os, sys, threading
from helsewan.common.errors import InputError
from helsewan.emulation.sandbox import sandbox

machine = os.readlink("/proc/self/ns/net")

def work():
    try:
        sandbox.inhabit()
        print(sandbox.inside(), os.readlink("/proc/thread-self/ns/net") != machine)
    except InputError as error:
        print(error, file=sys.stderr)

if sys.argv[1] == "early":
    sandbox.inhabit()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
