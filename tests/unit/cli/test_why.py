"""Why a packet arrives or is dropped: the rule, its counter, what the policy says; and what is no packet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from helsewan.common.errors import InputError
from helsewan.controller.openflow.pipeline import Drop
from helsewan.lab.proofs.rule_query import RuleQuery
from helsewan.lab.proofs.why import _REASONS, Why, as_json, print_why, why
from helsewan.topology.model import Site
from helsewan.topology.national.generator import national_network
from helsewan.verification.concrete.packet_text import packet_from
from helsewan.verification.dump.dump import write

AKER, MOLDE = "hospital-aker", "hospital-molde"


@cache
def sites() -> tuple[Site, Site]:
    network = national_network(90)
    return network.site[AKER], network.site[MOLDE]


def asked(packet: str, policy: str = "national", **options: object) -> Why:
    return why(RuleQuery(policy=policy, sites=90, **options), AKER, MOLDE, packet)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """Rules of each policy are computed once for all questions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RuleQuery, "read", cache(RuleQuery.read))
        yield


@pytest.mark.parametrize(
    ("policy", "packet", "reason", "table"),
    [
        ("national", "tcp/22", Drop.NO_CONTRACT, "contract"),
        ("national", "udp/16384 fragment", Drop.FRAGMENT, "contract"),
        ("national", "gre", Drop.NO_CONTRACT, "contract"),
        ("national", "icmp from=10.99.0.1", Drop.SPOOFED, "admit"),
        ("national", "icmp ipv6 from=fe80::2", Drop.LINK_LOCAL, "admit"),
        ("open", "ospf to=224.0.0.5 ttl=2", Drop.NO_ROUTE, "vrf"),
        ("open", "udp/5353 to=ff02::fb", Drop.NO_ROUTE, "vrf"),
        ("open", "udp/53 later-fragment", Drop.FRAGMENT, "contract"),
    ],
)
def test_a_dropped_packet_has_its_rule_and_counter(
    policy: str, packet: str, reason: Drop, table: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = asked(packet, policy)
    assert found.trace.reason is reason
    router = found.trace.routers[-1]
    name = reason.name.lower().replace("_", "-")
    assert found.counter == f"/v1/counters/{router}, table {table}, {name}"
    print_why(found, as_data=False)
    said = capsys.readouterr().out
    assert f"dropped by {router} ({name}): {_REASONS[reason]}" in said
    assert f"table {table}, priority" in said and "the policy: it reaches nobody" in said


@pytest.mark.parametrize(
    "packet", ["gre", "esp ipv6", "sctp", "sctp/36412 src=9", "icmp type=13", "tcp/443 flags=SA", "udp src=53", "253"]
)
def test_all_unicast_passes_under_open(packet: str) -> None:
    found = asked(packet, "open")
    assert found.trace.site == MOLDE and found.expected.disposition.value == "arrives"
    assert as_json(found)["end"] == "delivered" and as_json(found)["counter"] is None


def test_rules_of_a_dump_and_its_failures(tmp_path: Path) -> None:
    dump, _ = RuleQuery(policy="open", sites=90).read()
    (tmp_path / "rules").write_bytes(b"".join(write(dump)))
    found = why(RuleQuery(dump=tmp_path / "rules"), AKER, MOLDE, "udp/53")
    assert found.trace.site == MOLDE and str(tmp_path / "rules") in found.taken


def test_every_reason_has_words() -> None:
    assert set(_REASONS) == set(Drop)


def test_the_words_of_a_packet() -> None:
    packet = packet_from("tcp/443 src=99 flags=SA dscp=EF ttl=7 size=1500 ipv6", *sites())
    expected = {"eth_type": 0x86DD, "ip_proto": 6, "tcp_src": 99, "tcp_dst": 443, "tcp_flags": 0x12, "ip_dscp": 46,
                "nw_ttl": 7, "frame_bytes": 1514, "ip_frag": 0}  # fmt: skip
    assert expected.items() <= packet.fields.items()
    assert packet.fields["ipv6_src"] == int(sites()[0].address6)
    assert packet_from("icmp", *sites()).fields["icmpv4_type"] == 8
    assert packet_from("icmp, ipv6", *sites()).fields["icmpv6_type"] == 128


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no protocol"),
        ("any", "'any' is no protocol"),
        ("256", "'256' is no protocol"),
        ("grre", "'grre' is no protocol"),
        ("tcp", "'tcp' needs a port"),
        ("tcp/99999", "'dst=99999' is not from 0 to 65535"),
        ("tcp/80 flags=X", "'X' is no TCP flag"),
        ("gre/5", "'dst' is no field of this protocol"),
        ("udp/5 dscp=AF9", "'AF9'"),
        ("udp/5 to=nowhere", "'nowhere' is no IP address"),
        ("udp/5 to=::1 ipv4", "names both IP versions"),
        ("udp/5 dport=5", "'dport=5' is not understood"),
    ],
)
def test_what_is_no_packet_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        packet_from(text, *sites())
    assert f"--packet: {reason}" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sender", "receiver", "line", "reason"),
    [("aker", MOLDE, 0, "SITE: 'aker' is no site"), (AKER, "molde", 0, "OTHER: 'molde' is no site"),
     ("gp-royken-1", MOLDE, 1, "--access-link: 1 is no access link")],
)  # fmt: skip
def test_unknown_sites_and_lines_are_refused(sender: str, receiver: str, line: int, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        why(RuleQuery(policy="open", sites=90), sender, receiver, "icmp", line)
    assert reason in str(caught.value)
