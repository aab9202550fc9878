"""The files that a run leaves agree with one another, and with what happened to its links."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from short_run import result_of, start

CUT_US = (1_000_000, 2_000_000)  # when the scenario's link is down, about
FILES = ("samples", "series", "links", "figures", "exchanges")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the short scenario was run."""
    path = tmp_path_factory.mktemp("run")
    with start(path) as process:
        said, _ = process.communicate()
    assert process.returncode in (0, 3), said  # void where the machine is too busy
    return path


def rows_of(directory: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(directory / f"results/short/latest/{name}.parquet").to_pylist()
    return rows


def test_every_file_is_named_and_the_users(directory: Path) -> None:
    result = result_of(directory)
    run = directory / "results/short/latest"
    assert set(result["files"]) == {f"{name}.parquet" for name in FILES}
    for name, rows in result["files"].items():
        assert pq.read_metadata(run / name).num_rows == rows
        assert (run / name).stat().st_mode & 0o777 == 0o600
    assert (run / "result.json").stat().st_size < 200_000
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []


def test_samples_series_and_figures_tell_the_same(directory: Path) -> None:
    calls = result_of(directory)["traffic"]["calls"]["run"]
    flows = [row for row in rows_of(directory, "figures") if (row["level"], row["phase"]) == ("flow", "run")]
    figures = {row["id"]: row for row in flows if (row["entry"], row["kind"]) == ("calls", "voice")}
    outcomes = Counter(row["outcome"] for row in rows_of(directory, "samples") if row["flow"] in figures)
    assert (outcomes["delivered"], outcomes["lost"]) == (calls["received"], calls["lost"])
    assert sum(row["received"] for row in figures.values()) == calls["received"] > 0
    series = [row for row in rows_of(directory, "series") if (row["level"], row["name"]) == ("entry", "calls")]
    assert (sum(row["received"] for row in series), sum(row["lost"] for row in series)) == (
        calls["received"],
        calls["lost"],
    )


def test_links_carry_what_was_sent_and_nothing_while_they_are_down(directory: Path) -> None:
    """Datagrams of calls pass an access link at their sender, and the link that is cut carries no frame meanwhile."""
    rows = rows_of(directory, "links")
    sent = sum(
        row["frames_in"] for row in rows if row["link"].startswith("hospital-") and row["from"].startswith("hosp")
    )
    calls = result_of(directory)["traffic"]["calls"]["run"]
    assert sent >= calls["sent"] * 0.95  # what the machine dropped before is told elsewhere
    cut = [row for row in rows if row["link"] == "middle-south"]
    begin_us, end_us = (time_us + 200_000 * sign for time_us, sign in zip(CUT_US, (1, -1), strict=True))
    inside = [row for row in cut if begin_us <= row["start_us"] < end_us - row["length_us"]]
    assert sum(row["frames_out"] for row in inside) == 0
    assert sum(row["frames_out"] for row in cut if row["start_us"] < CUT_US[0]) > 0  # sessions of BFD, at least
    assert {row["length_us"] > 0 and row["start_us"] >= 0 for row in rows} == {True}
