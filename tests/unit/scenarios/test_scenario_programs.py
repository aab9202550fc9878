"""Programs at sites in scenarios: what their entries mean, what is refused, and how they are judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_network import DESCRIPTION

from helsewan.lab.programs.engine import STDERR, STDOUT
from helsewan.lab.programs.records import Ending, ProgramResult
from helsewan.scenarios.results.program_checks import judge_programs
from helsewan.scenarios.run.preparation import Prepared, prepare
from helsewan.scenarios.traffic.programs import programs_missing

TEXT = """\
name: jobs
description: Programs at sites.
network: {from: map.yaml, sites: 3, seed: 1}
policy: open
duration: 10 s
parameters:
  count: {type: integer, default: 3, help: pings}
traffic:
  beat: {kind: messages, service: udp, count: 1, between: {kind: [hospital]}, every: 1 s, request: 64 B, reply: 64 B}
  reach:
    kind: program
    site: hospital-a
    run: [ping, -c, "${count}", "${site:hospital-b.address}"]
    at: 2 s
    timeout: 5 s
    expect: {exit: 0, stdout: " 0% packet loss"}
checks:
  loss: {metric: loss, limit: "< 1 %"}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "map.yaml").write_text(DESCRIPTION)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prepared(text: str = TEXT) -> Prepared:
    Path("jobs.yaml").write_text(text)
    return prepare("jobs.yaml", {})


def test_parameters_and_addresses_of_sites_are_filled_in() -> None:
    ready = prepared()
    (program,) = ready.traffic.programs
    address = ready.plan.network.site["hospital-b"].address4
    assert program.argv == ("ping", "-c", "3", str(address))
    assert (program.name, program.site, program.at_us, program.timeout_us) == (
        "reach",
        "hospital-a",
        2_000_000,
        5_000_000,
    )


@pytest.mark.parametrize("field", ["address6", "gateway", "prefix4", "prefix6"])
def test_more_is_known_of_a_site(field: str) -> None:
    (program,) = prepared(TEXT.replace("hospital-b.address", f"hospital-b.{field}")).traffic.programs
    assert ":" in program.argv[3] if "6" in field else program.argv[3].count(".") == 3


def test_a_program_may_be_written_as_a_text_and_names_files_beside_the_scenario(folder: Path) -> None:
    (folder / "calls.pcap").write_bytes(b"")
    text = TEXT.replace('[ping, -c, "${count}", "${site:hospital-b.address}"]', "tcpreplay -i wan0 'a b' calls.pcap")
    (program,) = prepared(text).traffic.programs
    assert program.argv == ("tcpreplay", "-i", "wan0", "a b", str(folder / "calls.pcap"))


def test_a_program_that_is_not_installed_is_told_before_the_run() -> None:
    ready = prepared(TEXT.replace("run: [ping", "run: [no-such-program"))
    (problem,) = programs_missing(ready.scenario, ready.traffic.programs)
    assert str(problem) == (
        "jobs.yaml:13: traffic.reach.run: 'no-such-program' is not installed on this machine "
        "(hint: install it, or name its path)"
    )


@pytest.mark.parametrize(
    ("code", "out", "passed", "detail"),
    [
        (0, "3 received, 0% packet loss\n", True, "at hospital-a, 2.0 s"),
        (1, "3 received, 0% packet loss\n", False, "exit status 1"),
        (0, "3 received, 33% packet loss\n", False, "stdout is otherwise: '3 received, 33% packet loss'"),
        (0, "", False, "stdout is otherwise: empty"),
        (2, "nothing", False, "exit status 2; stdout is otherwise: 'nothing'"),
        (None, "", False, "was not started: Permission denied"),
    ],
)
def test_a_program_is_judged_by_what_is_expected(
    code: int | None, out: str, passed: bool, detail: str, folder: Path
) -> None:
    ready = prepared()
    (program,) = ready.traffic.programs
    (folder / "reach").mkdir()
    (folder / "reach" / STDOUT).write_text(out)
    (folder / "reach" / STDERR).write_text("")
    ending = Ending.EXITED if code is not None else Ending.NOT_STARTED
    result = ProgramResult(program, ending, 2_000_000, 4_000_000, code, len(out), 0, "Permission denied")
    (check,) = judge_programs(ready.scenario.spec, [result], folder)
    assert (check.name, check.limit) == ("reach.expect", "exit 0, stdout contains ' 0% packet loss'")
    assert (check.passed, check.detail) == (passed, detail)


def test_a_regular_expression_looks_at_lines(folder: Path) -> None:
    text = TEXT.replace('" 0% packet loss"', "{regex: '^rtt .*/0\\.'}")
    ready = prepared(text)
    (program,) = ready.traffic.programs
    (folder / "reach").mkdir()
    (folder / "reach" / STDOUT).write_text("3 packets\nrtt min/avg/max = 1.0/0.5/2\n")
    (check,) = judge_programs(ready.scenario.spec, [ProgramResult(program, Ending.EXITED, 0, 1, 0, 10, 0)], folder)
    assert check.passed
