"""`helsewan verify` without a network that stands: what it proves, writes and refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_network import DESCRIPTION as SMALL
from typer.testing import CliRunner, Result

from helsewan.cli.main import app
from helsewan.common.errors import InputError
from helsewan.controller.rules.paths import Failures
from helsewan.lab.proofs.verification import Verified, as_it_stands
from helsewan.verification.dump.dump import read
from helsewan.verification.findings import FailureCase, FindingKind, VerificationFinding, VerificationReport
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports.results import as_json

GP_C = "02:51:00:00:00:03"  # its MAC address


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a directory with a network's file, where no network is running."""
    (tmp_path / "small.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HELSEWAN_RUNTIME_DIR", str(tmp_path / "place"))
    yield


def run(*argv: str) -> Result:
    return CliRunner().invoke(app, argv)


def refused(*argv: str) -> str:
    """What a command says that is not carried out."""
    result = run(*argv)
    assert isinstance(result.exception, InputError), result
    assert result.stdout == ""
    return str(result.exception)


def dumped() -> list[str]:
    assert run("rules", "dump", "--from", "small.yaml", "--policy", "open", "--output", "d.jsonl").exit_code == 0
    return Path("d.jsonl").read_text().splitlines()


def broken(*words: str) -> str:
    """A dump without the first of its rules that has all these words in it; the rule."""
    lines = dumped()
    gone = next(line for line in lines[3:] if all(word in line for word in words))
    lines.remove(gone)
    Path("d.jsonl").write_text("\n".join(lines))
    return gone


def test_the_rules_that_a_policy_means_are_proved() -> None:
    result = run("verify", "--static", "--from", "small.yaml", "--policy", "open", "--json", "--failures", "single")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["verdict"], data["violations"]) == (0, "proved", [])
    assert (data["policy"], data["network"], data["rules"]) == ("open", "small", "intended")
    assert len(data["proofs"][0]["cases"]) > len(read_network_links())


def read_network_links() -> tuple[str, ...]:
    dumped()
    return tuple(read(Path("d.jsonl").read_bytes(), "d").network.link)


def test_a_dump_is_judged_by_the_policy_in_it() -> None:
    dumped()
    result = run("verify", "--rules", "d.jsonl")
    assert result.exit_code == 0, result.stdout
    assert result.stdout.rstrip().splitlines()[-1].startswith("proved: no violation of the policy; ")


def test_a_rule_that_is_lost_shows_in_table_junit_and_witness() -> None:
    gone = broken('"table": "deliver"', '"ipv4_dst"', GP_C)
    result = run("verify", "--rules", "d.jsonl", "--junit", "out.xml", "--witness", "w")
    assert result.exit_code == 1, (gone, result.stdout)
    assert "blackhole" in result.stdout and "scapy: Ether(" in result.stdout
    assert "violated: " in result.stdout.splitlines()[-1]
    assert "<failure" in Path("out.xml").read_text()
    witnesses = sorted(path.suffix for path in Path("w").glob("001-*"))
    assert witnesses == [".json", ".pcap", ".txt"]
    assert "--witness: 'w' contains files" in str(run("verify", "--rules", "d.jsonl", "--witness", "w").exception)


def test_a_dump_may_be_judged_by_another_policy() -> None:
    dumped()
    result = run("verify", "--rules", "d.jsonl", "--policy", "national", "--json")
    data = json.loads(result.stdout)
    assert (result.exit_code, data["policy"]) == (1, "national")
    assert "leak" in {each["kind"] for each in data["violations"]}


def test_intended_rules_are_the_same_file_each_time() -> None:
    first = dumped()
    os.unlink("d.jsonl")
    assert dumped() == first


CASES = {
    "no network": (["verify"], "no network is running (hint: start one with `helsewan up`)"),
    "no such network": (["verify", "--name", "x"], "no network is running"),
    "an unknown policy": (["verify", "--policy", "nationl"], "policy: 'nationl' is not in the library"),
    "no file": (["verify", "--rules", "no.jsonl"], "no.jsonl: no such file"),
    "no dump": (["verify", "--rules", "small.yaml"], "small.yaml:1: is no line of rules"),
    "two sources": (["verify", "--rules", "d", "--name", "n"], "--rules: 'd' is not the network that --name means"),
    "two networks": (["verify", "--rules", "d", "--sites", "90"], "--sites: cannot be combined with a dump"),
    "a running and another": (["verify", "--name", "n", "--from", "small.yaml"], "--from: cannot be combined"),
    "a scope": (["verify", "--policy", "open", "--failures", "all"], "--failures: 'all' is no scope (hint: one of"),
    "two ways": (["verify", "--static", "--live"], "--static, --live, --all: exclude each other"),
    "live on nothing": (["verify", "--live", "--policy", "open"], "--live: needs a running network"),
    "replay of nothing": (["verify", "--replay", "w.json", "--rules", "d"], "--replay: 'w.json' needs a running"),
    "no witness": (["verify", "--replay", "small.yaml"], "--replay: 'small.yaml' is no witness (hint: name the .json"),
    "no place": (["rules", "dump", "--policy", "open", "--output", "no/d"], "--output: 'no/d' No such file"),
    "of a network and a policy": (["rules", "dump", "--name", "n", "--policy", "open"], "--policy: 'open' cannot be"),
    "no place for JUnit": (["verify", "--policy", "open", "--junit", "no/x.xml"], "--junit: 'no/x.xml' is in no exist"),
    "no place for witnesses": (["verify", "--policy", "open", "--witness", "."], "--witness: '.' contains files"),
    "probes of no network": (["verify", "--policy", "open", "--probes", "5"], "--probes: 5 has no effect here"),
    "a seed for no probes": (["verify", "--policy", "open", "--probe-seed", "5"], "--probe-seed: 5 has no effect"),
    "probes by their old name": (["verify", "--policy", "open", "--questions", "5"], "--probes: 5 has no effect here"),
    "a seed by its old name": (["verify", "--policy", "open", "--lot", "5"], "--probe-seed: 5 has no effect here"),
    "failures of the living": (["verify", "--live", "--failures", "srlg"], "--failures: 'srlg' has no effect here"),
    "too few sites": (["rules", "dump", "--sites", "0"], "--sites: 0 is too few"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_said_in_one_line(case: str) -> None:
    argv, said = CASES[case]
    told = refused(*argv)
    assert said in told and "\n" not in told, told


def test_a_broken_rule_is_told_with_its_place() -> None:
    lines = dumped()
    number = next(n for n, line in enumerate(lines) if '"ipv4_src"' in line)
    lines[number] = lines[number].replace('"ipv4_src": "10.', '"ipv4_src": "1000.')
    Path("d.jsonl").write_text("\n".join(lines))
    told = refused("verify", "--rules", "d.jsonl")
    assert told.startswith(f"d.jsonl:{number + 1}: flow.match.ipv4_src: '1000.") and "is no IPv4 address" in told


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "helsewan-witness/2"}, "w.json: format: 'helsewan-witness/2' is not allowed"),
        ({"from": {"site": "a", "line": 7}}, "w.json: from.line: 7 "),
        ({"packet": None}, "w.json: packet: "),
        ({"packet": {"fields": {"ip_dscp": "x"}, "labels": []}}, "w.json: packet.fields.ip_dscp: 'x' should be a"),
    ],
)  # fmt: skip
def test_a_witness_is_checked(change: dict[str, object], said: str) -> None:
    witness = {
        "format": "helsewan-witness/1", "kind": "leak", "says": "", "from": {"site": "a", "line": 0},
        "packet": {"fields": {}, "labels": []}, "way": {"end": "dropped", "site": None},
    }  # fmt: skip
    Path("w.json").write_text(json.dumps(witness | change))
    assert refused("verify", "--replay", "w.json").startswith(said)


def test_what_is_down_already_is_so_in_every_case() -> None:
    intact, link = FailureCase("intact", Failures()), FailureCase("link a", Failures(frozenset({"a"})))
    assert as_it_stands((intact, link), Failures()) == (intact, link)
    down = Failures(frozenset({"b"}), frozenset({"r"}), access_links=frozenset({("s", 1)}))
    assert as_it_stands((intact, link), down) == (
        FailureCase("intact, as it stands", down),
        FailureCase(
            "link a, as it stands", Failures(frozenset({"a", "b"}), down.routers, access_links=down.access_links)
        ),
    )


def test_a_network_that_could_not_hear_is_no_proof() -> None:
    proved = VerificationReport("p", "n", (), ())
    deaf = LiveReport(1, (), (), (), ("a/wan0",))
    assert Verified(proved, "x", LiveReport(1, (), (), (), ())).exit_code == 0
    assert Verified(proved, "x", deaf).exit_code == 3 == as_json(proved, "x", deaf)["exit_code"]
    broken = VerificationReport("p", "n", (VerificationFinding(FindingKind.LOOP, "intact", "", ""),), ())
    assert Verified(broken, "x", deaf).exit_code == 1 == as_json(broken, "x", deaf)["exit_code"]
