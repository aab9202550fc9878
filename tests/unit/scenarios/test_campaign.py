"""Campaigns, with a machine that gives each run a verdict in place of an emulated network."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_network import DESCRIPTION

from helsewan.common.errors import InputError
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.emulation.routers.switches import RouterKind
from helsewan.lab.processes.run_directory import conclude, make_directory
from helsewan.scenarios.repetition import campaign, shrink
from helsewan.scenarios.repetition.campaign import Request, run_scenario
from helsewan.scenarios.repetition.random_faults import PREFIX
from helsewan.scenarios.repetition.seeds import derived_seed
from helsewan.scenarios.run.kept_inputs import FOLDER, SCENARIO, keep
from helsewan.scenarios.run.launcher import Ended
from helsewan.scenarios.run.preparation import Prepared, prepare

TEXT = """
name: small
description: for campaigns
network: {from: small.yaml, sites: 3, seed: 5}
policy: national
duration: 4 s
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
checks:
  isolation: {metric: leaked, limit: "== 0"}
  loss: {metric: loss, class: voice, limit: "< 1 %"}
"""
Verdict = Callable[[Prepared, int], str]


@pytest.fixture
def request_of(tmp_path: Path) -> Callable[..., Request]:
    (tmp_path / "small.yaml").write_text(DESCRIPTION)
    (tmp_path / "scenario.yaml").write_text(TEXT)

    def made(repeat: int | None = None, *, faults: bool = False) -> Request:
        carried = Forwarding(Dataplane.ENGINE, RouterKind.PRIVATE)
        name = str(tmp_path / "scenario.yaml")
        return Request(name, {}, None, None, repeat, faults, carried, tmp_path / "results", False)

    return made


def machine(verdict: Verdict) -> tuple[Callable[..., Ended], list[Prepared]]:
    """What runs a scenario: each run's verdict is that of ``verdict``, given what runs and the run's number."""
    runs: list[Prepared] = []

    def run(prepared: Prepared, forwarding: Forwarding, parent: Path, debug: bool) -> Ended:
        runs.append(prepared)
        directory = make_directory(parent)
        keep(directory, prepared, forwarding)
        said = verdict(prepared, len(runs))
        check = {
            "name": "loss", "metric": "loss", "passed": said != "fail", "value": 0.0, "limit": "< 1 %", "unit": "share",
            "detail": "", "conclusive": False, "severity": "must",
        }  # fmt: skip
        result: dict[str, Any] = {
            "schema": 4, "scenario": "small", "seed": prepared.scenario.network.seed, "verdict": said,
            "exit_code": {"pass": 0, "fail": 1, "error": 70}.get(said, 3), "checks": [check],
            "void": ["the run ended before its verdict: interrupted"] if said == "interrupted" else [],
            "classes": {}, "traffic": {},
        }  # fmt: skip
        if said == "interrupted":
            result["verdict"] = "void"
        (directory / "result.json").write_text(json.dumps(result))
        conclude(directory)
        return Ended(directory, result)

    return run, runs


@pytest.fixture
def runs_as(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Verdict], list[Prepared]]]:
    def install(verdict: Verdict) -> list[Prepared]:
        run, runs = machine(verdict)
        for module in (campaign, shrink):
            monkeypatch.setattr(module, "run", run)
            monkeypatch.setattr(module, "require", lambda *_: None)
        return runs

    yield install


def summary_in(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "results/small/latest/summary.json").read_text())
    return found


Runs = Callable[[Verdict], list[Prepared]]
Make = Callable[..., Request]


def test_every_run_has_a_seed_and_a_directory_of_its_own(request_of: Make, runs_as: Runs, tmp_path: Path) -> None:
    runs = runs_as(lambda prepared, number: "pass")
    assert run_scenario(request_of(4)) == 0
    seeds = [prepared.scenario.network.seed for prepared in runs]
    assert seeds == [derived_seed(5, number) for number in range(1, 5)]
    assert len({repr(prepared.traffic.flows) for prepared in runs}) == 4
    summary = summary_in(tmp_path)
    assert [row["seed"] for row in summary["runs"]] == seeds
    assert len({row["run"] for row in summary["runs"]}) == 4
    assert all((tmp_path / "results/small/latest" / row["run"] / FOLDER / SCENARIO).exists() for row in summary["runs"])
    assert summary["passed"]["passed"] == 4


def test_a_file_says_how_often_and_the_option_says_otherwise(request_of: Make, runs_as: Runs, tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(TEXT + "repeat: 3\n")
    runs = runs_as(lambda prepared, number: "pass")
    run_scenario(request_of())
    assert len(runs) == 3
    run_scenario(request_of(1))
    assert len(runs) == 4


def test_one_run_has_no_summary(request_of: Make, runs_as: Runs, tmp_path: Path) -> None:
    runs_as(lambda prepared, number: "fail")
    assert run_scenario(request_of()) == 1
    assert not list(tmp_path.glob("results/**/summary.json"))


@pytest.mark.parametrize(
    ("verdicts", "code", "made"),
    [
        (["pass", "fail", "pass"], 1, 3),
        (["pass", "void", "pass"], 3, 3),
        (["pass", "interrupted", "pass"], 3, 2),
        (["pass", "error", "pass"], 70, 2),
    ],
)
def test_what_a_campaign_comes_to(
    verdicts: list[str], code: int, made: int, request_of: Make, runs_as: Runs, tmp_path: Path
) -> None:
    runs = runs_as(lambda prepared, number: verdicts[number - 1])
    assert run_scenario(request_of(3)) == code
    assert (len(runs), summary_in(tmp_path)["exit_code"]) == (made, code)


def test_input_of_any_run_is_looked_at_before_the_first(request_of: Make, runs_as: Runs, tmp_path: Path) -> None:
    runs = runs_as(lambda prepared, number: "pass")
    for repeat in (0, 1001):
        with pytest.raises(InputError, match="--repeat"):
            run_scenario(request_of(repeat))
    assert not runs and not (tmp_path / "results").exists()


def test_random_faults_stand_in_every_runs_own_scenario(request_of: Make, runs_as: Runs, tmp_path: Path) -> None:
    runs = runs_as(lambda prepared, number: "pass")
    run_scenario(request_of(5, faults=True))
    assert len({str(prepared.scenario.spec.timeline) for prepared in runs}) > 1
    for row, prepared in zip(summary_in(tmp_path)["runs"], runs, strict=True):
        file = tmp_path / "results/small/latest" / row["run"] / FOLDER / SCENARIO
        again = prepare(str(file), {})
        assert again.scenario.spec.timeline == prepared.scenario.spec.timeline
        assert any(name.startswith(PREFIX) for name in again.scenario.spec.timeline)
    assert summary_in(tmp_path)["faults"]["kinds"]["link"] == 8


# --- shrinking a run -------------------------------------------------------------------------------------------


def broken(prepared: Prepared, number: int) -> str:
    """A network on which a call is lost whenever anything fails on the link between the south and the middle."""
    return "fail" if "middle-south" in str(prepared.targets) else "pass"


def test_a_failed_run_is_shrunk_to_a_scenario_that_fails(
    request_of: Make, runs_as: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = TEXT + (
        "timeline:\n  one: {at: 1 s, for: 1 s, fail: {link: north-middle}}\n"
        "  two: {at: 1500 ms, for: 800 ms, fail: {link: middle-south}}\n"
        "  three: {at: 3 s, for: 500 ms, fail: {router: north}}\n"
    )
    (tmp_path / "scenario.yaml").write_text(text)
    runs = runs_as(broken)
    assert run_scenario(request_of(2)) == 1
    made = len(runs)
    assert shrink.shrink(tmp_path / "results/small/latest", tmp_path / "shrunk", 40, False) == 0
    assert len(runs) - made < 25
    found = prepare(str(tmp_path / "shrunk/small/latest/smallest/scenario.yaml"), {})
    assert list(found.scenario.spec.timeline) == ["two"]
    assert found.scenario.spec.timeline["two"].lasts == 10_000
    assert list(found.scenario.spec.checks) == ["loss"]
    assert broken(found, 0) == "fail"
    assert "fails still by loss" in capsys.readouterr().out


def test_what_does_not_fail_again_is_not_shrunk(
    request_of: Make, runs_as: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs_as(lambda prepared, number: "fail" if number == 1 else "pass")
    run_scenario(request_of())
    assert shrink.shrink(tmp_path / "results/small/latest", tmp_path / "shrunk", 40, False) == 3
    assert "did not fail again in 3 runs" in capsys.readouterr().out


def test_what_did_not_fail_is_refused(request_of: Make, runs_as: Runs, tmp_path: Path) -> None:
    runs_as(lambda prepared, number: "pass")
    run_scenario(request_of())
    with pytest.raises(InputError, match="is a run with the verdict pass: there is no failure to shrink"):
        shrink.shrink(tmp_path / "results/small/latest", tmp_path / "shrunk", 40, False)
    with pytest.raises(InputError, match=r"RESULTS: '.*' is no result"):
        shrink.shrink(tmp_path, tmp_path / "shrunk", 40, False)
    with pytest.raises(InputError, match="--max-runs: 0 is no number of runs"):
        shrink.shrink(tmp_path, tmp_path / "shrunk", 0, False)
    assert not (tmp_path / "shrunk").exists()
