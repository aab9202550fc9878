"""Live figures: what they say of the last moments, that they agree with those of the whole run, and what they keep."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from scenario_case import EPOCH_NS, FLOW, arrival

from helsewan.lab.flows.flowspec import Expect, FlowKind, FlowSpec
from helsewan.lab.flows.records import RECORD, Array
from helsewan.scenarios.events.live_figures import IN_FLIGHT_US, STEP_US, LiveFigures, Selection
from helsewan.scenarios.results.measure import Window, measure

ALL = Selection()
FLOWS = (
    replace(FLOW, id=0, stop_us=10_000_000),
    replace(FLOW, id=1, stop_us=10_000_000, class_name="data", kind=FlowKind.MESSAGES, groups=("messages",), dscp=18),
    replace(FLOW, id=2, stop_us=10_000_000, expect=Expect.DENIED, kind=FlowKind.PROBE, groups=("isolation",)),
    replace(FLOW, id=3, stop_us=10_000_000, kind=FlowKind.CONTROL, groups=("isolation", "isolation.controls")),
)


class Played:
    """A flow engine whose records arrive as its clock goes on."""

    def __init__(self, flows: tuple[FlowSpec, ...], records: Array) -> None:
        self._flows, self._all = flows, np.sort(records, order="rx_ns")
        self.now_us = 0

    @property
    def records(self) -> Array:
        return self._all[: np.searchsorted(self._all["rx_ns"], EPOCH_NS + self.now_us * 1000, "right")]

    @property
    def due(self) -> Array:
        return np.array([flow.due_before(self.now_us) for flow in self._flows], np.int64)


def records_of(flow: FlowSpec, seqs: range, delay_us: float = 10_000, **changes: int) -> Array:
    found = [arrival(flow, seq, delay_us, **changes) for seq in seqs]
    return np.concatenate(found) if found else np.zeros(0, RECORD)


def played(*records: Array, until_us: int = 5_000_000, most_us: int = 1_000_000) -> LiveFigures:
    source = Played(FLOWS, np.concatenate(records))
    figures = LiveFigures(FLOWS, source, most_us)
    for now_us in range(0, until_us + 1, STEP_US):
        source.now_us = now_us
        figures.update(now_us)
    return figures


def test_figures_are_of_the_span_before_what_may_be_in_flight() -> None:
    lossy = [*range(150), *range(200, 250)]  # due before 3 s, and from 4 s on: silent for a second
    voice = np.concatenate([arrival(FLOWS[0], seq, 10_000) for seq in lossy])
    figures = played(voice, records_of(FLOWS[1], range(250), 30_000), until_us=4_200_000)
    voices, data = Selection("voice"), Selection(traffic="messages")
    assert figures.value("loss", voices, 1_000_000) == 1.0
    assert figures.value("loss", data, 1_000_000) == 0.0
    assert figures.value("loss", ALL, 1_000_000) == 0.5
    assert figures.value("sent", voices, 1_000_000) == figures.value("lost", voices, 1_000_000) == 50
    assert figures.value("delay_p50", data, 500_000) == figures.value("delay_max", ALL, 500_000) == 30_000
    assert figures.value("rate", data, 1_000_000) == 50 * FLOW.payload_bytes * 8
    assert isnan(figures.value("delay_mean", voices, 500_000))


def test_there_is_no_figure_of_a_span_that_has_not_passed_yet() -> None:
    voice = records_of(FLOWS[0], range(250))
    assert isnan(played(voice, until_us=1_000_000).value("loss", ALL, 1_000_000))
    assert played(voice, until_us=1_000_000 + IN_FLIGHT_US).value("loss", Selection("voice"), 1_000_000) == 0
    assert isnan(LiveFigures(FLOWS, Played(FLOWS, voice), 10**6).value("sent", ALL, 50_000))


def test_leaks_are_of_what_is_denied_and_controls_are_selected_by_name_only() -> None:
    figures = played(records_of(FLOWS[2], range(240, 245)), records_of(FLOWS[3], range(250)), until_us=5_200_000)
    assert figures.value("leaked", ALL, 1_000_000) == 5
    assert figures.value("received", ALL, 1_000_000) == 0
    assert figures.value("received", Selection(traffic="isolation.controls"), 1_000_000) == 50
    assert figures.value("mismarked", Selection(traffic="isolation.controls"), 1_000_000) == 0


def test_duplicates_and_wrong_marks_are_counted_once() -> None:
    voice = records_of(FLOWS[0], range(250), tos=0)
    figures = played(voice, voice, until_us=5_200_000)
    assert figures.value("received", Selection("voice"), 1_000_000) == 50
    assert figures.value("mismarked", Selection("voice"), 1_000_000) == 50


@pytest.mark.parametrize("seed", range(3))
def test_live_figures_agree_with_those_of_the_whole_run(seed: int) -> None:
    random = np.random.default_rng(seed)
    kept = [seq for seq in range(250) if random.random() > 0.2]
    voice = np.concatenate([arrival(FLOWS[0], seq, random.uniform(5_000, 150_000)) for seq in kept])
    figures = played(voice, until_us=5_000_000 + IN_FLIGHT_US)
    window = Window("last", 4_000_000, 5_000_000)
    ends, due = (FLOW.destination,), np.array([250, 0, 0, 0])
    whole = measure(np.sort(voice, order="rx_ns"), FLOWS, ends, (window,), due).figures[0, "last"]
    for metric, expected in {"sent": whole.sent, "loss": whole.loss, "delay_p99": whole.delay_p99_us}.items():
        assert figures.value(metric, Selection("voice"), 1_000_000) == pytest.approx(expected)


def test_only_the_longest_span_is_kept() -> None:
    figures = played(records_of(FLOWS[0], range(500)), until_us=9_000_000, most_us=200_000)
    kept = sum(len(each) for _, each in figures._recent)
    assert kept <= (200_000 + IN_FLIGHT_US + 4 * STEP_US) // 20_000
    assert len(figures._dues) <= (200_000 + IN_FLIGHT_US) // STEP_US + 4
