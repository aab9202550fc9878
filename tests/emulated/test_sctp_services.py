"""A service of SCTP with a port, with real SCTP packets of Scapy: the kernel needs no SCTP sockets."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from policy_error_cases import GOOD
from short_run import wait_until_gone
from terminal import Terminal

POLICY = (
    GOOD.partition("vpns:\n")[0]
    + """\
  s1ap: {protocol: sctp, ports: [36412, 36422-36423], class: voice}
vpns:
  all: {members: {kind: [hospital, gp]}, import: [all], export: [all]}
contracts:
  signalling: {from: {kind: [gp]}, to: {site: [hospital-b]}, services: [s1ap]}
"""
)
HEAR = """
import select, socket, sys
from scapy.layers.sctp import SCTP
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
raw = socket.socket(family, socket.SOCK_RAW, 132)
print("listening", flush=True)
while select.select([raw], [], [], 30)[0]:
    data = raw.recv(2000)
    packet = SCTP(data if family == socket.AF_INET6 else data[(data[0] & 15) * 4:])
    print(packet.sport, packet.dport, flush=True)
    if packet.sport == 1 or packet.dport == 1:
        raise SystemExit("never allowed")
    if sys.argv[2] in (str(packet.sport), str(packet.dport)):
        break
"""
TELL = """
import socket, sys
from scapy.layers.sctp import SCTP, SCTPChunkInit
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
raw = socket.socket(family, socket.SOCK_RAW, 132)
for ports in sys.argv[2:]:
    source, _, destination = ports.partition(":")
    raw.sendto(bytes(SCTP(sport=int(source), dport=int(destination)) / SCTPChunkInit()), (sys.argv[1], 0))
"""


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside a network whose policy allows SCTP to three ports of one hospital, from a GP, alone."""
    terminal = Terminal(tmp_path_factory.mktemp("sctp"))
    (terminal.directory / "sctp.yaml").write_text(POLICY)
    done = terminal.run("up", "--from", "small.yaml", "--policy", "sctp.yaml", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


def addresses(terminal: Terminal, site: str) -> list[str]:
    return terminal.run("ip", site).stdout.decode().split()


def heard(terminal: Terminal, sender: str, receiver: str, version: int, *ports: str) -> list[str]:
    """The ports of the packets that reach the receiver, of those sent, the last of which is allowed."""
    (address,) = (each for each in addresses(terminal, receiver) if (":" in each) is (version == 6))
    last = next(port for port in ports[-1].split(":") if port != "40000")
    python = (sys.executable, "-u", "-c")
    with terminal.ending("exec", receiver, "--", *python, HEAR, address, last) as hearing:
        assert hearing.stdout is not None and hearing.stdout.readline() == b"listening\n"
        assert terminal.run("exec", sender, "--", *python, TELL, address, *ports).returncode == 0
        return hearing.stdout.read().decode().split("\n")[:-1]


@pytest.mark.parametrize("version", [4, 6])
def test_the_ports_decide(terminal: Terminal, version: int) -> None:
    """To its ports, not next to them nor from them; and replies from them."""
    sent = ("40000:36411", "36412:40000", "40000:36424", "40000:36413", "40000:36422", "40000:36412")
    assert heard(terminal, "gp-c", "hospital-b", version, *sent) == ["40000 36422", "40000 36412"]
    answers = ("36411:40000", "40000:36412", "36423:40000", "36412:40000")
    assert heard(terminal, "hospital-b", "gp-c", version, *answers) == ["36423 40000", "36412 40000"]


def test_it_is_proved_and_asked(terminal: Terminal) -> None:
    """The rules of the switches, marked packets, and conversations of the sites agree."""
    for words in ((), ("--live",)):
        done = terminal.run("verify", *words)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("packet", "end"), [("sctp/36412", "delivered"), ("sctp/36413", "dropped"), ("sctp/36423 ipv6", "delivered")]
)
def test_why_follows_such_a_packet(terminal: Terminal, packet: str, end: str) -> None:
    told = json.loads(terminal.run("why", "gp-c", "hospital-b", "--packet", packet, "--json").stdout)
    assert told["end"] == end
