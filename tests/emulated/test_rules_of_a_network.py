"""The rules of a network that stands, read from its switches, and what is proved of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from short_run import wait_until_gone
from terminal import Terminal
from waiting import wait_for

from helsewan.controller.update.rule_diff import difference
from helsewan.verification.dump.dump import Dump, read


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal beside one at which a network stands."""
    terminal = Terminal(tmp_path_factory.mktemp("rules"))
    done = terminal.run("up", "--from", "small.yaml", "--policy", "open", "--detach")
    assert done.returncode == 0, done.stderr
    yield terminal
    assert terminal.run("down").returncode == 0
    wait_until_gone(terminal.directory)


def dump(terminal: Terminal, *options: str) -> Dump:
    """What `rules dump` writes."""
    done = terminal.run("rules", "dump", "--output", "rules.jsonl.gz", *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    path = terminal.directory / "rules.jsonl.gz"
    assert path.stat().st_mode & 0o777 == 0o600
    return read(path.read_bytes(), path.name)


@contextmanager
def controller_held(terminal: Terminal) -> Iterator[None]:
    """Meanwhile the controller does not see what becomes of its rules."""
    found = terminal.run("exec", "north", "--", "pgrep", "-f", "controller[.]main")
    (pid,) = found.stdout.decode().split()
    assert terminal.run("exec", "north", "--", "kill", "-STOP", pid).returncode == 0
    try:
        yield
    finally:
        assert terminal.run("exec", "north", "--", "kill", "-CONT", pid).returncode == 0


def ofctl(terminal: Terminal, router: str, command: str, *argv: str) -> None:
    """Change a router's flows: options, then the flow."""
    switch = f"unix:/run/helsewan/{router}/br0.mgmt"
    *options, flow = argv
    done = terminal.run("exec", router, "--", "ovs-ofctl", "-O", "OpenFlow13", *options, command, switch, flow)
    assert done.returncode == 0, done.stderr


def test_switches_hold_what_is_intended(terminal: Terminal) -> None:
    held, meant = dump(terminal), dump(terminal, "--from", "small.yaml", "--policy", "open")
    assert held.plan == meant.plan and held.down == meant.down
    assert meant.taken == "intended" and held.taken.startswith("read from the switches of network default at ")
    assert held.rules.keys() == meant.rules.keys() == set(held.network.router)
    for router, rules in meant.rules.items():
        assert len(rules) > 50 and not len(difference(rules, held.rules[router]))


def test_a_dump_can_be_piped(terminal: Terminal) -> None:
    done = terminal.run("rules", "dump")
    assert done.returncode == 0 and not done.stderr
    assert read(done.stdout, "pipe").rules == dump(terminal).rules


def test_what_is_down_is_told_with_the_rules(terminal: Terminal) -> None:
    for line in ("north-south", "hospital-a/wan1"):
        assert terminal.run("link", "set", line, "--down").returncode == 0
    wait_for(lambda: bool(dump(terminal).down.access_links), "the line to be dark")
    down = dump(terminal).down
    assert (down.links, down.routers, down.access_links) == ({"south-north"}, frozenset(), {("hospital-a", 1)})
    assert terminal.run("link", "set", "*", "--reset").returncode == 0
    wait_for(lambda: not dump(terminal).down.links | dump(terminal).down.access_links, "light")


def test_a_rule_of_somebody_else_is_read_as_it_is(terminal: Terminal) -> None:
    with controller_held(terminal):
        before = dump(terminal)
        ofctl(terminal, "south", "add-flow", "table=42,priority=7,tun_id=5,actions=flood,learn(table=43)")
        held = dump(terminal)
        added = set(held.rules["south"].flows) - set(before.rules["south"].flows)
        (rule,) = added
        assert (int(rule.table), rule.priority) == (42, 7) and "Foreign" in str(rule)
        ofctl(terminal, "south", "del-flows", "table=42")


def verified(terminal: Terminal, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit code and JSON of `verify`."""
    done = terminal.run("verify", "--json", *options)
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_network_is_proved_both_ways_until_a_rule_is_changed(terminal: Terminal) -> None:
    code, report = verified(terminal, "--all", "--probes", "40")
    assert (code, report["violations"]) == (0, []) and report["proofs"]
    assert report["live"]["deaf"] == [] and sum(row["asked"] for row in report["live"]["answers"]) > 40
    (prefix,) = {str(site.prefix4) for site in dump(terminal).network.sites if site.id == "gp-c"}
    with controller_held(terminal):
        ofctl(terminal, "middle", "mod-flows", f"table=7,ip,nw_dst={prefix},actions=drop")
        code, report = verified(terminal, "--static", "--witness", "witness")
        assert code == 1
        for violation in report["violations"]:
            assert (violation["kind"], violation["to"]) in {("blackhole", "gp-c"), ("one-way", "gp-c")}
            last = violation["way"]["hops"][-1]
            assert last["router"] == "middle" and "table deliver" in last["entries"][-1]
        witness = next((terminal.directory / "witness").glob("*-blackhole.json"))
        assert witness.with_suffix(".pcap").exists()
        replayed = terminal.run("verify", "--replay", str(witness))
        assert replayed.returncode == 1 and b"arrives nowhere" in replayed.stdout, replayed
    wait_for(lambda: verified(terminal, "--static")[0] == 0, "the controller to repair it")
    replayed = terminal.run("verify", "--replay", str(witness))
    assert replayed.returncode == 0 and b"arrives at gp-c: " in replayed.stdout, replayed


def test_a_packet_that_leaks_by_the_rules_leaks_on_the_network(terminal: Terminal) -> None:
    """A router that asks for no contract: the packet of the proof arrives."""
    with controller_held(terminal):
        ofctl(terminal, "middle", "add-flow", "table=2,priority=1000,ip,actions=goto_table:3")
        code, report = verified(terminal, "--static", "--witness", "leaks")
        leak = next(path for path in sorted((terminal.directory / "leaks").glob("*.json")) if "leak" in path.name)
        assert code == 1 and report["violations"]
        replayed = terminal.run("verify", "--replay", str(leak))
        assert replayed.returncode == 1 and b"arrives at " in replayed.stdout, replayed
        ofctl(terminal, "middle", "del-flows", "--strict", "table=2,priority=1000,ip")
