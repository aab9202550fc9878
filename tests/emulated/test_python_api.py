"""The Python API where users call it from: scripts, pytest and its workers, threads, a notebook's cells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from short_run import outside, wait_until_gone
from small_network import DESCRIPTION

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 300.0

HEAD = f"""
import os, sys, threading
from helsewan.emulation.sandbox import sandbox
from helsewan.lab import Emulation
from helsewan.topology.importers import network_from

NETWORK = network_from({DESCRIPTION!r})


def replies(emulation):
    a, b = emulation.net.get("hospital-a", "hospital-b")
    return " 0% packet loss" in a.cmd(f"ping -n -c 3 -i 0.2 -W 5 {{b.IP()}}")

"""
TESTS = """

import pytest


@pytest.mark.parametrize("number", [1, 2])
def test_ping(emulation, number):
    print("seen by pytest only")
    assert replies(emulation)


def test_wrong(emulation):
    assert 1 == 2
"""
CONFTEST = """

import pytest

sandbox.inhabit()


@pytest.fixture(scope="session")
def emulation():
    with Emulation(NETWORK, policy="open") as emulation:
        yield emulation
"""
THREADED_HEAD = """
import time
threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
"""
TWICE = """
print("before", flush=True)
sandbox.inhabit()
sandbox.inhabit()
for _ in range(2):
    opened = len(os.listdir("/proc/self/fd"))
    with Emulation(NETWORK, policy="open") as emulation:
        daemons = [s.forwarding_thread().pid for s in emulation.net.switches] + [emulation.testbed.engine.pid]
        sleeping = emulation.net["gp-c"].popen("sleep 1000")
        print(replies(emulation), flush=True)
    left = [p for p in daemons if os.path.exists(f"/proc/{p}")]
    print(left, sleeping.wait() < 0, os.listdir(sandbox.RUN_DIR), flush=True)
    more = len(os.listdir("/proc/self/fd")) - opened
    print("descriptors", more < 10 or more, flush=True)  # a monitor's and the counters' stay
"""
SIDE_BY_SIDE = """
sandbox.inhabit()
with Emulation(NETWORK, policy="open") as one, Emulation(NETWORK, policy="open") as other:
    other.set_link("hospital-a", down=True)
    other.set_link("hospital-b", down=True)
    print(replies(one), replies(other))
"""
IN_A_THREAD = """
def work():
    sandbox.inhabit()
    emulation = Emulation(NETWORK, policy="open")
    starting = threading.Thread(target=emulation.start)
    starting.start()
    starting.join()
    print(replies(emulation), emulation.status()["past_troubles"], flush=True)
    emulation.close()

thread = threading.Thread(target=work)
thread.start()
thread.join()
try:
    Emulation(NETWORK, policy="open").start()
except Exception as error:
    print(error)
"""
STARTED = """
import signal, time

sandbox.inhabit()
emulation = Emulation(NETWORK, policy="open")
emulation.start()


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def wait_for(condition):
    until = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < until, emulation.status()
        time.sleep(0.1)
    return found


def kinds(part):
    return [each["event"] for each in emulation.events if each.get("part") == part]
"""
SUPERVISED = """
print(emulation.status(), flush=True)
controller = emulation.testbed.controllers.process.pid
kill(controller)
wait_for(lambda: "part-restarted" in kinds("the controller"))
assert emulation.testbed.controllers.process.pid != controller

emulation.power_off("south")
told = emulation.status()
print(told["dead"], told["sites_off"], told["troubles"][0]["reason"], told["lost"], replies(emulation), flush=True)
for wrong in (emulation.power_off, emulation.power_on):
    try:
        wrong("south" if wrong == emulation.power_off else "suoth")
    except Exception as error:
        print(error, flush=True)
emulation.power_on("south")
wait_for(lambda: replies(emulation))
print(emulation.status()["dead"], flush=True)

kill(emulation.testbed.engine.pid)
wait_for(lambda: emulation.status()["lost"])
for use in (lambda: emulation.net, lambda: emulation.set_link("gp-c", down=True), emulation.validity):
    try:
        use()
    except Exception as error:
        print(type(error).__name__, error, os.path.isdir(error.log), flush=True)
print(emulation.status()["dead"], flush=True)
emulation.close()
emulation.close()
print(os.listdir(sandbox.RUN_DIR))
with Emulation(NETWORK, policy="open") as another:
    print(another.status()["dead"], replies(another))
"""
DEAD_DAEMON = """
kill(emulation.net["south"].forwarding_thread().pid)
wait_for(lambda: emulation.status()["dead"])  # looked at, not asked for anything
told = emulation.status()
print(told["dead"], told["sites_off"], told["troubles"][0]["reason"], told["lost"], replies(emulation), flush=True)
emulation.power_on("south")
wait_for(lambda: replies(emulation))
print(emulation.status()["dead"], kinds("router south"), flush=True)
emulation.close()
"""
SUPERVISED_IN_A_THREAD = """
emulation = None


def work():
    global emulation
    sandbox.inhabit()
    emulation = Emulation(NETWORK, policy="open")
    emulation.start()
    time.sleep(1.5)  # several looks at all parts
    print(emulation.status()["dead"], replies(emulation))
    os.kill(emulation.testbed.router("south").forwarding_thread().pid, signal.SIGKILL)
    until = time.monotonic() + 60
    while not emulation.status()["dead"] and time.monotonic() < until:
        time.sleep(0.1)
    print(emulation.status()["troubles"][0]["reason"])
    emulation.close()

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
NOTEBOOK = """
import asyncio, ast
CELLS = ["sandbox.inhabit()", "emulation = Emulation(NETWORK, policy='open'); emulation.start()",
         "print(replies(emulation))", "emulation.close()"]

async def kernel():
    # as IPython runs a cell without await: in the thread of a running event loop, others beside it
    for cell in CELLS:
        exec(compile(cell, "cell", "exec"), globals())

asyncio.run(kernel())
"""


@pytest.fixture
def run(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Runs a program in ``tmp_path``, and looks that it leaves nothing."""
    before = outside()
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_TEST": str(tmp_path)}

    def run_(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *argv],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    yield run_
    wait_until_gone(tmp_path)
    assert outside() == before


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param([], id="alone"),
        pytest.param(["-n", "1"], id="xdist"),  # its worker is what matters; each has a network of its own
        pytest.param(["-n", "2"], id="two workers", marks=pytest.mark.exhaustive),
    ],
)
def test_from_pytest(run, tmp_path: Path, workers: list[str]) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "conftest.py").write_text(HEAD + CONFTEST)
    (tmp_path / "test_it.py").write_text("from conftest import replies\n" + TESTS)
    done = run("-m", "pytest", "-p", "no:cacheprovider", *workers, "--basetemp", str(tmp_path / "temporary"))
    assert done.returncode == 1, done.stdout
    assert "1 failed, 2 passed" in done.stdout
    assert "assert 1 == 2" in done.stdout
    assert "seen by pytest only" not in done.stdout


def test_twice_in_a_row(run) -> None:  # type: ignore[no-untyped-def]
    done = run("-c", HEAD + TWICE)  # the file over /etc/hosts stays as long as the sandbox
    assert (done.returncode, done.stdout.split("\n")) == (
        0,
        ["before", *["True", "[] True ['hosts']", "descriptors True"] * 2, ""],
    )


def test_side_by_side(run) -> None:  # type: ignore[no-untyped-def]
    done = run("-c", HEAD + SIDE_BY_SIDE)
    assert (done.returncode, done.stdout) == (0, "True False\n")


def test_in_a_thread(run) -> None:  # type: ignore[no-untyped-def]
    done = run("-c", HEAD + IN_A_THREAD)
    assert done.returncode == 0, done.stdout
    worked, refused, _ = done.stdout.split("\n")
    assert worked == "True []"  # no part has ended with the thread that started it
    assert refused.startswith("sandbox: this thread is in none (hint: ")


def test_in_a_notebook(run) -> None:  # type: ignore[no-untyped-def]
    done = run("-c", HEAD + THREADED_HEAD + NOTEBOOK)
    assert (done.returncode, done.stdout) == (0, "True\n")


def test_the_end_of_a_program_is_its_own(run) -> None:  # type: ignore[no-untyped-def]
    """Its exit status, and the signal that ended it."""
    assert run("-c", HEAD + "sandbox.inhabit(); sys.exit(7)").returncode == 7


STANDING = """
sandbox.inhabit()
with Emulation(NETWORK, policy="open") as emulation:
    print("up", flush=True)
    emulation.net["gp-c"].cmd("sleep 1000")
"""


@pytest.mark.parametrize(
    ("head", "number"),
    [
        pytest.param(HEAD, signal.SIGKILL, id="alone, KILL"),
        pytest.param(HEAD, signal.SIGTERM, id="alone, TERM", marks=pytest.mark.exhaustive),
        pytest.param(HEAD + THREADED_HEAD, signal.SIGKILL, id="beside a thread, KILL", marks=pytest.mark.exhaustive),
        pytest.param(HEAD + THREADED_HEAD, signal.SIGTERM, id="beside a thread, TERM", marks=pytest.mark.exhaustive),
    ],
)
def test_nothing_outlives_a_killed_program(tmp_path: Path, head: str, number: int) -> None:
    before = outside()
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_TEST": str(tmp_path)}
    argv = [sys.executable, "-c", head + STANDING]
    with subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"up\n"
        program.send_signal(number)
        # TERM interrupts a program that was alone, so that it can clean up: 128 + SIGINT.
        assert program.wait(DEADLINE_S) in (-number, 130)
    wait_until_gone(tmp_path)
    assert outside() == before


NAMES = """
machine = os.readlink("/proc/self/ns/mnt"), open("/etc/hosts").read()
sandbox.inhabit()
with Emulation(NETWORK, policy="open", hosts_per_hospital=1) as emulation:
    a = emulation.net["hospital-a"]
    print(*sorted(line.split()[0] for line in a.cmd("getent ahosts gp-c").splitlines() if "STREAM" in line))
    print(*sorted(map(str, (NETWORK.site["gp-c"].address4, NETWORK.site["gp-c"].address6))))
    print("bytes from hospital-b" in a.cmd("ping -4 -c 1 -W 5 hospital-b"))
    print("bytes from hospital-b.h1" in a.cmd("ping -4 -c 1 -W 5 hospital-b.h1"))
    print(open("/etc/hosts").read().startswith(machine[1].rstrip()))
print("hospital-b" in open("/etc/hosts").read())
"""


def test_site_names_resolve_within_the_sandbox(run) -> None:  # type: ignore[no-untyped-def]
    machine = Path("/etc/hosts").read_text()
    done = run("-c", HEAD + NAMES)
    resolved, addresses, *others = done.stdout.splitlines()
    assert resolved == addresses
    assert others == ["True", "True", "True", "False"]
    assert Path("/etc/hosts").read_text() == machine


def test_parts_that_die_are_noticed(run) -> None:  # type: ignore[no-untyped-def]
    """What can be restarted is; a router without power is dead until it gets it; what cannot go on raises cause and
    log."""
    done = run("-c", HEAD + STARTED + SUPERVISED)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("router south", "the "))]
    assert done.returncode == 0, done.stdout
    lost = "PartLost the link engine was killed by SIGKILL, and no frame can pass without it (see /run/helsewan/"
    assert lines[:5] == [
        "{'dead': [], 'troubles': [], 'past_troubles': [], 'sites_off': [], 'lost': None}",
        "['router south'] ['hospital-b'] its power was cut on request None False",
        "router: 'south' is off already (hint: power it on)",
        "router: 'suoth' is no router of this network (similar: south, north)",
        "[]",
    ], done.stdout
    assert [line.startswith(lost) and line.endswith(" True") for line in lines[5:8]] == [True] * 3, done.stdout
    assert lines[8:] == ["['the link engine']", "['hosts']", "[] True"], done.stdout


def test_a_router_whose_daemon_dies_is_dead_until_it_gets_power(run) -> None:  # type: ignore[no-untyped-def]
    done = run("-c", HEAD + STARTED + DEAD_DAEMON)
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("router south", "the "))]
    assert (done.returncode, lines) == (
        0,
        [
            "['router south'] ['hospital-b'] its ovs-vswitchd was killed by SIGKILL None False",
            "[] ['part-dead', 'part-restarted']",
        ],
    ), done.stdout


def test_a_router_that_runs_in_a_threads_sandbox_is_not_dead(run) -> None:  # type: ignore[no-untyped-def]
    """There the daemons are started by another thread than the one that supervises them."""
    done = run("-c", HEAD + THREADED_HEAD + "import signal\n" + SUPERVISED_IN_A_THREAD)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "[] True" and lines[-1] == "its ovs-vswitchd was killed by SIGKILL", done.stdout
