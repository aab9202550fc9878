"""Two runs or campaigns compared, and the summary of one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from helsewan.common.errors import InputError
from helsewan.scenarios.repetition.compare_results import compare_results, parse_allowed, print_comparison, runs_in
from helsewan.scenarios.repetition.comparison import COMPARED, Allowed, Compared, compare
from helsewan.scenarios.repetition.summary import SUMMARY, RunOutcome, print_summary, summarise
from helsewan.scenarios.results.files.figures_file import FIGURES
from helsewan.scenarios.results.report import SCHEMA
from helsewan.scenarios.spec.checks.metrics import Unit

Result = dict[str, Any]


def check(name: str, passed: bool | None, value: float | None = 1.0, severity: str = "must") -> Result:
    return {
        "name": name, "metric": "gap", "passed": passed, "value": value, "limit": "< 50 ms", "unit": "us",
        "detail": "", "conclusive": False, "severity": severity,
    }  # fmt: skip


def result(seed: int, delay_us: float, passed: bool = True, verdict: str = "") -> Result:
    """A run whose delays are about ``delay_us``, a little different for each seed; ``verdict``: that of a run that was
    not judged."""
    delay = delay_us + Random(seed).random() * 100
    figures = {"before": {"sent": 100, "delay_p50_us": delay, "loss": 0.0, "mos": 4.3, "gap_us": None}}
    return {
        "schema": SCHEMA, "scenario": "small", "verdict": verdict or ("pass" if passed else "fail"),
        "exit_code": {"void": 3, "error": 70}.get(verdict, 0 if passed else 1), "policy": "national",
        "seed": seed, "sites": 120, "parameters": {}, "versions": {"helsewan": "0.1.0"},
        "void": ["bodo was late"] if verdict == "void" else [], "checks": [check("it", passed, delay_us)],
        "classes": {"voice": figures}, "traffic": {"calls": figures},
    }  # fmt: skip


def run(seed: int, delay_us: float, passed: bool = True, verdict: str = "", flows: int = 12) -> Compared:
    """The same with flows, each of which has a delay of its own."""
    rng = Random(seed)
    delays = {f"calls/{n}": delay_us * (1 + n / 20) + rng.random() * 100 for n in range(flows)}
    by_flow = {("voice", "before", "delay_p50_us"): delays}
    return Compared(result(seed, delay_us, passed, verdict), by_flow)


FIVE = Allowed(share=0.05)


def test_two_runs_are_compared_flow_by_flow() -> None:
    found = compare([run(1, 10_000)], [run(1, 11_000)], FIVE)
    (row,) = [row for row in found.figures if row.differs]
    assert found.by_flow and row.is_worse and row.difference.units == (12, 12)
    assert row.what == "flows of class voice, before" and row.metric.name == "delay_p50"
    assert not compare([run(1, 10_000)], [run(1, 11_000)], Allowed(share=0.2)).is_worse
    assert not compare([run(1, 10_000)], [run(1, 9_000)], FIVE).is_worse


def test_two_campaigns_are_compared_run_by_run() -> None:
    a = [run(seed, 10_000 + 100 * seed) for seed in range(8)]
    b = [run(seed + 100, 12_000 + 100 * seed) for seed in range(8)]
    found = compare(a, b, FIVE)
    assert {row.what for row in found.figures if row.is_worse} == {"class voice, before", "traffic calls, before"}
    assert all(row.metric.name == "delay_p50" for row in found.figures if row.differs)
    assert not compare(a, a, FIVE).is_worse


def test_one_unit_of_margin_says_nothing_of_others() -> None:
    a, b = [run(1, 10_000)], [run(1, 11_000)]
    assert compare(a, b, Allowed(offset=500, unit=Unit.DURATION)).is_worse
    assert not compare(a, b, Allowed(offset=5_000, unit=Unit.DURATION)).is_worse
    assert compare(a, b, Allowed(offset=0.1, unit=Unit.MOS)).figures == []


def test_too_few_values_are_told_and_judged_by_size() -> None:
    found = compare([run(1, 10_000, flows=2)], [run(1, 12_000, flows=2)], FIVE)
    (row,) = found.figures
    assert row.is_worse and row.p != row.p
    assert not compare([run(1, 10_000, flows=2)], [run(1, 10_100, flows=2)], FIVE).is_worse


def test_checks_and_what_else_differs_are_told() -> None:
    other = run(2, 10_000, passed=False)
    other.result["versions"] = {"helsewan": "0.2.0"}
    found = compare([run(1, 10_000)], [other], FIVE)
    (row,) = found.checks
    assert (row.a, row.b, row.is_worse) == ((1, 1), (0, 1), True)
    assert found.other == {"seed": ("1", "2"), "versions.helsewan": ("0.1.0", "0.2.0")}
    out = io.StringIO()
    print_comparison(found, "5 %", Console(file=out, width=200))
    assert "differs: versions.helsewan: 0.1.0 in A, 0.2.0 in B" in out.getvalue()
    assert "WORSE check it: passed in 1 of 1 in A and 0 of 1 in B" in out.getvalue()
    assert "B is worse than A by more than 5 %" in out.getvalue()


def test_void_runs_are_left_out_and_told() -> None:
    b = [run(1, 10_000), run(2, 90_000, verdict="void")]
    found = compare([run(1, 10_000)], b, FIVE)
    assert (found.void, found.is_worse) == ((0, 1), False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 %", Allowed(share=0.05)),
        ("2 ms", Allowed(offset=2_000, unit=Unit.DURATION)),
        ("0.2", Allowed(offset=0.2, unit=Unit.COUNT)),
    ],
)
def test_how_much_worse_is_read(text: str, expected: Allowed) -> None:
    assert parse_allowed(text) == expected


def test_no_value_is_refused() -> None:
    with pytest.raises(InputError, match="--no-worse-than: 'much' is neither a share nor a value with its unit"):
        parse_allowed("much")


# --- files ----------------------------------------------------------------------------------------------------


def write(directory: Path, found: Compared) -> Path:
    """A run's directory with the columns of figures.parquet that are compared."""
    directory.mkdir(parents=True)
    (directory / "result.json").write_text(json.dumps(found.result))
    ((_, delays),) = found.flows.items()
    rows = [
        {"level": "flow", "name": name, "phase": "before", "class": "voice", "expect": "delivered", "delay_p50_us": us}
        for name, us in delays.items()
    ]
    rows.append({**rows[0], "name": "isolation/1", "expect": "denied"})
    table = pa.Table.from_pylist([{**dict.fromkeys(COMPARED), **row} for row in rows])
    pq.write_table(table, directory / FIGURES)
    return directory


def test_runs_in_files_give_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a", run(1, 10_000)), write(tmp_path / "b", run(1, 12_000))
    assert compare_results(a, b / "result.json", None) == 0
    assert compare_results(a, b, "5 %") == 1
    assert compare_results(a, b, "40 %") == 0
    assert "B is no worse than 40 %" in capsys.readouterr().out


def test_a_campaign_is_read_with_all_its_runs(tmp_path: Path) -> None:
    runs = [RunOutcome(f"runs/{seed}", result(seed, 10_000)) for seed in range(3)]
    for each in runs:
        write(tmp_path / each.directory, Compared(each.result, run(1, 1.0).flows))
    (tmp_path / SUMMARY).write_text(json.dumps(summarise("small", 1, None, runs)))
    assert len(runs_in(tmp_path, "A")) == 3
    (alone,) = runs_in(tmp_path / "runs" / "0", "A")
    assert alone.flows == run(1, 1.0).flows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("{", "cannot be read"),
        ("[]", "is no result"),
        (json.dumps({**result(1, 1.0), "schema": 2}), "was written by another version"),
        (json.dumps(result(1, 1.0, verdict="void")), "has no run that was judged"),
    ],
)
def test_what_is_no_result_is_refused(text: str | None, said: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    with pytest.raises(InputError, match=f"A: .*{said}"):
        runs_in(tmp_path, "A")


# --- the summary of a campaign ------------------------------------------------------------------------------------


def campaign(*verdicts: str) -> Result:
    runs = [
        RunOutcome(f"runs/{seed}", result(seed, 10_000 + seed, verdict != "fail", verdict))
        for seed, verdict in enumerate(verdicts)
    ]
    return summarise("small", 1, None, runs)


@pytest.mark.parametrize(
    ("verdicts", "code", "passed", "judged"),
    [
        (["pass", "pass"], 0, 2, 2),
        (["pass", "fail", "void"], 1, 1, 2),
        (["pass", "void"], 3, 1, 1),
        (["pass", "error"], 70, 1, 1),
        (["void"], 3, 0, 0),
    ],
)
def test_void_runs_are_no_passes(verdicts: list[str], code: int, passed: int, judged: int) -> None:
    summary = campaign(*verdicts)
    assert summary["exit_code"] == code
    assert (summary["passed"]["passed"], summary["passed"]["judged"]) == (passed, judged)
    json.dumps(summary, allow_nan=False)


def test_a_summary_has_shares_spreads_and_says_what_did_not_pass() -> None:
    summary = campaign("pass", "pass", "fail", "void")
    found = summary["checks"]["it"]
    assert (found["passed"], found["judged"], found["value"]["runs"]) == (2, 3, 3)
    assert 0 < found["low"] < 2 / 3 < found["high"] < 1
    delay = summary["classes"]["voice"]["before"]["delay_p50_us"]
    assert delay["least"] <= delay["quantiles"]["0.5"] <= delay["greatest"]
    assert "gap_us" not in summary["classes"]["voice"]["before"], "no run has a value"
    out = io.StringIO()
    print_summary(summary, Console(file=out, width=200))
    assert "fail: runs/2, seed 2: it" in out.getvalue()
    assert "void: runs/3, seed 3: bodo was late" in out.getvalue()
    assert "2 of 3 judged runs passed (21 to 94 %); 1 of 4 runs say nothing and count as no pass" in out.getvalue()
