"""Which rate of the chain counts as carried, and how both kinds of routers are put side by side."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import Figure, bench_chain, beside


def row(mbit_s: float, by_machine: int = 0, sent: int = 100_000) -> dict[str, Any]:
    """A measurement of 100,000 intended frames."""
    cpu_us = {"routers": 5e5, "engine": 2e5, "ends": 1e5}
    return {"mbit_s": mbit_s, "asked": 100_000, "sent": sent, "by_machine": by_machine, "cpu_us": cpu_us}


@pytest.mark.parametrize(
    ("rows", "carried"),
    [
        ([row(100), row(200, by_machine=9), row(300, by_machine=10)], 200),
        ([row(100), row(200, by_machine=10), row(300)], 100),  # a lower rate was not carried
        ([row(100), row(200, sent=98_000)], 100),  # was not offered
        ([row(100, by_machine=10)], 0),
    ],
)
def test_carried_are_all_rates_up_to_the_first_that_is_not(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], carried: int
) -> None:
    monkeypatch.setattr(bench_chain, "in_sandbox", lambda *_, **__: rows)
    assert bench_chain.measured("shared", "rings").mbit_s == carried


def test_processor_times_are_of_a_router_and_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_chain, "in_sandbox", lambda *_, **__: [row(100)])
    found = bench_chain.measured("private", "taps")
    assert (found.router_us, found.engine_us, found.ends_us) == pytest.approx((1.0, 2.0, 1.0))


def test_figures_of_both_kinds_stand_in_one_row() -> None:
    assert beside([Figure("rate", 5.0, "Mbit/s", ">= 4")], [Figure("rate", 1.0, "Mbit/s")]) == [
        Figure("rate", 5.0, "Mbit/s", ">= 4", private=1.0)
    ]
    with pytest.raises(ValueError, match="shorter"):
        beside([Figure("rate", 5.0, "Mbit/s")], [])
