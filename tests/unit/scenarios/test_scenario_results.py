"""What a run leaves behind: its history and its result, also when it was cut off."""

from __future__ import annotations

import io
import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scenario_case import arrived_of, default_case

from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.flowspec import ExchangeSpec, FlowSpec
from helsewan.lab.flows.records import RECORD
from helsewan.lab.flows.sender_health import SenderHealth
from helsewan.lab.health.validity import assess, of_traffic
from helsewan.lab.processes.history import History, read
from helsewan.scenarios.results.checks import Evidence, RunVerdict, judge
from helsewan.scenarios.results.exchange_figures import measure_exchanges
from helsewan.scenarios.results.measure import Window, measure
from helsewan.scenarios.results.report import RESULT, Judged, Result, build_result, void_result, write_result
from helsewan.scenarios.results.verdict import print_verdict
from helsewan.scenarios.spec.timeline.targets import Fate

SCENARIO, _, TRAFFIC = default_case()
WINDOWS = [Window(name, 0, 10_000_000) for name in ("run", *SCENARIO.spec.phases)]


@pytest.fixture(scope="module")
def result() -> Result:
    """The result of a run in which nothing arrived."""
    due = np.array([flow.due_before(flow.stop_us) for flow in TRAFFIC.flows])
    flows = measure(np.zeros(0, RECORD), TRAFFIC.flows, TRAFFIC.endpoints, WINDOWS, due)
    specs: list[FlowSpec | ExchangeSpec] = [*TRAFFIC.flows, *TRAFFIC.exchanges]
    pairs = {(spec.client, spec.server) for spec in specs}
    exchanges = measure_exchanges([], TRAFFIC.exchanges, WINDOWS)
    fates = dict.fromkeys(pairs, Fate.SURVIVING)
    evidence = Evidence(TRAFFIC, fates, flows, exchanges, arrived_of(TRAFFIC.flows, []))
    validity = assess(of_traffic(SenderHealth(20, 40_000, 900, 0, 0, 0, 0, 0, 0, 0)))
    checks = judge(SCENARIO.spec, evidence)
    return build_result(
        Judged(SCENARIO, "run-1", evidence, WINDOWS, checks, validity, RunVerdict.FAIL, {"host": {"cores": 2}})
    )


# --- history -------------------------------------------------------------------------------------


def test_events_come_back_in_order_with_their_times(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with History(path) as history:
        history.append("begun", seed=1)
        history.append("failed", target="Tromsø", path=path, fate=Fate.CUT)
    first, second = read(path)
    assert (first["event"], first["seed"]) == ("begun", 1)
    assert (second["target"], second["path"], second["fate"]) == ("Tromsø", str(path), "cut")
    assert first["monotonic_ns"] <= second["monotonic_ns"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_history_is_appended_to(tmp_path: Path) -> None:
    for seed in (1, 2):
        with History(tmp_path / "h") as history:
            history.append("begun", seed=seed)
    assert [event["seed"] for event in read(tmp_path / "h")] == [1, 2]


def test_several_threads_never_share_a_line(tmp_path: Path) -> None:
    with History(tmp_path / "h") as history:
        threads = [
            threading.Thread(target=lambda: [history.append("e", text="x" * 5_000) for _ in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(list(read(tmp_path / "h"))) == 200


@given(st.integers(0, 400))
def test_a_history_cut_off_anywhere_keeps_its_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("history") / "h"
    with History(path) as history:
        for number in range(3):
            history.append("blåst", number=number)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    kept = [event["number"] for event in read(path)]
    lines = whole[:cut].count(b"\n")
    assert kept in (list(range(lines)), list(range(lines + 1))), "a line may be whole without its newline"


def test_a_line_broken_in_the_middle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "h").write_text('{"event": "a"}\n{"eve\n{"event": "c"}\n')
    with pytest.raises(ValueError, match="h:2"):
        list(read(tmp_path / "h"))


# --- result --------------------------------------------------------------------------------------


def test_a_result_is_strict_json_and_complete(result: Result, tmp_path: Path) -> None:
    path = write_result(tmp_path, result)
    read_back = json.loads(path.read_text(encoding="utf-8"))
    assert read_back == result
    assert path == tmp_path / RESULT and [entry.name for entry in tmp_path.iterdir()] == [RESULT]
    assert {"schema", "verdict", "validity", "checks", "keeping_up", "classes", "flows", "seed", "host"} <= set(result)
    assert [check["name"] for check in result["checks"]] == list(SCENARIO.spec.checks)
    assert len(result["flows"]) == len(TRAFFIC.flows)


def test_no_figure_is_null_not_a_number_json_does_not_know(result: Result) -> None:
    assert result["classes"]["voice"]["run"]["delay_p50_us"] is None
    assert result["classes"]["voice"]["run"]["loss"] == 1.0


def test_probes_are_not_mixed_into_their_classes(result: Result) -> None:
    calls = sum(flow.due_before(10_000_000) for flow in TRAFFIC.flows if flow.kind.value == "voice")
    assert result["classes"]["voice"]["run"]["sent"] == calls
    assert {"isolation.requests", "isolation.replies", "isolation.controls"} <= set(result["traffic"])


def test_a_result_that_cannot_be_written_leaves_the_old_one(result: Result, tmp_path: Path) -> None:
    write_result(tmp_path, {"verdict": "pass"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(tmp_path, {"loss": float("nan")})
    assert json.loads((tmp_path / RESULT).read_text()) == {"verdict": "pass"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_that_died_is_void_and_can_be_shown(tmp_path: Path) -> None:
    died = void_result(tmp_path, SCENARIO, "killed by signal 9")
    write_result(tmp_path, died)
    assert (died["verdict"], died["exit_code"], died["seed"]) == ("void", 3, SCENARIO.network.seed)
    out = io.StringIO()
    print_verdict(died, Console(file=out, width=160))
    assert "void: the run ended before its verdict: killed by signal 9" in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_verdict_names_every_check_and_why_a_run_is_void(result: Result, terminal: bool) -> None:
    out = io.StringIO()
    print_verdict(result, Console(file=out, force_terminal=terminal, width=160, color_system=None))
    text = out.getvalue()
    for check in result["checks"]:
        assert check["name"] in text
    assert "void: 99 % of sends late by: 40 ms, allowed 20" in text
    assert text.rstrip().splitlines()[-1].startswith("fail")


# --- exchanges -----------------------------------------------------------------------------------


def test_exchanges_belong_to_the_phase_they_began_in() -> None:
    spec = replace(TRAFFIC.exchanges[0], id=0)
    done = [
        Exchange(0, 100.0, 1_100.0, True, 20_000),
        Exchange(0, 900.0, 4_900.0, True, 20_000),
        Exchange(0, 999.0, 9_000.0, False, 10, "deadline"),
        Exchange(0, 1_000.0, 2_000.0, True, 20_000),
    ]
    windows = [Window("before", 0, 1_000), Window("after", 1_000, 2_000), Window("never", 5_000, 6_000)]
    found = measure_exchanges(done, [spec], windows)
    before, after, never = (found.figures[0, window.name] for window in windows)
    assert (before.attempted, before.completed, before.failed, before.failure) == (3, 2, 1, pytest.approx(1 / 3))
    assert (before.response_p50_us, after.response_p50_us) == (2_500, 1_000)
    assert (never.attempted, str(never.failure)) == (0, "nan")
    assert found.pool([0, 0], "before").attempted == 6
