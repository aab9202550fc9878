"""A network kept up, as a user at two terminals has it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from router_kinds import PRIVATE, kind_of_run
from short_run import outside, processes, wait_until_gone
from terminal import DEADLINE_S, Terminal, running
from waiting import wait_for


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one at which a network stands."""
    terminal = Terminal(tmp_path_factory.mktemp("standing"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--hosts-per-hospital", "1", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


def status(terminal: Terminal) -> dict[str, object]:
    facts: dict[str, object] = json.loads(terminal.run("status", "--json").stdout)
    return facts


def test_how_it_stands(terminal: Terminal) -> None:
    facts = status(terminal)
    assert (facts["state"], facts["sites"], facts["routers"], facts["lines"]) == ("up", 3, 3, 7)
    assert facts["dead"] == [] and facts["changed"] == []
    assert 10 << 20 < int(str(facts["memory_bytes"])) < 2 << 30
    said = terminal.run("status").stdout.decode()
    assert "3 sites, 3 routers, 7 links" in said and "small" in said


def test_a_command_is_the_users_own(terminal: Terminal) -> None:
    """Input, output, errors, exit status, environment and directory."""
    script = 'cat; echo err >&2; echo "$HELSEWAN_TEST $PWD"; exit 7'
    done = terminal.run("exec", "hospital-a", "--", "sh", "-c", script, stdin=b"\x00\xff\n")
    place = str(terminal.directory)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\x00\xff\n" + f"{place} {place}\n".encode(), b"err\n")


def test_a_command_is_at_its_node(terminal: Terminal) -> None:
    def names(node: str) -> set[str]:
        said = terminal.run("exec", node, "--", "ip", "-o", "link").stdout.decode()
        return set(re.findall(r"^\d+: ([\w.]+)", said, re.MULTILINE))

    assert names("hospital-a") == {"lo", "wan0", "wan1", "lan", "lan1"}
    assert names("hospital-a.h1") == {"lo", "eth0"}
    links = {"link2", "link3", "trunk"} if kind_of_run() == PRIVATE else set()  # shared routers' are in shared memory
    assert names("south") >= {"lo", "mgmt"} | links


def test_large_outputs_are_whole(terminal: Terminal) -> None:
    done = terminal.run("exec", "gp-c", "--", "head", "-c", "50000000", "/dev/zero")
    assert done.returncode == 0 and len(done.stdout) == 50_000_000 and not done.stdout.strip(b"\0")


def test_packets_go_through_the_network(terminal: Terminal) -> None:
    done = terminal.run("exec", "hospital-b.h1", "--", "ping", "-c", "2", "-W", "3", "10.0.0.3")  # hospital-a.h1
    assert b" 0% packet loss" in done.stdout, done.stdout


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (("exec", "hospital-a", "--", "nosuch"), 127, b"nosuch: No such file"),
        (("exec", "hospital-a", "--", "/etc"), 126, b"/etc: Permission denied"),
        (("exec", "hospital-a", "--", "sh", "-c", "kill -9 $$"), 137, b""),
        (("exec", "hospital-x", "--", "true"), 2, b"similar: hospital-"),
        (("status", "--name", "other"), 2, b"--name: 'other' is no running network"),
        (("link", "set", "north-south", "--delay", "20"), 2, b"--delay: '20' unit is missing"),
        (("link", "set", "north-sout", "--delay", "20ms"), 2, b"similar: south-north"),
        (("link", "set", "north-south"), 2, b"has no change"),
        (("link", "set", "north-south", "--down", "--direction", "forward"), 2, b"both directions"),
        (("link", "set", "north-south", "--weight", "vice=3"), 2, b"similar: voice"),
        (("link", "set", "north-south", "--mtu", "10B"), 2, b"mtu_bytes"),
        (("link", "trace", "north-south", "nosuch.csv"), 2, b"no such file"),
        (("capture", "hospital-a"), 2, b"selects 2 links"),
        (("capture", "gp-c", "-w", "no/such/place"), 2, b"-w: 'no/such/place' No such file"),
        (("up", "--from", "small.yaml"), 2, b"the name of a running network"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    terminal: Terminal, command: tuple[str, ...], code: int, said: bytes
) -> None:
    done = terminal.run(*command)
    assert done.returncode == code and said in done.stderr
    assert done.stderr.count(b"\n") <= 1 and status(terminal)["state"] == "up"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 41), (signal.SIGTERM, 42), (signal.SIGUSR1, 43)])
def test_signals_reach_the_command(terminal: Terminal, number: int, code: int) -> None:
    script = f"trap 'exit {code}' {number}; echo ready; while :; do sleep 0.05; done"
    with terminal.ending("exec", "hospital-a", "--", "bash", "-c", script) as client:
        assert client.stdout is not None and client.stdout.readline() == b"ready\n"
        client.send_signal(number)
        assert client.wait(DEADLINE_S) == code


def test_a_command_ends_with_its_client(terminal: Terminal) -> None:
    mark = f"10000{os.getpid()}"
    with terminal.ending("exec", "hospital-a", "--", "sh", "-c", f"echo ready; trap '' HUP; sleep {mark}") as client:
        assert client.stdout is not None and client.stdout.readline() == b"ready\n"
        client.kill()
    wait_for(lambda: not running(terminal, mark), "the command to end with its client")


def test_a_background_process_outlives_its_command(terminal: Terminal) -> None:
    script = "sleep 987654 >/dev/null 2>&1 & echo started"
    assert terminal.run("exec", "gp-c", "--", "sh", "-c", script).stdout == b"started\n"
    assert running(terminal, "sleep 987654")
    terminal.run("exec", "gp-c", "--", "pkill", "-f", "sleep 987654")  # its pid namespace has no other


def test_a_shell_has_a_terminal(terminal: Terminal) -> None:
    """Its size, its job control, and Ctrl-C that ends what runs and not the shell."""
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(terminal.directory)
        os.execve(sys.executable, terminal.argv("shell", "hospital-a"), terminal.env)
    shown = b""

    def expect(text: bytes) -> None:
        nonlocal shown
        end = time.monotonic() + DEADLINE_S
        while text not in shown:
            ready, _, _ = select.select([master], [], [], max(0.0, end - time.monotonic()))
            assert ready, shown
            shown += os.read(master, 65536)
        shown = shown.partition(text)[2]

    expect(b"hospital-a:")
    os.write(master, b"tty >/dev/null && echo tty-$((40 + 2)); stty size\n")
    expect(b"tty-42")
    expect(b"0 0")
    os.write(master, b"sleep 1000; echo status-$?\n")
    expect(b"status-$?")  # the echo of what was typed
    wait_for(lambda: running(terminal, "sleep 1000"), "what was typed to run")
    os.write(master, b"\x03")
    expect(b"hospital-a:")
    os.write(master, b"exit 9\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    os.close(master)


def ping_ms(terminal: Terminal) -> float:
    """The least round trip of a few from hospital-b to the GP."""
    done = terminal.run("exec", "hospital-b", "--", "ping", "-q", "-c", "3", "-i", "0.2", "-W", "2", "10.0.2.2")
    found = re.search(rb"= ([\d.]+)/", done.stdout)
    assert found, done.stdout
    return float(found[1])


def test_lines_are_changed_and_made_again_what_they_were(terminal: Terminal) -> None:
    before = ping_ms(terminal)
    assert terminal.run("link", "set", "hospital-b", "--delay", "31ms", "--loss", "0.5%").returncode == 0
    assert ping_ms(terminal) >= before + 55
    (changed,) = status(terminal)["changed"]  # type: ignore[misc, attr-defined]
    assert changed["line"] == "hospital-b/wan0" and changed["changes"]["back"]["delay_us"] == 31_000
    assert b"delay 31 ms, loss 0.5" in terminal.run("link", "show", "hospital-b").stdout
    assert terminal.run("link", "set", "hospital-b", "--reset").returncode == 0
    assert status(terminal)["changed"] == []
    assert ping_ms(terminal) < before + 25


def test_a_line_is_cut_silenced_and_frozen(terminal: Terminal) -> None:
    def lost() -> bool:
        return terminal.run("exec", "hospital-b", "--", "ping", "-c", "1", "-W", "1", "10.0.2.2").returncode != 0

    for on, off in (
        ("--down", "--up"),
        ("--blackhole", "--no-blackhole"),
        ("--pause", "--resume"),
        ("--silent", "--heard"),
    ):
        assert terminal.run("link", "set", "hospital-b", on).returncode == 0
        assert lost() and len(status(terminal)["changed"]) == 1  # type: ignore[arg-type]
        assert terminal.run("link", "set", "hospital-b", off).returncode == 0
        assert not lost() and status(terminal)["changed"] == []


def test_a_line_follows_a_trace(terminal: Terminal) -> None:
    (terminal.directory / "trace.csv").write_text("time_ms,delay_us\n0,41000\n")
    before = ping_ms(terminal)
    assert terminal.run("link", "trace", "hospital-b", "trace.csv").returncode == 0
    assert ping_ms(terminal) >= before + 75
    assert b"follows trace.csv" in terminal.run("status").stdout
    assert terminal.run("link", "trace", "hospital-b", "none").returncode == 0
    assert ping_ms(terminal) < before + 25 and status(terminal)["changed"] == []


def test_a_line_is_captured(terminal: Terminal) -> None:
    """To a file until an interrupt, and so many frames into a pipe."""
    with terminal.ending("capture", "hospital-b", "-w", "b.pcapng") as capture:
        file = terminal.directory / "b.pcapng"
        wait_for(lambda: file.exists() and file.stat().st_size, "the capture to begin")
        ping_ms(terminal)
        capture.send_signal(signal.SIGINT)
        assert capture.wait(DEADLINE_S) == 0
    assert packets(file.read_bytes()) >= 6
    with terminal.ending("capture", "gp-c", "-w", "-", "--count", "4", "--direction", "forward") as capture:
        until = time.monotonic() + DEADLINE_S
        while capture.poll() is None:
            assert time.monotonic() < until
            ping_ms(terminal)
        assert capture.stdout is not None and packets(capture.stdout.read()) == 4


def packets(pcapng: bytes) -> int:
    """How many packets a pcapng file has, read by hand: blocks of type 6."""
    at = count = 0
    while at < len(pcapng):
        kind, length = (int.from_bytes(pcapng[at + i : at + i + 4], sys.byteorder) for i in (0, 4))
        count += kind == 6
        at += length
    assert at == len(pcapng)
    return count


def test_mininets_command_line(terminal: Terminal) -> None:
    script = b"""
        nodes
        hospital-a echo at-$((20 + 2))
        pingpair
        link hospital-b south down
        hospital-a ping -c1 -W1 hospital-b
        link hospital-b south up
        py net['gp-c'].IP()
        """
    done = terminal.run("cli", stdin=script)
    said = done.stdout + done.stderr
    assert done.returncode == 0
    for expected in (b"gp-c hospital-a hospital-a.h1", b"at-22", b"(2/2 received)", b"100% packet loss", b"10.0.2.2"):
        assert expected in said, said
    assert status(terminal)["changed"] == []


def test_hostile_clients_do_no_harm(terminal: Terminal) -> None:
    for packet in (b"", b".{", b".[]", b"+", b'.{"version":1,"op":"exec","arguments":{}}', os.urandom(3000)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(str(terminal.directory / "place/default.sock"))
            client.send(packet)
    assert status(terminal)["state"] == "up"


@pytest.mark.parametrize(
    ("words", "others"),
    [
        (("exec", "gp-c", "--", "sh", "-c", "trap '' HUP INT TERM; sleep 1000"), 2),
        (("capture", "gp-c", "-w", "-"), 0),
        (("verify", "--live"), 0),
        pytest.param(("cli",), 1, marks=pytest.mark.exhaustive),
        pytest.param(("verify", "--all"), 0, marks=pytest.mark.exhaustive),
        pytest.param(("status",), 0, marks=pytest.mark.exhaustive),
        pytest.param(("link", "set", "gp-c", "--delay", "1 ms"), 0, marks=pytest.mark.exhaustive),
    ],
)
def test_a_killed_client_leaves_nothing(terminal: Terminal, words: tuple[str, ...], others: int) -> None:
    """Whatever the verb; ``others``: processes beside the client that there are before it is killed."""
    before = set(processes(terminal.directory))
    with terminal.ending(*words) as client:
        wait_for(
            lambda: client.poll() is not None or len(set(processes(terminal.directory)) - before) > others,
            "the verb's processes",
        )
        client.kill()
        client.wait(DEADLINE_S)
    wait_for(lambda: set(processes(terminal.directory)) <= before, "the end of what the verb started")
    assert terminal.run("status").returncode == 0


def test_networks_stand_side_by_side(terminal: Terminal) -> None:
    other = terminal.up("--name", "other")
    assert b"is needed: default, other are running" in terminal.run("status").stderr
    assert terminal.run("link", "set", "--name", "other", "gp-c", "--down").returncode == 0
    assert json.loads(terminal.run("status", "--name", "default", "--json").stdout)["changed"] == []
    assert terminal.run("down", "--name", "other").returncode == 0
    assert other.wait(DEADLINE_S) == 0
    other.communicate()
    assert status(terminal)["state"] == "up"


def test_none_stands(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    for command in (("status",), ("down",), ("exec", "a", "true"), ("cli",), ("link", "list")):
        done = terminal.run(*command)
        assert done.returncode == 2 and b"no network is running (hint: start one with `helsewan up`)" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive)])
def test_an_interrupt_ends_it(tmp_path: Path, number: int) -> None:
    before = outside()
    terminal = Terminal(tmp_path)
    process = terminal.up()
    process.send_signal(number)
    assert process.wait(DEADLINE_S) == 0
    process.communicate()
    wait_until_gone(tmp_path)
    assert outside() == before and not (tmp_path / "place").exists()


def test_a_kill_leaves_nothing(tmp_path: Path) -> None:
    """Not even its name: the next one of that name stands."""
    before = outside()
    terminal = Terminal(tmp_path)
    process = terminal.up()
    process.kill()
    process.communicate()
    wait_until_gone(tmp_path)
    assert outside() == before
    assert terminal.run("status").returncode == 2
    again = terminal.up()
    assert terminal.run("down").returncode == 0
    assert again.wait(DEADLINE_S) == 0
    again.communicate()
