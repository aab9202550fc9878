"""The open policy: on any network every site may open anything to every other, and marked packets keep their class."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import policy_golden
import pytest
from controller_switch import ICMP, TCP, UDP, Fabric, Fate

from helsewan.common.errors import InputError
from helsewan.controller.openflow.pipeline import Drop
from helsewan.controller.update.reconciler import Reconciler
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.language.ports import parse_ports, split
from helsewan.policies.plan import SHORTEST, Plan, PortMatch
from helsewan.scenarios.traffic.pairs import fixed_port
from helsewan.topology.importers import network_from
from helsewan.topology.national.generator import national_network

SAMPLES = Path(__file__).parents[2] / "samples" / "topologies"
OPEN = load_policy(library_path("open"))
PACKETS: dict[str, dict[str, Any]] = {
    "ping": {"ip_proto": ICMP, "icmpv4_type": 8},
    "echo": {"ip_proto": ICMP, "icmpv4_type": 0},
    "ssh": {"ip_proto": TCP, "tcp_src": 40000, "tcp_dst": 22, "tcp_flags_nxm": 0x02},
    "ssh's answer": {"ip_proto": TCP, "tcp_src": 22, "tcp_dst": 40000, "tcp_flags_nxm": 0x12},
    "iperf": {"ip_proto": UDP, "udp_src": 60000, "udp_dst": 5001},
    "the last port": {"ip_proto": UDP, "udp_src": 1, "udp_dst": 65535},
}
NATIONAL = load_policy(library_path("national")).spec.classes


@cache
def plan() -> Plan:
    """The open policy on a small imported network."""
    return compile_policy(OPEN, network_from(SAMPLES / "Ringnett.graphml", 30))


@cache
def fabric() -> Fabric:
    reconciler = Reconciler(plan())
    return Fabric.of(plan(), {router: reconciler.target(router) for router in plan().network.router})


def sent(source: str, destination: str, **header: Any) -> Fate:
    return fabric().send(source, ipv4_dst=str(plan().network.site[destination].address4), **header)


@pytest.mark.parametrize("packet", PACKETS)
def test_everything_is_open_between_all_sites(packet: str) -> None:
    for source, destination in permutations(plan().network.site, 2):
        fate = sent(source, destination, **PACKETS[packet])
        home = plan().network.site[destination].accesses[0]
        assert (fate.router, fate.vlan) == (home.router, home.vlan), (source, destination, fate.rule)


@pytest.mark.parametrize("name", ["voice", "video", "data", "bulk"])
def test_what_its_sender_marked_stays_in_its_class(name: str) -> None:
    first, *_, last = plan().network.site
    for dscp in NATIONAL[name].dscps:
        for packet in PACKETS.values():
            fate = sent(first, last, ip_dscp=dscp, **packet)
            assert fate.packet.fields["ip_dscp"] == NATIONAL[name].dscps[0]
            assert {top[1] for *_, top in fate.labels} <= {NATIONAL[name].dscps[0] >> 3}


@pytest.mark.parametrize("dscp", [0, 7, 40, 48, 56])
def test_what_is_marked_for_no_class_or_control_goes_best_effort(dscp: int) -> None:
    first, *_, last = plan().network.site
    assert sent(first, last, ip_dscp=dscp, **PACKETS["iperf"]).packet.fields["ip_dscp"] == 0


def test_a_borrowed_address_still_goes_nowhere() -> None:
    first, second, *_, last = plan().network.site
    borrowed = str(plan().network.site[second].address4)
    assert sent(first, last, ipv4_src=borrowed, **PACKETS["ping"]).dropped_for == Drop.SPOOFED


@pytest.mark.parametrize("name", sorted(path.name for path in SAMPLES.iterdir()))
def test_compiles_on_every_sample(name: str) -> None:
    found = compile_policy(OPEN, network_from(SAMPLES / name))
    assert len(found.roles) == len(found.vpns) == 1
    assert {service for _, _, service in found.allowed} == {"tcp", "udp", "ping", "other"}


def test_compiles_on_the_national_network_with_its_classes() -> None:
    network = national_network(400)
    found, national = compile_policy(OPEN, network), compile_policy(load_policy(library_path("national")), network)
    assert found.classes == tuple(replace(cls, path=SHORTEST) for cls in national.classes)
    assert set(found.role_of_site) == set(network.site)


def test_any_port_is_one_match_and_begins_with_one_that_can_listen() -> None:
    assert list(split(parse_ports("any"))) == [PortMatch(0, 0)]
    assert str(parse_ports("any")) == "any"
    udp = plan().service["udp"]
    assert udp.port_numbers[0] == 1 and udp.port_numbers[-1] == 65535
    assert fixed_port(next(iter(plan().network.sites)), udp).port == 1


def test_a_service_keeps_only_classes_that_exist() -> None:
    text = library_path("open").read_text(encoding="utf-8").replace("keep: [voice,", "keep: [vioce,", 1)
    with pytest.raises(InputError, match=r"keep\[0\]: 'vioce' is no class of this policy \(hint: did you mean 'voice'"):
        compile_policy(policy_golden.policy(text), national_network(None))
