"""The national network runs: who reaches whom, how late, and what a failure does to it. Real packets all."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from national_pairs import NETWORK, far_pair, sites
from testbed_client import TestbedClient

from helsewan.controller.rules.paths import compute_paths
from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.policies.plan import Plan
from helsewan.topology.model import AccessLink, Kind, Link, Network, Site, router_address4, router_address6

pytestmark = pytest.mark.alone

PLAN = compile_policy(load_policy(library_path("national")), NETWORK)
ARTICULATIONS = {"trondheim", "tromso"}  # without them the country is parted (backbone data)
FINNMARK = {"alta", "hammerfest", "karasjok", "vadso", "kirkenes"}
TRACE = Path(__file__).parents[1] / "helpers" / "udp_trace.py"
PRESCRIPTIONS = 9443
ROUNDING_US = 20  # the engine's delays are whole microseconds, a line each
FRAME_BITS = (172 + 8 + 20 + 14 + 24) * 8  # a voice datagram on the line: UDP, IP, Ethernet, preamble and gap


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestbedClient]:
    """A running national network; for tests that only look at it or mend what they break."""
    client = TestbedClient(tmp_path_factory.mktemp("rig"))
    yield client
    client.close()


def way(plan: Plan, network: Network, a: Site, b: Site) -> list[str]:
    """The links of the least-delay way from ``a``'s router to ``b``'s."""
    paths = compute_paths(network, plan.egresses)
    egress = next(egress.index for egress in plan.egresses if egress.routers == b.homing)
    router, links = a.homing[0], []
    while router != b.homing[0]:
        links.append(paths.primary[router, egress])
        router = network.link[links[-1]].other(router)
    return links


def least_delay_us(a: Site, b: Site, overhead: dict[str, float]) -> float:
    """Propagation and serialisation of the whole way, less what both ends cost by calibration, microseconds."""
    fibres = [NETWORK.link[name] for name in way(PLAN, NETWORK, a, b)]
    accesses = [*a.accesses[:1], *b.accesses[:1]]
    lines: list[Link | AccessLink] = [*fibres, *accesses]
    serialisation_us = sum(FRAME_BITS * 1e6 / line.rate_bps for line in lines)
    return serialisation_us + sum(line.delay_us for line in lines) - overhead["ends_us"]


def test_every_switch_took_every_rule(testbed: TestbedClient) -> None:
    """The controller programmed the whole network, and no switch refused a rule."""
    assert testbed.ask("up") == {"errors": [], "dead": []}


def test_the_gateway_answers(testbed: TestbedClient) -> None:
    """ARP, neighbour solicitations and pings of the gateway are answered, at one site of every kind."""
    for kind in Kind:
        site = sites(kind)[0]
        for gateway in (prefix[1] for prefix in site.prefixes):
            heard = testbed.ask("command", site=site.id, line=f"ping -c 3 -i 0.2 {gateway}")
            assert "3 received" in heard, f"{site.id}: {heard}"


def test_ipv6_goes_where_contracts_let_it_and_nowhere_else(testbed: TestbedClient) -> None:
    """Every site pings some other as the policy says, over IPv6: to the services yes, to another region's GP no."""
    gps, hospitals, services = sites(Kind.GP), sites(Kind.HOSPITAL), sites(Kind.SERVICE)
    pairs = [(gps[0], services[0]), (hospitals[0], services[-1]), (gps[0], gps[-1]), (gps[-1], hospitals[0])]
    allowed = [is_allowed(PLAN, a.id, b.id, "ping") is not None for a, b in pairs]
    assert set(allowed) == {True, False}
    for (a, b), expected in zip(pairs, allowed, strict=True):
        heard = testbed.ask("command", site=a.id, line=f"ping -c 3 -i 0.2 -W 1 {b.address6}")
        assert ("3 received" if expected else "0 received") in heard, f"{a.id} > {b.id}: {heard}"


def test_a_command_runs_at_its_site(testbed: TestbedClient) -> None:
    """A site is a namespace of its own with the addresses of the blueprint."""
    a, b = sites(Kind.GP)[:2]
    for site in (a, b):
        heard = testbed.ask("command", site=site.id, line="ip -4 addr")
        assert str(site.address4) in heard
        assert site.mac in testbed.ask("command", site=site.id, line="ip link show wan0")


def test_voice_crosses_the_country_marked_and_never_early(testbed: TestbedClient) -> None:
    """A call from end to end arrives whole, as EF, and never before the model lets it."""
    a, b = far_pair()
    both_ways = [(a, b), (b, a)]
    answers = testbed.ask("stream", pairs=[(x.id, y.id) for x, y in both_ways], datagrams=100)
    for heard, (x, y) in zip(answers, both_ways, strict=True):
        assert heard["received"] == heard["sent"] == 100
        assert heard["tos"] == [46 << 2]
        assert heard["delay_min_us"] >= least_delay_us(x, y, testbed.ask("overhead")) - ROUNDING_US


def test_what_no_contract_allows_does_not_arrive(testbed: TestbedClient) -> None:
    """GP to GP, GP to pharmacy, hospital data across regions: nothing arrives, while the allowed does."""
    gps, pharmacies = sites(Kind.GP), sites(Kind.PHARMACY)
    a, b = far_pair()
    denied = [(gps[0].id, gps[1].id), (gps[0].id, pharmacies[0].id), (pharmacies[0].id, a.id), (gps[0].id, b.id)]
    denied = [pair for pair in denied if is_allowed(PLAN, *pair, "voice") is None]
    assert len(denied) >= 3
    *silent, allowed = testbed.ask("stream", pairs=[*denied, (a.id, b.id)], datagrams=50)
    assert [heard["received"] for heard in silent] == [0] * len(denied)
    assert allowed["received"] == 50
    (across,) = testbed.ask("stream", pairs=[(a.id, b.id)], datagrams=50, port=11_112)
    assert across["received"] == 0, "DICOM crossed from one region to another"


def test_a_borrowed_address_gets_nowhere(testbed: TestbedClient) -> None:
    """A site that sends from another's address is stopped at its own line."""
    a, b = far_pair()
    borrowed = next(site for site in sites(Kind.HOSPITAL) if site not in (a, b))
    testbed.ask("command", site=a.id, line=f"ip addr add {borrowed.address4}/32 dev lo")
    spoofed, honest = (
        testbed.ask("stream", pairs=[(a.id, b.id)], datagrams=50, source=source)[0]
        for source in (str(borrowed.address4), None)
    )
    testbed.ask("command", site=a.id, line=f"ip addr del {borrowed.address4}/32 dev lo")
    assert (spoofed["received"], honest["received"]) == (0, 50)


@pytest.mark.parametrize("version", [4, 6])
def test_trace_from_finnmark_shows_the_routers_on_the_way(testbed: TestbedClient, version: int) -> None:
    """A GP in the north-east traces the way to the prescription service: every router on it answers for itself, none
    before light could have been there and back, and the first one long before the last one could."""
    practice = max(sites(Kind.GP), key=lambda site: (site.lon, site.lat))
    service = next(site for site in sites(Kind.SERVICE) if "prescriptions" in site.tags)
    links = way(PLAN, NETWORK, practice, service)
    routers = [practice.homing[0]]
    for name in links:
        routers.append(NETWORK.link[name].other(routers[-1]))
    assert len(routers) >= 5 and NETWORK.pop_of(routers[0]).id in FINNMARK
    own_address, expired = (router_address4, [11, 0]) if version == 4 else (router_address6, [3, 0])
    ends = " ".join(str(site.address4 if version == 4 else site.address6) for site in (practice, service))
    line = f"{sys.executable} {TRACE} {ends} {PRESCRIPTIONS} 1 {len(routers)}"
    traces = [
        [json.loads(each) for each in testbed.ask("command", site=practice.id, line=line).splitlines()] for _ in "123"
    ]
    for trace in traces:
        assert [each[:3] for each in trace] == [[*expired, str(own_address(NETWORK.router[name]))] for name in routers]
    took_us = [min(trace[hop][4] for trace in traces) * 1000 for hop in range(len(routers))]
    reached_us = list(accumulate([practice.accesses[0].delay_us, *(NETWORK.link[name].delay_us for name in links)]))
    early_us = testbed.ask("overhead")["ends_us"] + ROUNDING_US
    assert all(took >= 2 * reached - early_us for took, reached in zip(took_us, reached_us, strict=True)), took_us
    assert took_us[0] < 2 * reached_us[-1] - early_us


def test_core_rules_do_not_grow_with_sites(testbed: TestbedClient) -> None:
    """No rule that matches labels names a site's address."""
    rules = testbed.ask("rules", router=NETWORK.routers[0].id).splitlines()
    labelled = [match for match in (rule.partition("actions=")[0] for rule in rules) if "mpls_label=" in match]
    assert len(labelled) > len(NETWORK.routers)
    assert not [match for match in labelled if "nw_dst" in match or "nw_src" in match]


def test_failures_on_the_way_are_repaired_without_the_controller(testbed: TestbedClient) -> None:
    """With the controller gone, calls survive the loss of a fibre on their way, and then of a whole PoP."""
    a, b = far_pair()
    pairs = [(a.id, b.id), (b.id, a.id)]
    links = way(PLAN, NETWORK, a, b)
    homes = {NETWORK.router[router].pop for site in (a, b) for router in site.homing}
    on_the_way = (NETWORK.pop_of(end) for name in links for end in (NETWORK.link[name].a, NETWORK.link[name].b))
    pop = next(pop for pop in on_the_way if pop.id not in homes | ARTICULATIONS)
    fibre = next(name for name in links if NETWORK.link[name].srlg)
    testbed.ask("kill_controller")
    for heard in testbed.ask("stream", pairs=pairs, datagrams=200, fail={"links": [fibre]}):
        assert_repaired(heard)
    for heard in testbed.ask("stream", pairs=pairs, datagrams=100, restore={"links": [fibre]}):
        assert_repaired(heard)
    for heard in testbed.ask("stream", pairs=pairs, datagrams=200, fail={"routers": list(pop.routers)}):
        assert_repaired(heard)


def assert_repaired(heard: dict[str, Any]) -> None:
    """What was lost was lost in one go, and the stream went on to its end."""
    lost = heard["lost"]
    assert lost == list(range(lost[0], lost[0] + len(lost))) if lost else True, f"lost more than once: {lost}"
    assert heard["sent"] - 1 not in lost, f"silent to the end: {heard}"
