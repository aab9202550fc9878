"""Planned datagram traffic of each kind: what its entries become, over which IP version, and what is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter
from scenario_case import default_case
from scenario_text import SMALL, problems, read

from helsewan.common.errors import InputError
from helsewan.lab.flows.flowspec import Expect, FlowKind, FlowSpec, RtcpFormat, RtpFormat, TrafficPlan
from helsewan.scenarios.spec.traffic.schema import Traffic
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.scenarios.traffic.offered_load import offered_load

_, PLAN, _ = default_case()
CALLS = 'calls: {kind: voice, service: voice, count: "${calls}", from: {kind: [hospital]}, to: {kind: [hospital]}}'
HOSPITALS = "between: {kind: [hospital]}"
assert CALLS in SMALL


def text(entry: str) -> str:
    """The small scenario with ``entry`` in place of its calls, without the check of these."""
    lines = SMALL.replace(CALLS, entry).splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("  gap:"))


def planned(entry: str, **overrides: str) -> list[FlowSpec]:
    """The flows of an entry named x."""
    scenario = read(text(f"x: {entry}"), **overrides)
    return [flow for flow in plan_traffic(scenario.spec, PLAN, scenario.document).flows if flow.entry == "x"]


def refusal(entry: str) -> str:
    scenario = read(text(f"x: {entry}"))
    with pytest.raises(InputError) as caught:
        plan_traffic(scenario.spec, PLAN, scenario.document)
    return str(caught.value)


def counts(flow: FlowSpec) -> int:
    return flow.due_before(flow.stop_us)


# --- calls ------------------------------------------------------------------------------------------


def test_a_call_is_two_rtp_streams_and_reports_on_the_ports_above() -> None:
    flows = planned(f"{{kind: voice, service: voice, count: 3, {HOSPITALS}}}")
    assert [flow.kind for flow in flows] == 3 * [FlowKind.VOICE, FlowKind.VOICE, FlowKind.RTCP, FlowKind.RTCP]
    assert len({flow.name for flow in flows}) == 12
    for there, back, reports, answers in zip(*(flows[number::4] for number in range(4)), strict=True):
        assert there.format == back.format == RtpFormat(payload_type=8, clock_hz=8_000)
        assert (there.source.port % 2, there.destination.port % 2) == (0, 0)
        assert (there.source, there.destination) == (back.destination, back.source)
        above = [replace(end, port=end.port + 1) for end in (there.source, there.destination)]
        assert [reports.source, reports.destination] == [answers.destination, answers.source] == above
        assert reports.format == RtcpFormat(own=there.name, peer=back.name)
        assert answers.format == RtcpFormat(own=back.name, peer=there.name)
        assert 1 <= counts(reports) <= 5, "in 10 s"
        assert reports.groups == ("x", "x.rtcp") and reports.dscp == there.dscp


def test_calls_of_g729_without_reports() -> None:
    flows = planned(f"{{kind: voice, service: voice, codec: g729a, rtcp: false, count: 2, {HOSPITALS}}}")
    assert {(flow.payload_bytes, flow.format, flow.codec) for flow in flows} == {(32, RtpFormat(18, 8_000), "g729a")}
    assert len(flows) == 4


def test_silence_is_not_sent() -> None:
    flows = planned(f"{{kind: voice, service: voice, silence_suppression: true, rtcp: false, count: 40, {HOSPITALS}}}")
    shares = [counts(flow) / 500 for flow in flows]
    relaxation_s = 1 / (1 / 1.004 + 1 / 1.587)  # of the two states: calls begin in a pause
    expected = 0.385 * (1 - relaxation_s / 10)
    assert np.mean(shares) == pytest.approx(expected, abs=4 * np.sqrt(2 * 0.385 * 0.615 * relaxation_s / 10 / 80))
    assert len({id(flow.schedule) for flow in flows}) <= 8, "schedules are shared"
    for flow in flows:
        assert flow.schedule is not None
        assert flow.schedule.table["marker"][flow.first_entry % len(flow.schedule.table)] == 1


def test_calls_come_and_go_over_their_lines() -> None:
    entry = f"{{kind: voice, service: voice, count: 6, calls: {{every: 200 ms, holding: 2 s}}, {HOSPITALS}}}"
    flows = planned(entry)
    media = [flow for flow in flows if flow.kind is FlowKind.VOICE]
    assert len({(flow.client, flow.server, flow.source) for flow in media[::2]}) == 6
    assert 20 < len(media) // 2 < 50
    assert any(flow.start_us > 5_000_000 for flow in media) and any(flow.stop_us < 5_000_000 for flow in media)
    reports = [flow for flow in flows if flow.kind is FlowKind.RTCP]
    assert len(reports) == len(media)
    assert flows == planned(entry) != planned(entry, network__seed="3")


# --- video and messages -----------------------------------------------------------------------------


def test_video_shares_its_schedules_and_starts_them_at_frames() -> None:
    flows = planned(f"{{kind: video, service: video, rate: 768 kbit/s, rtcp: false, count: 20, {HOSPITALS}}}")
    assert len({id(flow.schedule) for flow in flows}) <= 8
    assert len({flow.offset_ns for flow in flows}) > 20
    for flow in flows:
        assert flow.schedule is not None and flow.offset_ns % 40_000_000 == 0
        size = flow.schedule.table["bytes"][(np.arange(counts(flow)) + flow.first_entry) % len(flow.schedule.table)]
        assert size.sum() * 8 / 10 == pytest.approx(768_000, rel=0.1)


def test_messages_arrive_by_the_process_named() -> None:
    common = f"kind: messages, service: ehr-udp, count: 60, every: 100 ms, request: 300 B, reply: 1400 B, {HOSPITALS}"
    flows = planned(f"{{{common}, arrivals: poisson}}")
    requests, replies = flows[::2], flows[1::2]
    total = sum(map(counts, requests))
    assert total == pytest.approx(6_000, abs=4 * np.sqrt(6_000))
    assert len({id(flow.schedule) for flow in requests}) == 60, "independent of each other"
    for request, reply in zip(requests, replies, strict=True):
        assert (request.payload_bytes, reply.payload_bytes) == (300, 1_400)
        due = request.due_times(np.arange(counts(reply)))
        assert np.allclose(reply.due_times(np.arange(counts(reply))) - due, 100_000)
    shaped = planned(f"{{{common}, shape: {{5 s: 0 %, 6 s: 100 %}}}}")
    assert all(flow.due_before(5_000_000) == 0 and counts(flow) in range(43, 47) for flow in shaped[::2])


def test_schedules_of_very_many_messages_stay_small_and_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("helsewan.scenarios.traffic.streams.MOST_ENTRIES", 1_000)
    entry = "kind: messages, service: ehr-udp, count: 100, every: 10 ms, request: 99 B, reply: 99 B, arrivals: poisson"
    flows = planned(f"{{{entry}, {HOSPITALS}}}")
    assert sum(len(flow.schedule.table) for flow in flows[::2] if flow.schedule) < 1_500
    assert sum(map(counts, flows[::2])) == pytest.approx(100_000, rel=0.15)


@pytest.mark.parametrize(
    ("family", "expected"),
    [("family: 4", 0), ("family: 6", 20), ("family: both", 10), ("family: both, ipv6_share: 30 %", 6)],
)
def test_pairs_use_the_ip_version_they_are_told(family: str, expected: int) -> None:
    messages = "kind: messages, service: ehr-udp, every: 1 s, request: 99 B, reply: 99 B"
    for kind in ("kind: voice, service: voice", messages):
        flows = planned(f"{{{kind}, count: 20, {family}, {HOSPITALS}}}")
        ends = [(flow.source, flow.destination) for flow in flows]
        assert all(source.address.version == far.address.version for source, far in ends)
        sites = PLAN.network.site
        assert all(end.address in (sites[end.site].address4, sites[end.site].address6) for pair in ends for end in pair)
        pairs = {flow.name[:5]: flow.source.address.version for flow in flows}
        assert Counter(pairs.values())[6] == expected


# --- scans ------------------------------------------------------------------------------------------


def test_a_scan_goes_from_one_site_to_every_port_of_every_target_in_turn() -> None:
    entry = "kind: scan, from: {kind: [gp]}, to: {kind: [hospital, gp]}, count: 12, ports: [1434, 8443], every: 10 ms"
    flows = planned(f"{{{entry}, family: both}}")
    scans = [flow for flow in flows if flow.kind is FlowKind.SCAN]
    assert len(scans) == 24 and len({flow.source.site for flow in scans}) == 1
    assert len({flow.destination for flow in scans}) == 24
    assert Counter(flow.destination.address.version for flow in scans) == {4: 12, 6: 12}
    dues = np.sort(np.concatenate([flow.due_times(np.arange(counts(flow))) for flow in scans]))
    assert np.allclose(np.diff(dues), 10_000), "one datagram every 10 ms in all"
    denied = [flow for flow in scans if flow.expect is Expect.DENIED]
    assert {flow.destination.port for flow in denied} >= {1434}
    for flow in scans:
        offered = (PLAN.role_of_site[flow.client].id, PLAN.role_of_site[flow.server].id, "ehr-udp") in PLAN.allowed
        assert (flow.expect is Expect.DELIVERED) == (flow.destination.port == 8443 and offered)
        assert flow.groups == ("x", "x.denied" if flow in denied else "x.allowed")
    controls = [flow for flow in flows if flow.kind is FlowKind.CONTROL]
    assert {flow.destination for flow in controls} == {flow.destination for flow in scans}
    assert all(flow.expect is Expect.DELIVERED and flow.groups[1] == "x.controls" for flow in controls)


def test_checks_mean_scans_and_reports_only_by_name_and_leaks_always() -> None:
    scan = planned("{kind: scan, from: {kind: [gp]}, to: {kind: [gp]}, count: 3, every: 10 ms}")[0]
    report = planned(f"{{kind: voice, service: voice, count: 1, {HOSPITALS}}}")[2]

    assert scan.is_meant_by(None) and scan.is_meant_by("x")
    allowed = replace(scan, expect=Expect.DELIVERED)
    assert not allowed.is_meant_by(None) and allowed.is_meant_by("x")
    assert [report.is_meant_by(name) for name in (None, "x", "x.rtcp")] == [False, False, True]


def test_a_scheduled_flow_loads_the_seconds_in_which_it_sends() -> None:
    common = f"kind: messages, service: ehr-udp, count: 1, every: 1 ms, request: 99 B, reply: 99 B, {HOSPITALS}"
    flow, _ = planned(f"{{{common}, shape: {{5 s: 0 %, 5001 ms: 100 %, 6 s: 100 %, 6001 ms: 0 %}}}}")
    paced, _ = planned(f"{{{common}}}")
    one, other = (offered_load(TrafficPlan((replace(each, id=0),), ()), PLAN) for each in (flow, paced))
    assert one.visits_per_s == pytest.approx(other.visits_per_s, rel=0.01)


# --- refusals ---------------------------------------------------------------------------------------

CALL = "kind: voice, service: voice, count: 1, between: {kind: [gp]}"
SCAN = "kind: scan, from: {kind: [gp]}, to: {kind: [gp]}, count: 1, every: 1 s"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("kind: messages, service: ehr-udp, count: 1, every: 1 s, request: 1460 B, reply: 99 B, family: 6, "
         "between: {kind: [gp]}", "has a datagram that does not fit an IPv6 packet (hint: write at most 1452 B)"),
        (f"{CALL}, ipv6_share: 10 %",
         "has an ipv6_share, which says nothing with one family (hint: write family: both)"),
        (f"{CALL}, calls: {{every: 1 s}}", "x.calls.holding"),
        (f"{CALL}, calls: {{every: 1 s, holding: 1 s, arrivals: pareto-on-off}}",
         "pareto-on-off does not say how long its periods are (hint: give active and idle)"),
        (f"{CALL}, calls: {{every: 1 s, holding: 1 s, arrivals: {{process: poisson, idle: 1 s}}}}",
         "poisson has no idle (hint: leave it out)"),
        (f"{CALL}, calls: {{every: 1 s, holding: 1 s, shape: {{2 s: 1 %, 1 s: 2 %}}}}",
         "has times out of order (hint: write them in ascending order)"),
        (f"{CALL}, calls: {{every: 1 s, holding: 1 s, shape: {{2 s: 0 %}}}}",
         "has no load at any time (hint: give at least one time a load above 0 %)"),
        ("kind: video, service: video, count: 1, rate: 1 Mbit/s, frames: {gop: PPI}, between: {kind: [gp]}",
         "x.frames.gop: 'PPI' is no group of pictures (hint: write an I, then Ps and Bs, for example IBBPBBP)"),
        (f"{SCAN}, ports: [0]", "x.ports[0]"),
        (f"{SCAN}, size: 9 kB", "x.size"),
    ],
)  # fmt: skip
def test_what_a_file_alone_shows_to_be_wrong(entry: str, expected: str) -> None:
    found = problems(text(f"x: {{{entry}}}"))
    assert len(found) == 1
    assert found[0].startswith("small.yaml:18: traffic.x") and expected in found[0]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("kind: voice, service: record-lookup-udp, count: 1, from: {kind: [gp]}, to: {kind: [service]}",
         "small.yaml:18: traffic.x.service: 'record-lookup-udp' has no even port with the next one beside it, as RTP "
         "and RTCP need (hint: write rtcp: false, or give it such ports)"),
        (f"kind: voice, service: voice, count: 1, calls: {{every: 1 h, holding: 1 s}}, {HOSPITALS}",
         "small.yaml:18: traffic.x.calls: plans no call: none begins before the run ends (hint: give a shorter every, "
         "or another seed)"),
        (f"{SCAN.replace('from: {kind: [gp]}', 'from: {site: [hospital-bodoe]}')}",
         "small.yaml:18: traffic.x.from.site[0]: 'hospital-bodoe' is no site of this network"),
        (f"{SCAN.replace('{kind: [gp]}', '{site: [hospital-odda]}')}",
         "small.yaml:18: traffic.x.to: selects no site but the source, 'hospital-odda' (hint: select others)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_policy_or_the_network_is_refused(entry: str, expected: str) -> None:
    assert refusal(f"{{{entry}}}").startswith(expected)


def test_short_forms_are_valid_in_the_schema_that_editors_get() -> None:
    checker = jsonschema.Draft202012Validator(TypeAdapter(Traffic).json_schema())
    for entry in (
        f"{CALL}, calls: {{every: 1 s, holding: 30 s, arrivals: poisson, shape: {{0 s: 10 %, 5 s: 100 %}}}}",
        f"{CALL}, calls: {{every: 1 s, holding: {{mean: 30 s}}, arrivals: {{process: poisson}}}}",
        f"{SCAN}, ports: [1434, 445], family: both, ipv6_share: 20 %",
    ):
        checker.validate(yaml.safe_load(f"{{{entry}}}"))
