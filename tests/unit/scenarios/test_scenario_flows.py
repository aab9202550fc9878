"""Planned traffic: allowed where it must arrive, denied where it must not, with a control at every probed socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from scenario_case import FLOW, case_of, default_case
from scenario_text import SMALL, read

from helsewan.common.errors import InputError
from helsewan.lab.flows.flowspec import Expect, FlowKind, FlowSpec, TrafficPlan
from helsewan.lab.testbed.failure_state import Target
from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.plan import Plan, Protocol
from helsewan.scenarios.spec.spec import load_scenario
from helsewan.scenarios.spec.timeline.actions import TargetSpec
from helsewan.scenarios.spec.timeline.targets import (
    Connectivity,
    Fate,
    failed_together,
    region_core,
    resolve,
    resolve_timeline,
)
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.scenarios.traffic.pairs import CLIENT_PORTS
from helsewan.topology.model import Region

SCENARIO, PLAN, TRAFFIC = default_case()
PROBES = [flow for flow in TRAFFIC.flows if flow.kind is FlowKind.PROBE]
CONTROLS = [flow for flow in TRAFFIC.flows if flow.kind is FlowKind.CONTROL]
REGULAR = [flow for flow in TRAFFIC.flows if flow.kind not in (FlowKind.PROBE, FlowKind.CONTROL, FlowKind.RTCP)]


def permits(plan: Plan, flow: FlowSpec) -> bool:
    """Whether any contract lets the flow's datagrams through: as a request, or as a reply (ports turned round)."""
    there, back = (flow.source, flow.destination), (flow.destination, flow.source)
    return any(
        server.port in service.port_numbers and is_allowed(plan, client.site, server.site, service.name)
        for service in plan.services
        if service.protocol is Protocol.UDP
        for client, server in (there, back)
    )


def test_what_must_arrive_is_allowed_and_what_must_not_is_not() -> None:
    for flow in TRAFFIC.flows:
        local = flow.source.site == flow.destination.site
        assert local or permits(PLAN, flow) == (flow.expect is Expect.DELIVERED), flow.name
    for exchange in TRAFFIC.exchanges:
        assert is_allowed(PLAN, exchange.client, exchange.server, exchange.service), exchange.name


def test_counts_are_those_of_the_file() -> None:
    """Voice, video and messages are two flows a pair; exchanges and probes one each."""
    said = SCENARIO.spec.traffic
    entries = Counter(flow.entry for flow in REGULAR)
    assert entries == {name: 2 * said[name].count for name in said if name not in ("records", "isolation")}
    assert len(TRAFFIC.exchanges) == said["records"].count
    assert len(PROBES) == said["isolation"].count


@pytest.mark.parametrize(
    ("name", "least_per_s", "least_sites"), [("region-failover", 5_000, 200), ("busy-hour", 20_000, 1_500)]
)
def test_a_scenario_carries_what_its_file_says(name: str, least_per_s: float, least_sites: int) -> None:
    scenario, plan, traffic = default_case() if name == SCENARIO.name else case_of(name)
    rates = [flow.burst * 1e9 / flow.interval_ns for flow in traffic.flows]
    sites = {site for flow in traffic.flows for site in (flow.client, flow.server)}
    assert least_per_s <= sum(rates) <= 2.5 * least_per_s
    assert len(sites) >= least_sites
    assert {plan.network.site[site].region for site in sites} == set(Region)
    assert set(scenario.spec.traffic) == {flow.entry for flow in traffic.flows} | {
        one.entry for one in traffic.exchanges
    }


def test_ids_are_places() -> None:
    assert [flow.id for flow in TRAFFIC.flows] == list(range(len(TRAFFIC.flows)))
    assert [exchange.id for exchange in TRAFFIC.exchanges] == list(range(len(TRAFFIC.exchanges)))


def test_addresses_are_the_sites_own() -> None:
    for end in TRAFFIC.endpoints:
        assert end.address in (PLAN.network.site[end.site].address4, PLAN.network.site[end.site].address6)
    assert {end.address.version for flow in REGULAR for end in (flow.source, flow.destination)} == {4}


def test_every_call_and_conference_has_sockets_of_its_own() -> None:
    media = [flow for flow in REGULAR if flow.kind in (FlowKind.VOICE, FlowKind.VIDEO)]
    assert max(Counter(flow.destination for flow in media).values()) == 1


def test_both_directions_of_a_pair_use_the_same_sockets() -> None:
    for there, back in zip(REGULAR[::2], REGULAR[1::2], strict=True):
        assert (there.source, there.destination) == (back.destination, back.source)


def test_a_g711_call_is_one_172_byte_datagram_every_20_ms() -> None:
    voice = {(f.interval_ns, f.burst, f.payload_bytes, f.dscp) for f in REGULAR if f.kind is FlowKind.VOICE}
    assert voice == {(20_000_000, 1, 172, 46)}


def test_video_has_the_rate_asked_for() -> None:
    for flow in (flow for flow in REGULAR if flow.kind is FlowKind.VIDEO):
        assert flow.burst * flow.payload_bytes * 8 * 1e9 / flow.interval_ns == pytest.approx(384_000, rel=0.01)
        assert flow.payload_bytes <= 1_200


def test_senders_are_not_in_step() -> None:
    starts = [flow.start_us for flow in REGULAR if flow.kind is FlowKind.VOICE]
    assert len(set(starts)) > len(starts) * 0.9


# --- isolation -----------------------------------------------------------------------------------


def test_probes_try_every_kind_of_pair_that_is_denied() -> None:
    kind = {site.id: site.kind.value for site in PLAN.network.sites}
    tried = {(kind[probe.client], kind[probe.server]) for probe in PROBES}
    kinds = {"hospital", "gp", "pharmacy", "municipality", "service", "datacentre"}
    assert {(a, b) for a in kinds for b in kinds} <= tried


def test_probes_cross_regions_and_vpns_and_stay_inside_them() -> None:
    site, role = PLAN.network.site, PLAN.role_of_site
    regions = {site[probe.client].region == site[probe.server].region for probe in PROBES}
    vpns = {role[probe.client].vpn == role[probe.server].vpn for probe in PROBES}
    assert regions == vpns == {True, False}


def test_some_probes_pose_as_replies() -> None:
    posing = [probe for probe in PROBES if probe.groups[1] == "isolation.replies"]
    assert len(posing) == len(PROBES) // 4
    for probe in posing:
        assert (probe.source.site, probe.destination.site) == (probe.server, probe.client)
        assert probe.source.port in PLAN.service[probe.service].port_numbers
        assert probe.destination.port in CLIENT_PORTS


def test_probes_of_every_shape_try_both_ip_versions() -> None:
    home = {site: role.vpn for site, role in PLAN.role_of_site.items()}
    shapes: list[Callable[[FlowSpec], object]] = [
        lambda probe: probe.groups[1],
        lambda probe: home[probe.client] == home[probe.server],
        lambda probe: PLAN.network.site[probe.server].kind,
    ]
    for shape in shapes:
        tried = {(shape(probe), probe.source.address.version) for probe in PROBES}
        assert tried == {(each, version) for each, _ in tried for version in (4, 6)}
    for flow in (*PROBES, *CONTROLS):
        assert flow.source.address.version == flow.destination.address.version


def test_every_probed_socket_has_a_control() -> None:
    assert {probe.destination for probe in PROBES} == {control.destination for control in CONTROLS}
    assert any(control.source.site != control.destination.site for control in CONTROLS), "some across the network"


def test_a_control_is_local_only_where_no_site_may_reach_the_socket() -> None:
    roles = {role.id: role for role in PLAN.roles}
    for control in CONTROLS:
        if control.source.site == control.destination.site and control.destination.port not in CLIENT_PORTS:
            server = PLAN.role_of_site[control.server].id
            able = {
                site
                for client, to, service in PLAN.allowed
                if to == server and service == control.service
                for site in roles[client].sites
            }
            assert able <= {control.server}, control.name


# --- determinism ---------------------------------------------------------------------------------


def planned(**overrides: str) -> TrafficPlan:
    scenario = load_scenario("region-failover", {key.replace("__", "."): value for key, value in overrides.items()})
    return plan_traffic(scenario.spec, PLAN, scenario.document)


def test_the_same_seed_gives_the_same_traffic() -> None:
    assert planned() == TRAFFIC
    assert planned(network__seed="1") != TRAFFIC


def test_an_entry_does_not_depend_on_the_others() -> None:
    def calls(traffic: TrafficPlan) -> list[tuple[str, int]]:
        return [(flow.name, flow.start_us) for flow in traffic.flows if flow.entry == "calls-within"]

    assert calls(planned(traffic__video__count="3", traffic__isolation__count="5")) == calls(TRAFFIC)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            {"traffic__video__service": "vidoe"},
            "traffic.video.service: 'vidoe' is no UDP service .*did you mean 'video'",
        ),
        ({"traffic__records__service": "voice"}, "traffic.records.service: 'voice' is no TCP service"),
        ({"traffic__prescriptions__service": "dicom-udp"}, "traffic.prescriptions.from: selects no two sites"),
    ],
)
def test_traffic_that_cannot_be_is_named_at_its_line(overrides: dict[str, str], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        planned(**overrides)


# --- what fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("from: {kind: [hospital]}, to: {kind: [hospital]}}", "from: {tags: [mesages]}, to: {kind: [hospital]}}",
         "small.yaml:18: traffic.calls.from.tags[0]: 'mesages' is a tag of no site (hint: did you mean 'messages'?)"),
        ("from: {kind: [hospital]}, to: {kind: [hospital]}}", "from: {kind: [hospital]}, to: {site: [hospital-bodoe]}}",
         "small.yaml:18: traffic.calls.to.site[0]: 'hospital-bodoe' is no site of this network (hint: did you mean"),
        ("from: {kind: [hospital]}, to: {kind: [hospital]}}", "from: {kind: [gp], tags: [voice]}, to: {kind: [gp]}}",
         "small.yaml:18: traffic.calls.from: selects no site of this network: none has both kind gp and tags voice"),
        ("from: {kind: [hospital]}, to: {kind: [hospital]}}", "between: {tags: [mesages]}}",
         "small.yaml:18: traffic.calls.between.tags[0]: 'mesages' is a tag of no site (hint: did you mean"),
        ("from: {kind: [hospital]}, to: {kind: [hospital]}}", "between: {kind: [pharmacy]}}",
         "small.yaml:18: traffic.calls.between: selects no two sites between which policy 'national' allows 'voice'"),
        ("class: voice, phase", "class: vioce, phase",
         "small.yaml:24: checks.gap.class: 'vioce' is no class of policy 'national' (hint: did you mean 'voice'?)"),
        ("traffic: records, limit", "traffic: records, class: bulk, limit",
         "small.yaml:25: checks.answered.class: 'bulk' is the class of none of the traffic that this check judges"),
    ],
)  # fmt: skip
def test_selectors_and_classes_that_select_nothing_are_refused(old: str, new: str, expected: str) -> None:
    assert old in SMALL
    scenario = read(SMALL.replace(old, new, 1))
    with pytest.raises(InputError) as caught:
        plan_traffic(scenario.spec, PLAN, scenario.document)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_the_core_of_each_region() -> None:
    cores = {region.value: region_core(PLAN.network, region).id for region in Region}
    assert {name: cores[name] for name in ("ost", "vest", "midt", "nord")} == {
        "ost": "oslo",
        "vest": "bergen",
        "midt": "trondheim",
        "nord": "tromso",
    }
    assert len(region_core(PLAN.network, Region.MIDT).routers) == 2
    assert PLAN.network.pop[cores["sor"]].region is Region.SOR


def test_targets_of_the_default_scenario() -> None:
    targets = resolve_timeline(SCENARIO.spec, PLAN.network, SCENARIO.document)
    assert targets["failure"].routers == targets["repair"].routers == PLAN.network.pop["trondheim"].routers
    assert failed_together(SCENARIO.spec, targets, PLAN.network).routers == targets["failure"].routers


def test_each_kind_of_target() -> None:
    network = PLAN.network
    link = network.links[0]
    assert resolve(TargetSpec(pop="bodo"), network).routers == network.pop["bodo"].routers
    assert resolve(TargetSpec(router=link.a), network).routers == (link.a,)
    assert resolve(TargetSpec(link=link.id), network).links == (link.id,)
    group = next(group for link in network.links for group in link.srlg)
    assert resolve(TargetSpec(srlg=group), network).links == tuple(one.id for one in network.links if group in one.srlg)


@pytest.mark.parametrize("spec", [{"pop": "bodoe"}, {"router": "bodo-9"}, {"link": "bodo"}, {"srlg": "bodo"}])
def test_targets_that_do_not_exist_are_named(spec: dict[str, str]) -> None:
    with pytest.raises(InputError, match=f"x.yaml:3: '{next(iter(spec.values()))}' does not exist in this network"):
        resolve(TargetSpec(**spec), PLAN.network, "x.yaml:3")


def test_fates_follow_homing_and_the_graph() -> None:
    network = PLAN.network
    single = next(site.id for site in network.sites if len(site.homing) == 1)
    dual = next(s for s in network.sites if len(s.homing) == 2)
    far = next(s.id for s in network.sites if not set(s.homing) & {*dual.homing, *network.site[single].homing})
    lost = Connectivity(network, Target("", routers=network.site[single].homing))
    assert lost.fate(single, far) is lost.fate(far, single) is Fate.CUT
    assert lost.fate(far, far) is Fate.SURVIVING
    primary = Connectivity(network, Target("", routers=dual.homing[:1]))
    assert primary.fate(dual.id, far) is Fate.ACCESS_HIT
    backup = Connectivity(network, Target("", routers=dual.homing[1:]))
    assert backup.fate(dual.id, far) is Fate.SURVIVING
    island = Connectivity(network, Target("", links=tuple(link.id for link in network.links)))
    assert island.fate(single, far) is Fate.CUT


def test_the_default_failure_cuts_some_voice_and_spares_some() -> None:
    core = region_core(PLAN.network, Region.MIDT)
    left = Connectivity(PLAN.network, Target("", routers=core.routers))
    fates = Counter(left.fate(flow.client, flow.server) for flow in REGULAR if flow.kind is FlowKind.VOICE)
    assert fates[Fate.CUT] >= 4 and fates[Fate.SURVIVING] >= 8


# --- due times -----------------------------------------------------------------------------------


def test_due_before_counts_bursts() -> None:
    flow = replace(FLOW, burst=3, interval_ns=10_000_000, start_us=5_000, stop_us=100_000)
    assert [flow.due_before(t) for t in (0, 5_000, 5_001, 15_000, 15_001, 95_001, 10**9)] == [0, 0, 3, 3, 6, 30, 30]
