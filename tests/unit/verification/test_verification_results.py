"""Reports of a verification for programs and users, on sample findings whose traces follow real rules."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sample_reports import leak, report
from scapy.utils import rdpcap

from helsewan.cli.tables.verification import print_report
from helsewan.cli.verify import verify
from helsewan.common.errors import InputError
from helsewan.lab.proofs.verification import Verified
from helsewan.lab.proofs.witness_files import write_witnesses
from helsewan.verification.findings import FindingKind, VerificationReport
from helsewan.verification.live.live_report import LiveReport
from helsewan.verification.reports.results import as_json, as_junit, as_text
from helsewan.verification.reports.witness import scapy_packet


def test_json_has_all_that_was_found() -> None:
    data = json.loads(json.dumps(as_json(report(FindingKind.LOOP, FindingKind.SHADOWED), "intended")))
    assert (data["format"], data["verdict"], data["exit_code"]) == ("helsewan-verification/1", "violated", 1)
    assert (data["policy"], data["network"], data["rules"]) == ("mine", "small", "intended")
    first, second = data["violations"]
    assert (first["kind"], first["case"], first["source"], first["alike"]) == ("leak", "intact", "mine.yaml:12", 3)
    assert first["packet"]["fields"]["tcp_dst"] == 443 and "TCP(" in first["packet"]["scapy"]
    trace = leak().trace
    assert trace is not None
    assert [hop["router"] for hop in first["way"]["hops"]] == list(trace.routers)
    assert first["way"]["hops"][0]["entries"][0].startswith("table admit, ")
    assert (second["packet"], second["way"], second["where"]) == (None, None, "north: table 1")
    assert [flaw["kind"] for flaw in data["flaws"]] == ["shadowed"]
    assert data["proofs"][0]["cases"] == ["intact", "link a-b"] and data["figures"]["total_s"] == 1.5


def test_the_manual_has_every_key_and_option() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "verify.md").read_text(encoding="utf-8")
    data = as_json(report(FindingKind.LOOP), "intended", LiveReport(1, (), (), (), ()))
    finding = data["violations"][0]
    parts = (
        data,
        finding,
        finding["packet"],
        finding["way"],
        finding["way"]["hops"][0],
        data["proofs"][0],
        data["live"],
    )
    missing = [key for part in parts for key in part if f"`{key}`" not in manual]
    options = [name for option in inspect.signature(verify).parameters.values() for name in _names(option.annotation)]
    missing += [name for name in options if name not in manual]
    missing += [kind.value for kind in FindingKind if f"`{kind.value}`" not in manual]
    assert "--replay" in options and missing == []


def _names(annotation: Any) -> list[str]:
    """The option's names; those that all commands have are documented elsewhere."""
    text = str(annotation)
    return re.findall(r"'(--[a-z-]+)'", text)


def test_a_proof_without_violations_is_one() -> None:
    clean = VerificationReport("mine", "small", (), report().proofs)
    assert (as_json(clean, "x")["verdict"], as_json(clean, "x")["exit_code"]) == ("proved", 0)


def test_junit_has_a_case_for_each_kind_and_proof() -> None:
    suites = ElementTree.fromstring(as_junit(report(FindingKind.LOOP, FindingKind.LOOP, FindingKind.SHADOWED)))
    (suite,) = suites
    assert {name: suite.get(name) for name in ("tests", "failures", "time")} == {
        "tests": "3", "failures": "2", "time": "1.500",
    }  # fmt: skip
    failed = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert list(failed) == ["leak: intact", "loop: intact", "nothing is delivered that no contract allows"]
    assert failed["loop: intact"].get("message") == "2 found, for example says <this> & [that]"
    assert "scapy: Ether(" in failed["leak: intact"].text and failed[list(failed)[2]] is None
    assert {each.get("name"): each.get("value") for each in suite.iter("property")}["flaws.shadowed"] == "1"


def test_people_are_told_the_packet_the_line_and_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(Verified(report(FindingKind.LOOP, FindingKind.SHADOWED), "intended"), list_dead_rules=False)
    said = capsys.readouterr().out
    for expected in (
        "mine.yaml:12",
        "TCP 10.",
        "scapy: Ether(",
        "table admit, ",
        "1 shadowed (--dead-rules lists them)",
    ):
        assert expected in said, said
    assert said.rstrip().endswith("violated: 1 leak, 1 loop")
    assert said.index("violations") < said.index("proved") < said.index("no violation: ")
    print_report(Verified(VerificationReport("mine", "small", (), report().proofs), "intended"), list_dead_rules=True)
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert last.startswith("proved: no violation of the policy; 12 access links, 132 pairs of sites")


def test_flaws_are_listed_where_asked(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(Verified(report(FindingKind.UNREACHED), "intended"), list_dead_rules=True)
    assert "  unreached: north: table 1: says <this> & [that]" in capsys.readouterr().out


def test_a_witness_is_a_capture_a_text_and_what_a_replay_needs(tmp_path: Path) -> None:
    write_witnesses(tmp_path / "w", report(FindingKind.LOOP).violations)
    names = sorted(path.name for path in (tmp_path / "w").iterdir())
    assert names == ["001-leak.json", "001-leak.pcap", "001-leak.txt", "002-loop.txt"]
    (frame,) = rdpcap(str(tmp_path / "w" / "001-leak.pcap"))
    packet = leak().packet
    assert packet is not None
    assert bytes(frame) == bytes(scapy_packet(packet))
    data: dict[str, Any] = json.loads((tmp_path / "w" / "001-leak.json").read_text())
    assert data["format"] == "helsewan-witness/1" and data["from"]["site"] == leak().site
    assert (tmp_path / "w" / "001-leak.txt").read_text() == as_text(leak()) + "\n"
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "w").iterdir())


def test_witnesses_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "w").touch()
    with pytest.raises(InputError, match=re.escape(f"--witness: '{tmp_path / 'w'}' Not a directory")):
        write_witnesses(tmp_path / "w", ())
