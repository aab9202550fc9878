"""Replays as they are planned: addresses mapped to sites, what the policy denies told, packets due on time."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from capture_files import MS, Recorded, conversation, ethernet, ip4, ip6, pcap, pcapng, tcp, udp, write
from jsonschema import Draft202012Validator
from scenario_case import case_of

from helsewan.common.errors import InputError
from helsewan.lab.captures.replay_frames import ReplayPacket, Schedule, replay_packets
from helsewan.lab.flows.flowspec import TrafficPlan
from helsewan.lab.flows.replay_plan import Extent, Pace, ReplayPlan
from helsewan.scenarios.authoring.json_schema import scenario_json_schema
from helsewan.scenarios.spec.spec import load_scenario
from helsewan.scenarios.traffic.flows import plan_traffic
from helsewan.scenarios.traffic.offered_load import OfferedLoad, offered_load
from helsewan.topology.model import Kind

_, PLAN, _ = case_of("isolation")  # the national policy on 90 sites
SITE = PLAN.network.site
SCENARIO = """
name: replayed
description: a capture
network: {sites: 90, seed: 2006}
policy: national
duration: 10 s
traffic:
  monday:
    kind: replay
    file: monday.pcap
%s
checks:
  lost: {metric: replay_lost, traffic: monday, limit: "== 0", optional: true}
"""
HOSPITALS = "    map: {10.1.0.0/16: {kind: [hospital], region: nord}, 10.2.0.0/16: {kind: [hospital], region: sor}}"
CALL = conversation("10.1.0.1", "10.2.0.1", 16384, 10)


def planned(tmp_path: Path, capture: bytes, options: str = HOSPITALS) -> ReplayPlan:
    write(tmp_path / "monday.pcap", capture)
    (tmp_path / "s.yaml").write_text(SCENARIO % options)
    scenario = load_scenario(str(tmp_path / "s.yaml"))
    (replay,) = plan_traffic(scenario.spec, PLAN, scenario.document).replays
    return replay


def refused(tmp_path: Path, capture: bytes, options: str = HOSPITALS) -> str:
    with pytest.raises(InputError) as error:
        planned(tmp_path, capture, options)
    return str(error.value).removeprefix(f"{tmp_path}/s.yaml:")


def message(source: str, destination: str, port: int, at_ms: int = 0, size: int = 20, client: int = 40_000) -> Recorded:
    """A TCP segment of a connection, from its client."""
    made = ip4 if "." in source else ip6
    return Recorded(at_ms * MS, ethernet(made(source, destination, 6, tcp(client, port, bytes(size)))))


def hosts(replay: ReplayPlan) -> dict[str, str]:
    """The site of each mapped address."""
    return {str(ip_address(packed)): host.site for packed, host in replay.hosts.items()}


def test_addresses_are_spread_over_the_sites_of_the_longest_prefix(tmp_path: Path) -> None:
    capture = [message(f"10.1.0.{n}", "10.2.0.1", 16384) for n in range(1, 6)]
    capture += [message("10.1.7.7", "10.2.0.1", 16384)]
    options = """    map:
      10.1.0.0/16: {kind: [hospital], region: nord}
      10.1.7.0/24: {kind: [service], tags: [prescriptions]}
      10.2.0.0/16: {kind: [hospital], region: sor}"""
    replay = planned(tmp_path, pcap(capture), options)
    mapped = hosts(replay)
    north = [mapped[f"10.1.0.{n}"] for n in range(1, 6)]
    assert {SITE[name].region.value for name in north} == {"nord"} and len(set(north)) == 5
    assert SITE[mapped["10.1.7.7"]].kind is Kind.SERVICE
    for host in replay.hosts.values():
        site = SITE[host.site]
        assert host.address in site.prefix4 and host.address not in (site.gateway4, site.address4)
    assert planned(tmp_path, pcap(capture), options) == replay  # the same seed, the same plan


def test_what_is_not_mapped_is_told(tmp_path: Path) -> None:
    arp = Recorded(1, ethernet(ip4("10.1.0.1", "10.2.0.1", 17, b""))[:12] + b"\x08\x06" + bytes(46))
    capture = [*CALL, message("10.1.0.1", "192.0.2.8", 443, 200), message("192.0.2.9", "10.2.0.1", 443, 201), arp]
    capture += [message("10.1.0.1", "239.1.1.1", 443, 202), message("10.1.0.1", "10.1.0.1", 443, 203)]
    replay = planned(tmp_path, pcap(sorted(capture, key=lambda each: each.at_ns)))
    told = replay.told
    assert (told.packets, told.replayed, told.unmapped, told.addresses) == (15, 10, 2, 2)
    assert told.examples == ("192.0.2.8", "192.0.2.9")
    assert told.left_out == {"of EtherType 0x0806": 1, "to a group or everybody": 1}
    assert told.within_site == 1
    assert "left out: 2 packets of 2 addresses not mapped (192.0.2.8, 192.0.2.9)" in told.lines()
    assert replay.extent.packets == 10


def test_what_the_policy_denies_is_told_and_expected_denied(tmp_path: Path) -> None:
    """Between regions hospitals have calls, and no records; a request towards a client's port is no reply."""
    capture = [*CALL, *(message("10.1.0.1", "10.2.0.1", 8443, 200 + n) for n in range(3))]
    replay = planned(tmp_path, pcap(capture))
    assert [(flow.service, flow.class_name, flow.packets) for flow in replay.flows if not flow.is_denied] == [
        ("voice", "voice", 5),
        ("voice", "voice", 5),
    ]
    (denied,) = [flow for flow in replay.flows if flow.is_denied]
    assert (denied.packets, replay.told.denied) == (3, 3)
    assert f"denied by the policy, must not arrive: 3 packets ({denied.name})" in replay.told.lines()


def test_fragments_are_expected_denied(tmp_path: Path) -> None:
    fragment = ip4("10.1.0.1", "10.2.0.1", 17, udp(40_000, 16384, b"x" * 100), fragment=0x2000)
    replay = planned(tmp_path, pcap([*CALL, Recorded(500 * MS, ethernet(fragment))]))
    assert [flow.packets for flow in replay.flows if flow.is_denied] == [1]


def test_auto_maps_by_what_addresses_do_and_how_much(tmp_path: Path) -> None:
    """Two servers of one service each, and clients that use both: every packet is allowed; who sends more has the
    faster line."""
    clients = [f"192.168.0.{n}" for n in range(1, 6)]
    capture = [message(client, "198.51.100.1", 9443, 10 * n) for n, client in enumerate(clients)]
    capture += [message(client, "198.51.100.2", 10443, 100 + 10 * n, 10 * n + 20) for n, client in enumerate(clients)]
    replay = planned(tmp_path, pcap(capture), "    map: auto")
    mapped = hosts(replay)
    assert "prescriptions" in SITE[mapped["198.51.100.1"]].tags
    assert "records" in SITE[mapped["198.51.100.2"]].tags
    assert not any(flow.is_denied for flow in replay.flows)
    rates = [SITE[mapped[client]].accesses[0].rate_bps for client in clients]
    assert rates == sorted(rates) and len({mapped[client] for client in clients}) == 5


def test_a_capture_of_this_network_is_mapped_to_itself(tmp_path: Path) -> None:
    a, b = [site for site in PLAN.network.sites if site.kind is Kind.HOSPITAL][:2]
    capture = conversation(str(a.address4), str(b.address4), 16384, 4)
    capture += [Recorded(each.at_ns + 100 * MS, each.data) for each in
                conversation(str(a.address6), str(b.address6), 16384, 4)]  # fmt: skip
    replay = planned(tmp_path, pcapng(capture), "    map: same")
    assert set(hosts(replay).values()) == {a.id, b.id}
    assert len(replay.hosts) == 4 and not any(flow.is_denied for flow in replay.flows)
    assert {host.address.version for host in replay.hosts.values()} == {4, 6}


@pytest.mark.parametrize(
    ("capture", "options", "expected"),
    [
        (b"", HOSPITALS, "10: traffic.monday.file: {path}: is empty (hint: give a pcap or pcapng file)"),
        (
            pcap(CALL)[:-5],
            HOSPITALS,
            "10: traffic.monday.file: {path}: packet 10: is cut: the file ends within it "
            "(hint: capture again, or cut the file after the last whole packet)",
        ),
        (
            pcap([*CALL, Recorded(200 * MS, ethernet(ip4("10.1.0.1", "10.2.0.1", 17, udp(1, 2, bytes(3000)))))]),
            HOSPITALS,
            "10: traffic.monday.file: {path}: packet 11: is 3,028 bytes long, of which lines here carry 1,500, and is "
            "no TCP (hint: capture without offloads (ethtool -K DEVICE gro off), or map it to nothing)",
        ),
        (
            pcap([Recorded(0, CALL[0].data[:45], wire_bytes=len(CALL[0].data))]),
            HOSPITALS + "\n    mode: payload",
            "10: traffic.monday.file: {path}: packet 1: has 3 bytes fewer in the capture than on the wire "
            "(hint: capture whole packets (tcpdump -s 0), or replay mode: wire)",
        ),
        (
            pcap(CALL),
            "    map: {192.0.2.0/24: {kind: [hospital]}}",
            "11: traffic.monday.map: maps none of the 10 packets of the capture to two sites "
            "(hint: addresses in it: 10.1.0.1, 10.2.0.1)",
        ),
        (
            pcap(CALL),
            "    map: {10.0.0.0/8: {site: [hospital-x]}}",
            "11: traffic.monday.map.10.0.0.0/8.site[0]: 'hospital-x' is no site of this network "
            "(hint: did you mean 'hospital-ski'?)",
        ),
        (
            pcap(CALL),
            HOSPITALS + "\n    speed: 2\n    rate: 1 Mbit/s",
            "8: traffic.monday: has two paces (hint: give either speed or rate)",
        ),
        (pcap(CALL), "    map: {10.1.0.0/40: {kind: [hospital]}}", "11: traffic.monday.map.10.1.0.0/40"),
        (pcap(CALL), "    map: automatic", "11: traffic.monday.map"),
        (pcap(CALL), "    loops: 0", "11: traffic.monday.loops: 0 "),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(
    tmp_path: Path, capture: bytes, options: str, expected: str
) -> None:
    text = refused(tmp_path, capture, options)
    assert text.startswith(" ".join(expected.split()).format(path=tmp_path / "monday.pcap")), text
    assert "\n" not in text


def test_more_addresses_than_sites_have_are_refused(tmp_path: Path) -> None:
    capture = [message(f"10.1.0.{n}", "10.2.0.1", 16384) for n in range(1, 20)]
    gp = next(site for site in PLAN.network.sites if site.kind is Kind.GP)
    options = f"    map: {{10.1.0.0/16: {{site: [{gp.id}]}}, 10.2.0.0/16: {{kind: [hospital], region: sor}}}}"
    expected = "traffic.monday.map: has too few addresses for the 20 of the capture: 10.1.0.0/16 has no more"
    assert expected in refused(tmp_path, pcap(capture), options)


def due_ms(packets: list[ReplayPacket]) -> list[float]:
    return [packet.due_ns / MS for packet in packets]


def test_packets_are_due_at_their_times_divided_by_the_speed(tmp_path: Path) -> None:
    for speed, expected in ((1, 10.0), (2, 5.0), (0.5, 20.0)):
        replay = planned(tmp_path, pcap(CALL), HOSPITALS + f"\n    speed: {speed}\n    start: 1 s")
        assert due_ms(list(replay_packets(replay))) == [1000 + expected * number for number in range(10)]


def test_loops_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    replay = planned(tmp_path, pcap(CALL), HOSPITALS + "\n    loops: 3")
    packets = list(replay_packets(replay))
    assert due_ms(packets) == [10.0 * number for number in range(30)]
    assert [packet.loop for packet in packets] == [0] * 10 + [1] * 10 + [2] * 10
    orders = [packet.order for packet in packets if packet.flow == 0]
    assert orders == list(range(15))  # numbered on: no packet is taken for one of another loop


def test_a_rate_is_kept_whatever_the_capture_had(tmp_path: Path) -> None:
    replay = planned(tmp_path, pcap(CALL), HOSPITALS + "\n    rate: 100 kbit/s\n    loops: 2")
    packets = list(replay_packets(replay))
    size = len(packets[0].data) + 18
    assert due_ms(packets) == pytest.approx([number * size * 8 / 100 for number in range(20)])
    assert replay.told.ends_us == 20 * size * 80


def test_a_schedule_does_not_drift() -> None:
    """The millionth packet of a tenth of a microsecond each, in the thousandth loop, is due to the nanosecond."""
    schedule = Schedule(Pace(speed=3, loops=1000), Extent(3, 0, 0, 1_000_000_007))
    period_ns = Extent(3, 0, 0, 1_000_000_007).period_ns
    for loop in (0, 999):
        assert schedule.due_ns(1_000_000_007, loop, 100) == round((loop * period_ns + 1_000_000_007) / 3)


def test_a_replay_longer_than_the_run_is_told(tmp_path: Path) -> None:
    capture = [*CALL, Recorded(20_000 * MS, CALL[0].data)]
    lines = planned(tmp_path, pcap(capture)).told.lines()
    assert "not replayed to its end after 20.0 s: the run ends after 10.0 s" in lines


def test_several_files_are_one_replay(tmp_path: Path) -> None:
    write(tmp_path / "tuesday.pcap", pcap([Recorded(each.at_ns + 5 * MS, each.data) for each in CALL]))
    write(tmp_path / "monday.pcap", pcap(CALL))
    (tmp_path / "s.yaml").write_text((SCENARIO % HOSPITALS).replace("monday.pcap", "[monday.pcap, tuesday.pcap]"))
    scenario = load_scenario(str(tmp_path / "s.yaml"))
    (replay,) = plan_traffic(scenario.spec, PLAN, scenario.document).replays
    assert due_ms(list(replay_packets(replay))) == [5.0 * number for number in range(20)]


def test_a_replay_asks_its_share_of_the_machine(tmp_path: Path) -> None:
    """Five packets each way in a second at least, over two access lines and the links between."""
    replay = planned(tmp_path, pcap(CALL))
    asked = offered_load(TrafficPlan((), (), replays=(replay,)), PLAN)
    routers = asked.visits_per_s / 10
    assert routers == int(routers) >= 1
    assert asked.crossings_per_s == 10 * (routers + 1)
    assert offered_load(
        TrafficPlan((), (), replays=(planned(tmp_path, pcap(CALL), HOSPITALS + "\n    loops: 7"),)), PLAN
    ) == (OfferedLoad(7 * asked.crossings_per_s, 7 * asked.visits_per_s))


@pytest.mark.parametrize(
    "options", [HOSPITALS, "    map: auto", "    map: same\n    speed: 2\n    loops: 3", "    rate: 5 Mbit/s"]
)
def test_editors_know_what_is_accepted(options: str) -> None:
    Draft202012Validator(scenario_json_schema()).validate(yaml.safe_load(SCENARIO % options))


def test_a_check_of_leaks_without_a_denied_packet_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "monday.pcap", pcap(CALL))
    text = (SCENARIO % HOSPITALS).replace("replay_lost", "replay_leaked").replace(", optional: true", "")
    (tmp_path / "s.yaml").write_text(text)
    scenario = load_scenario(str(tmp_path / "s.yaml"))
    with pytest.raises(InputError, match="'replay_leaked' selects no flow of the scenario: it could never be judged"):
        plan_traffic(scenario.spec, PLAN, scenario.document)
