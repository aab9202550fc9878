"""Scenario files: what they mean, what --set changes, and what is said about mistakes in them."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenario_text import SMALL, problems, read

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.common.units import UnitError
from helsewan.scenarios.run.phases import windows
from helsewan.scenarios.spec.checks.metrics import METRICS, Limit, Unit, parse_limit, show
from helsewan.scenarios.spec.spec import LIBRARY, library, load_scenario, read_scenario
from helsewan.scenarios.spec.timeline.timepoints import IN_FLIGHT_US, EventTime, TimePoint, parse_time_point
from helsewan.scenarios.spec.traffic.schema import VoiceSpec
from helsewan.topology.network_source import load_network


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def test_parameters_stand_where_they_are_named() -> None:
    spec = read().spec
    assert spec.traffic["calls"].count == 4
    assert spec.timeline["failure"].at == TimePoint("start", 3_000_000)
    assert spec.timeline["failure"].fail is not None
    assert spec.timeline["failure"].fail.region_core == "midt"


def test_set_changes_parameters_and_any_value_by_its_path() -> None:
    scenario = read(region="nord", calls="9", network__seed="77", traffic__records__every="250 ms")
    assert scenario.parameters == {"region": "nord", "calls": 9, "pause": "3 s"}
    assert scenario.spec.network.seed == 77
    assert scenario.spec.traffic["records"].every == 250_000
    assert scenario.spec.traffic["calls"].count == 9


def test_limits_are_read_in_the_metrics_unit() -> None:
    assert read().spec.checks["gap"].limit == Limit("<", 50_000, Unit.DURATION)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"region": "mitd"}, "--set region: 'mitd' is no health region (hint: one of sor, ost, vest, midt, nord)"),
        ({"calls": "many"}, "--set calls: 'many' is no whole number (hint: write for example 40)"),
        ({"pause": "3"}, "--set pause: '3' unit is missing (hint: write for example 20 ms)"),
        ({"regoin": "nord"}, "--set regoin: unknown key (hint: did you mean 'region'?)"),
        ({"network__sites": "none"}, "--set network.sites: 'none' should be a whole number"),
        ({"traffic__records__every": "1 sek"}, "--set traffic.records.every: '1 sek' unit 'sek' is unknown"),
    ],
)
def test_a_wrong_option_is_named_as_the_option(overrides: dict[str, str], expected: str) -> None:
    found = problems(**overrides)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("policy: national", "polcy: national", "small.yaml:4: polcy: unknown key (hint: did you mean 'policy'?)"),
        ("duration: 10 s", "duration: 10", "small.yaml:5: duration: 10 unit is missing"),
        ("to: failure}", "to: failur}", "small.yaml:14: phases.before.to: 'failur' refers to no event"),
        ("at: 6 s", "at: 60 s", "small.yaml:12: timeline.repair.at: '60 s' is not within the run"),
        ("phase: dark", "phase: drak", "small.yaml:24: checks.gap.phase: 'drak' is no phase"),
        ("metric: gap", "metric: gaps", "small.yaml:24: checks.gap.metric: 'gaps' is no metric"),
        ("< 50 ms", "< 50 %", "small.yaml:24: checks.gap.limit: '< 50 %' unit '%' is unknown"),
        ("< 50 ms", "50 ms", "small.yaml:24: checks.gap.limit: '50 ms' a limit is a comparison and a value"),
        ("traffic: records", "traffic: record", "small.yaml:25: checks.answered.traffic: 'record' is no traffic"),
        ("metric: failed", "metric: lost", "small.yaml:25: checks.answered.metric: 'records' has no lost"),
        ("${calls}", "${cals}", "small.yaml:18: traffic.calls.count: '${cals}' refers to no parameter"),
        ("fail: {region_core", "fail: {router: x, region_core", "small.yaml:11: timeline.failure.fail: is not exactly"),
        ("kind: voice", "kind: voise", "small.yaml:18: traffic.calls.kind: 'voise' is not allowed"),
        ("default: midt", "default: mars", "small.yaml:7: parameters.region.default: 'mars' is no health region"),
    ],
)  # fmt: skip
def test_mistakes_are_named_at_their_line(old: str, new: str, expected: str) -> None:
    found = problems(changed(old, new))
    assert any(problem.startswith(expected) for problem in found), found


APART = "from: {kind: [hospital]}, to: {kind: [hospital]}}"
TWICE = "small.yaml:18: traffic.calls: names sites twice (hint: give either between, or from and to)"
NOWHERE = "small.yaml:18: traffic.calls: does not name its sites (hint: give from and to, or between)"


def test_sites_between_which_traffic_flows_are_clients_and_servers() -> None:
    calls, apart = (
        read(changed(APART, "between: {kind: [hospital]}}")).spec.traffic["calls"],
        read().spec.traffic["calls"],
    )
    assert isinstance(calls, VoiceSpec) and isinstance(apart, VoiceSpec)
    assert (calls.client, calls.server) == (apart.client, apart.server)


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        ("between: {kind: [gp]}, to: {kind: [hospital]}}", TWICE),
        ("between: {kind: [gp]}, from: {kind: [hospital]}}", TWICE),
        ("from: {kind: [hospital]}}", NOWHERE),
        ("relation: within}", NOWHERE),
        ("between: {kind: [hopsital]}}", "small.yaml:18: traffic.calls.between.kind[0]: 'hopsital' is not allowed"),
        ("between: {}}", "small.yaml:18: traffic.calls.between: selects nothing"),
    ],
)
def test_sites_of_traffic_are_named_once(sites: str, expected: str) -> None:
    found = problems(changed(APART, sites))
    assert len(found) == 1 and found[0].startswith(expected), found


def test_all_mistakes_are_told_at_once() -> None:
    text = SMALL.replace("phase: dark", "phase: drak").replace("to: failure}", "to: failur}")
    assert len(problems(text)) == 2


def test_an_unknown_scenario_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'region-failover'"):
        load_scenario("region-failower")
    with pytest.raises(InputError, match="no such file"):
        load_scenario("elsewhere.yaml")


@pytest.mark.parametrize("path", sorted(LIBRARY.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scenario_of_the_library_reads_and_is_named_after_its_file(path: Path) -> None:
    scenario = load_scenario(path.stem, seed=5, sites=300)
    assert scenario.name == path.stem
    assert (scenario.network.seed, scenario.network.sites) == (5, 300)
    assert scenario.spec.description in {each.spec.description for each in library()}


def test_a_scenario_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(read())) == read()


# --- points in time ---------------------------------------------------------------------------------

EVENT_TIMES = {"failure": EventTime(3_004_000, 3_020_000), "repair": EventTime(6_001_000, 6_400_000)}


def test_phases_follow_what_really_happened() -> None:
    found = {window.name: (window.start_us, window.end_us) for window in windows(read().spec, EVENT_TIMES)}
    assert found == {
        "run": (0, 10_000_000),
        "before": (1_000_000, 3_004_000 - IN_FLIGHT_US),
        "dark": (3_020_000 + 500_000, 6_001_000 - IN_FLIGHT_US),
        "after": (6_001_000 - IN_FLIGHT_US, 10_000_000),
    }


def test_phases_of_events_that_never_were_are_left_out() -> None:
    assert [window.name for window in windows(read().spec, {})] == ["run"]


@given(st.sampled_from(["failure", "end", "start"]), st.integers(-(10**9), 10**9))
def test_a_time_point_reads_as_it_is_written(anchor: str, offset_us: int) -> None:
    if anchor == "start":
        offset_us = abs(offset_us)
    point = TimePoint(anchor, offset_us)
    assert parse_time_point(str(point)) == point


@pytest.mark.parametrize("text", ["", "failure +", "failure + 5", "5", "- 5 s", "failure * 2 s", 7, None])
def test_what_is_no_time_point_is_refused(text: object) -> None:
    with pytest.raises(UnitError):
        parse_time_point(text)


# --- limits -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "metric", "value", "holds"),
    [
        ("< 0.1 %", "loss", 0.001, False),
        ("< 0.1 %", "loss", 0.0009, True),
        ("<= 50 ms", "gap", 50_000, True),
        (">= 4.3", "mos", 4.29, False),
        ("== 0", "leaked", 1, False),
        (">= 64 kbit/s", "rate", 64_000, True),
        ("> 1", "received", 1, False),
    ],
)
def test_limits(text: str, metric: str, value: float, holds: bool) -> None:
    assert parse_limit(text, METRICS[metric]).holds(value) is holds


@pytest.mark.parametrize("comparison", ["<", "<=", "==", ">=", ">"])
def test_no_value_keeps_no_limit(comparison: str) -> None:
    assert not Limit(comparison, 0.0, Unit.COUNT).holds(float("nan"))


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (31_450.4, Unit.DURATION, "31.45 ms"),
        (5.007, Unit.DURATION, "5.007 us"),
        (6_340_671.0, Unit.RATE, "6.341 Mbit/s"),
        (0.00123, Unit.SHARE, "0.123 %"),
        (4.372, Unit.MOS, "4.37"),
        (12, Unit.COUNT, "12"),
        (0, Unit.DURATION, "0 us"),
        (float("nan"), Unit.MOS, "none"),
    ],
)
def test_values_are_shown_to_four_figures(value: float, unit: Unit, expected: str) -> None:
    assert show(value, unit) == expected


def test_a_network_file_is_named_relative_to_the_scenario() -> None:
    assert read().source is None
    text = SMALL.replace("network: {sites: 120", "network: {from: maps/coast.graphml, sites: 120")
    assert read_scenario(loads(text.encode(), "my/small.yaml")).source == Path("my/maps/coast.graphml")
    assert read(text, network__from="/there.gml").source == Path("/there.gml")


def test_a_network_file_and_the_swedish_route_exclude_each_other() -> None:
    with pytest.raises(InputError, match="--swedish-route: belongs to the national network"):
        load_network(Path("coast.graphml"), 120, 1, swedish_route=True)
