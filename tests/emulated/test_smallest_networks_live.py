"""Every verb of a running network on the smallest networks of every kind."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator

import pytest
from short_run import wait_until_gone
from smallest_networks import SMALLEST
from terminal import Terminal

# The site that can be talked to, where the policy has one: under it the banner suggests to ping it.
CASES = [
    pytest.param(("one-site", "open", ""), id="one-site"),
    pytest.param(("two-sites", "national", ""), id="two-sites", marks=pytest.mark.exhaustive),
    pytest.param(("bare-router", "open", ""), id="bare-router", marks=pytest.mark.exhaustive),
    pytest.param(("one-link", "open", "gp-b"), id="one-link"),
]
NO_PAIR = {"one-site", "bare-router"}


class Standing:
    """A small network that stands, and what `helsewan up` said."""

    def __init__(self, terminal: Terminal, name: str, policy: str, peer: str) -> None:
        self.terminal, self.name, self.policy, self.peer = terminal, name, policy, peer
        (terminal.directory / f"{name}.yaml").write_text(SMALLEST[name])
        done = terminal.run("up", "--from", f"{name}.yaml", "--policy", policy, "--detach")
        assert done.returncode == 0, done.stderr
        self.said = done.stdout.decode()

    def run(self, *words: str, code: int = 0, stdin: bytes = b"") -> str:
        """The output of a command with that exit code, without a traceback."""
        done = self.terminal.run(*words, stdin=stdin)
        shown = (done.stdout + done.stderr).decode()
        assert done.returncode == code and "Traceback" not in shown, (words, done.returncode, shown)
        return shown


@pytest.fixture(scope="module", params=CASES)
def standing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    terminal = Terminal(tmp_path_factory.mktemp("smallest"))
    found = Standing(terminal, *request.param)
    yield found
    found.run("down")
    wait_until_gone(terminal.directory)


def test_every_command_of_the_banner_does_what_it_says(standing: Standing) -> None:
    """The ping gets its answer; where no two sites may ping each other none is suggested."""
    commands = [shlex.split(line)[1:] for line in standing.said.splitlines() if line.startswith("  helsewan ")]
    assert {command[0] for command in commands} >= {"status", "shell", "link", "down"}
    pings = [command for command in commands if "ping" in command]
    assert bool(pings) is bool(standing.peer)
    for command in commands:
        if command[0] != "down":
            shown = standing.run(*command, stdin=b"exit\n" if command[0] == "shell" else b"")
            assert command not in pings or " 0% packet loss" in shown
    standing.run("link", "set", "*", "--reset")


def test_links_and_status(standing: Standing) -> None:
    names = standing.run("link", "list").split()
    facts = json.loads(standing.run("status", "--json"))
    assert facts["lines"] == len(names) and facts["changed"] == [] and facts["dead"] == []
    assert not re.search(r"\b1 (sites|routers|links)\b", standing.run("status"))
    for name in names:
        standing.run("link", "set", name, "--delay", "3ms")
        assert "delay 3 ms" in standing.run("link", "show", name)
        standing.run("link", "set", name, "--down")
        standing.run("link", "set", name, "--reset")
        standing.run("capture", name, "-w", "frames.pcapng", "--duration", "100ms")


def test_rules_and_proofs(standing: Standing) -> None:
    # Where no two sites are connected nothing can be proved, and verify says so.
    code = 3 if standing.name in NO_PAIR else 0
    standing.run("verify", code=code)
    standing.run("verify", "--failures", "single", code=code)
    standing.run("rules", "dump", "--output", "rules.jsonl")
    standing.run("verify", "--rules", "rules.jsonl", code=code)
    standing.run("verify", "--live")


def test_mininets_command_line_survives(standing: Standing) -> None:
    """Commands that need two hosts, or a node that there is not, are said in one line, and the next one is run."""
    commands = [
        "nodes",
        "links",
        "net",
        "dump",
        "intfs",
        "pingpair",
        "pingall",
        "iperf",
        "hospital-a echo at-$((40 + 2))",
    ]
    shown = standing.run("cli", stdin="\n".join([*commands, "py net.nosuch", "link a b down", ""]).encode())
    assert "at-42" in shown
    assert ("pingpair needs two hosts; this network has 1" in shown) is (standing.name in NO_PAIR)


def test_a_command_at_each_node(standing: Standing) -> None:
    assert "10.0." in standing.run("exec", "hospital-a", "--", "ip", "-4", "address")
    assert "lo" in standing.run("exec", "north", "--", "ip", "link")


def test_a_scenario(standing: Standing) -> None:
    """Beside the network that stands. Traffic that no pair of sites could have is refused in one line."""
    kinds = {"hospital-a": "hospital", "pharmacy-b": "pharmacy", "gp-b": "gp"}
    sites = [name for name in kinds if name in SMALLEST[standing.name]]
    client, server = (kinds[sites[0]], kinds[sites[-1]])
    text = _SCENARIO.format(network=standing.name, sites=len(sites), client=client, server=server)
    (standing.terminal.directory / "tiny.yaml").write_text(text)
    done = standing.terminal.run("scenario", "run", "tiny.yaml")
    said = (done.stdout + done.stderr).decode()
    assert "Traceback" not in said
    if standing.name in NO_PAIR:
        assert done.returncode == 2 and len(said.splitlines()) == 1 and "tiny.yaml:" in said, said
    else:
        assert done.returncode in (0, 3) and "heard" in said, said  # void where the machine is slow


_SCENARIO = """
name: tiny
description: one flow on one of the smallest networks, whose access link fails
network: {{from: {network}.yaml, sites: {sites}, seed: 1}}
policy: open
duration: 2 s
timeline:
  cut: {{at: 1 s, fail: {{access: hospital-a/wan0}}}}
phases: {{before: {{from: start, to: cut}}}}
traffic:
  calls: {{kind: voice, service: udp, count: 1, from: {{kind: [{client}]}}, to: {{kind: [{server}]}}}}
checks:
  heard: {{metric: received, class: best-effort, over: together, limit: "> 0"}}
"""
