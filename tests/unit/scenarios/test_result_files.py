"""A run's Parquet files: what is in them, and that there is no half of one."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_case import EPOCH_NS, FLOW, arrival

from helsewan.lab.applications.records import Exchange
from helsewan.lab.flows.applications import Span, Transaction
from helsewan.lab.flows.flowspec import ExchangeSpec, Expect, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.flows.records import RECORD, Array
from helsewan.scenarios.results.exchange_figures import measure_exchanges
from helsewan.scenarios.results.files import exchanges_file, figures_file, links_file, samples_file, series_file
from helsewan.scenarios.results.files.parquet import Column, ParquetFile, schema_of
from helsewan.scenarios.results.groups import grouped
from helsewan.scenarios.results.measure import Measurement, Window, measure
from helsewan.scenarios.spec.timeline.targets import Fate

PROBE = replace(
    FLOW,
    id=1,
    name="isolation/001 a > b",
    kind=FlowKind.PROBE,
    expect=Expect.DENIED,
    codec="",
    groups=("isolation", "isolation.requests"),
)
FLOWS = (replace(FLOW, stop_us=100_000), replace(PROBE, stop_us=40_000))
ENDS = [FLOW.destination, FLOW.source]
WINDOWS = [Window("run", 0, 1_000_000), Window("late", 60_000, 1_000_000)]
EXCHANGE = ExchangeSpec(
    id=0,
    name="records/001 a > b",
    class_name="data",
    service="record-lookup",
    client="a",
    server="b",
    client_address=FLOW.source.address,
    server_address=FLOW.destination.address,
    port=443,
    dscp=18,
    application=Transaction(Span(100, 100), Span(200, 200)),
    begins_us=(0, 500_000),
    seed="1",
    deadline_us=10**6,
    start_us=0,
    stop_us=10**6,
    groups=("records",),
)
FILES = (samples_file, series_file, figures_file, links_file, exchanges_file)
ONE_COLUMN = (Column("n", pa.int64(), "a number", "PLAIN"),)


def measured(records: list[Array], flows: tuple[FlowSpec, ...] = FLOWS) -> tuple[Array, Measurement, Array]:
    due = np.array([flow.due_before(flow.stop_us) for flow in flows])
    all_records = np.concatenate([np.zeros(0, RECORD), *records])
    return all_records, measure(all_records, flows, ENDS, WINDOWS, due), due


def written_samples(directory: Path, records: list[Array], flows: tuple[FlowSpec, ...] = FLOWS) -> pa.Table:
    all_records, _, due = measured(records, flows)
    rows = samples_file.write_samples(directory, all_records, flows, ENDS, due, EPOCH_NS)
    table = pq.read_table(directory / samples_file.SAMPLES)
    assert table.num_rows == rows
    return table


# --- writing -------------------------------------------------------------------------------------


def test_a_file_is_the_users_own_and_has_no_name_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    with ParquetFile(path, schema_of("numbers", ONE_COLUMN), ONE_COLUMN) as file:
        file.write({"n": np.arange(1000)})
        assert not path.exists()
        file.write({"n": np.arange(5)})
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.parquet"]
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, os.geteuid())
    found = pq.ParquetFile(path)
    assert (found.metadata.num_row_groups, found.metadata.num_rows) == (2, 1005)
    assert found.schema_arrow.metadata[b"format_version"] == b"1"
    assert found.schema_arrow.field("n").metadata[b"description"] == b"a number"


def test_nothing_is_left_after_an_error_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    path.write_text("of before")
    with pytest.raises(RuntimeError), ParquetFile(path, schema_of("numbers", ONE_COLUMN), ONE_COLUMN) as file:
        file.write({"n": np.arange(1000)})
        raise RuntimeError("the run was interrupted")
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.parquet"] and path.read_text() == "of before"


def test_a_file_that_cannot_be_completed_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    path.mkdir()  # a name that no file can take
    file = ParquetFile(path, schema_of("numbers", ONE_COLUMN), ONE_COLUMN)
    file.write({"n": np.arange(10)})
    with pytest.raises(OSError, match="numbers"):
        file.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["numbers.parquet"]


def test_a_process_that_is_killed_leaves_no_half_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers.parquet"
    if (child := os.fork()) == 0:
        file = ParquetFile(path, schema_of("numbers", ONE_COLUMN), ONE_COLUMN)
        file.write({"n": np.arange(100_000)})
        os._exit(9)
    os.waitpid(child, 0)
    assert not path.exists() and all(entry.name.startswith(".numbers-") for entry in tmp_path.iterdir())


@pytest.mark.parametrize("module", FILES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_column_says_what_it_is_here_and_in_the_documentation(module: ModuleType) -> None:
    """Times, rates and sizes say their unit; columns that may be null say when; the documentation names each."""
    page = (Path(__file__).parents[3] / "docs/scenarios/results.md").read_text(encoding="utf-8")
    for column in module.COLUMNS:
        assert column.meaning and (not column.nullable or "null" in column.meaning), column.name
        assert f"`{column.name}`" in page, column.name


# --- samples.parquet -----------------------------------------------------------------------------


def test_every_datagram_has_a_row(tmp_path: Path) -> None:
    late = {"tx_ns": EPOCH_NS + 41_000_000, "rx_ns": EPOCH_NS + 45_000_000}
    table = written_samples(
        tmp_path,
        [
            arrival(FLOWS[0], 0, 5_000),
            arrival(FLOWS[0], 1, 5_000, receiver=1),
            arrival(FLOWS[0], 2, 5_000, **late, tos=0),
            arrival(FLOWS[0], 2, 9_000),
            arrival(FLOWS[0], 4, 5_000, flow=7),  # of no flow
            arrival(FLOWS[1], 1, 6_000, receiver=1),
        ],
    )
    rows = table.select(["flow", "seq", "due_ns", "outcome", "sent_ns", "delay_ns", "dscp"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (0, 0, 0, "delivered", 0, 5_000_000, 46),
        (0, 1, 20_000_000, "misdelivered", 20_000_000, 5_000_000, 46),
        (0, 1, 20_000_000, "lost", None, None, None),
        (0, 2, 40_000_000, "delivered", 41_000_000, 4_000_000, 0),
        (0, 2, 40_000_000, "duplicate", 40_000_000, 9_000_000, 46),
        (0, 3, 60_000_000, "lost", None, None, None),
        (0, 4, 80_000_000, "lost", None, None, None),
        (1, 0, 0, "denied", None, None, None),
        (1, 1, 20_000_000, "leaked", 20_000_000, 6_000_000, 46),
    ]


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 200), st.integers(0, 1)), max_size=30))
def test_samples_add_up_to_the_figures(
    tmp_path_factory: pytest.TempPathFactory, raw: list[tuple[int, int, int, int]]
) -> None:
    records = [
        arrival(FLOWS[flow], seq % (5, 2)[flow], delay * 1000 + number, receiver=where)
        for number, (flow, seq, delay, where) in enumerate(raw)
    ]
    outcomes = written_samples(tmp_path_factory.mktemp("samples"), records).to_pydict()
    _, found, _ = measured(records)
    of_flow = np.array(outcomes["flow"])
    for flow in FLOWS:
        kinds = [kind for kind, own in zip(outcomes["outcome"], of_flow == flow.id, strict=True) if own]
        figures = found.figures[flow.id, "run"]
        if flow.expect is Expect.DENIED:
            arrived = {seq % 2 for number, seq, _, _ in raw if number == flow.id}
            assert kinds.count("leaked") == figures.leaked
            assert kinds.count("denied") == figures.sent - len(arrived)
        else:
            counts = [kinds.count(kind) for kind in ("delivered", "lost", "duplicate", "misdelivered")]
            assert counts == [figures.received, figures.lost, figures.duplicates, figures.misdelivered]


# --- figures.parquet, series.parquet, exchanges.parquet ------------------------------------------


def test_figures_of_flows_exchanges_and_groups_are_rows(tmp_path: Path) -> None:
    _, found, _ = measured([arrival(FLOWS[0], seq, 5_000) for seq in (0, 1, 3, 4)])
    done = [Exchange(0, 0.0, 9_000.0, True, 200), Exchange(0, 500_000.0, 900_000.0, False, 0, "deadline")]
    exchanges = measure_exchanges(done, [EXCHANGE], WINDOWS)
    traffic = TrafficPlan(FLOWS, (EXCHANGE,))
    groups = grouped(traffic, found, exchanges, ["run", "late"])
    rows = figures_file.write_figures(tmp_path, traffic, {("a", "b"): Fate.CUT}, found, exchanges, groups)
    table = pq.read_table(tmp_path / figures_file.FIGURES).to_pylist()
    assert len(table) == rows
    by_key = {(row["level"], row["name"], row["phase"]): row for row in table}
    flow = by_key["flow", FLOW.name, "run"]
    assert (flow["id"], flow["source"], flow["fate"], flow["lost"], flow["delay_p50_us"]) == (0, "a", "cut", 1, 5_000)
    assert flow["attempted"] is None and flow["freezes"] is None
    request = by_key["exchange", EXCHANGE.name, "run"]
    assert (request["attempted"], request["failed"], request["response_p50_us"]) == (2, 1, 9_000)
    assert request["kind"] == "transactions" and flow["kind"] == "voice"
    assert request["sent"] is None and by_key["exchange", EXCHANGE.name, "late"]["response_p50_us"] is None
    site = by_key["site", "a", "late"]
    assert (site["sent"], site["lost"], site["attempted"], site["client"]) == (2, 0, 1, None)
    assert {key[:2] for key in by_key if key[0] == "entry"} == {
        ("entry", name) for name in ("calls", "isolation.requests", "records")
    }
    assert by_key["class", "voice", "run"]["sent"] == 5, "probes are in no class"


def test_series_have_a_row_for_each_100_ms(tmp_path: Path) -> None:
    _, found, _ = measured([arrival(FLOWS[0], seq, 5_000) for seq in (0, 1, 3, 4)])
    rows = series_file.write_series(tmp_path, TrafficPlan(FLOWS, ()), found.samples, 300_000)
    table = pq.read_table(tmp_path / series_file.SERIES).to_pylist()
    voice = [row for row in table if (row["level"], row["name"]) == ("class", "voice")]
    assert len(table) == rows == 3 * 3  # of one class and two entries
    assert [(row["start_us"], row["sent"], row["lost"]) for row in voice] == [
        (0, 5, 1),
        (100_000, 0, 0),
        (200_000, 0, 0),
    ]
    assert [row["delay_max_us"] for row in voice] == [5_000, None, None]


def test_every_request_is_a_row(tmp_path: Path) -> None:
    done = [Exchange(3, 0.5, 9_000.0, True, 200, "", 700.0), Exchange(0, 500.0, 900.0, False, 0, "deadline")]
    assert exchanges_file.write_exchanges(tmp_path, done) == 2
    table = pq.read_table(tmp_path / exchanges_file.EXCHANGES).to_pylist()
    assert [(row["exchange"], row["answered_us"], row["ok"], row["bytes"], row["error"]) for row in table] == [
        (3, 700, True, 200, ""),
        (0, None, False, 0, "deadline"),
    ]
    assert exchanges_file.write_exchanges(tmp_path, []) == 0


def test_a_run_without_datagrams_has_its_files(tmp_path: Path) -> None:
    """Traffic may be exchanges only."""
    records, found, due = measured([], ())
    assert found.pool([], "run").sent == 0 and found.stray == 0
    traffic = TrafficPlan((), (EXCHANGE,))
    exchanges = measure_exchanges([], [EXCHANGE], WINDOWS)
    groups = grouped(traffic, found, exchanges, ["run", "late"])
    assert samples_file.write_samples(tmp_path, records, (), [], due, EPOCH_NS) == 0
    assert series_file.write_series(tmp_path, traffic, found.samples, 300_000) == 0
    assert figures_file.write_figures(tmp_path, traffic, {("a", "b"): Fate.CUT}, found, exchanges, groups) == 2 * 6
    assert pq.read_metadata(tmp_path / samples_file.SAMPLES).num_rows == 0
