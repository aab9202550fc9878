"""The packet sets that rules deliver, written as blocks: the blocks are the set, no more and no less."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from controller_plan import small_plan
from small_network import DESCRIPTION as SMALL
from typer.testing import CliRunner

from helsewan.cli.main import app
from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.common.terminal.screen import Screen
from helsewan.controller.openflow.entries import IPV4
from helsewan.controller.rules.generation import first_generation
from helsewan.verification.concrete.fabric import End, Fabric
from helsewan.verification.concrete.packet import Packet
from helsewan.verification.static import Static
from helsewan.verification.symbolic.header_space import Space
from helsewan.verification.symbolic.packet_blocks import blocks


def test_blocks_are_the_whole_set_and_do_not_overlap() -> None:
    space = Space()
    those = space.equal("tp_dst", 0x1F90, 0xFFF0) & space.equal("ip_proto", 6) | space.equal("ip_proto", 17)
    again = space.none
    for block in space.blocks(those):
        each = space.all
        for part, bits in block.items():
            each &= space.equal(part, bits.value, bits.mask)
        assert each & again == space.none
        again |= each
    assert again == those


def test_a_list_of_blocks_beyond_the_limit_is_marked_incomplete() -> None:
    space = Space()
    found, whole = blocks(space, space.equal("ip_proto", 6) | space.equal("ip_proto", 17), 1)
    assert len(found) == 1 and not whole


def test_the_packets_between_two_sites_are_those_that_the_interpreter_delivers() -> None:
    plan = small_plan()
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in plan.network.routers}
    static, fabric = Static(plan.network, rules), Fabric.of(plan.network, rules)
    contract = plan.contracts[0]
    roles = {role.id: role for role in plan.roles}
    sender, receiver = (plan.network.site[roles[role].sites[0]] for role in (contract.client, contract.server))
    delivered = static.delivered((sender.id, 0), receiver.id)
    met = set()
    for port in range(0, 1 << 16, 97):
        packet = Packet.of(eth_type=IPV4, ipv4_src=str(sender.address4), ipv4_dst=str(receiver.address4), ip_proto=17,
                           udp_src=4000, udp_dst=port, ip_dscp=0, ip_frag=0, nw_ttl=64)  # fmt: skip
        trace = fabric.trace_from(sender.id, packet)
        arrives = trace.end is End.DELIVERED and trace.site == receiver.id
        assert (delivered & static.space.of(packet) != static.space.none) is arrives, port
        met.add(arrives)
    assert met == {True, False}


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_the_command_prints_the_packets_in_words_and_as_json(network: Path) -> None:
    pair = ["rules", "packets", "hospital-a", "hospital-b", "--from", str(network)]
    words = CliRunner().invoke(app, pair)
    assert words.exit_code == 0 and "fragments none" in words.output and "delivered with DSCP 46" in words.output
    output = json.loads(CliRunner().invoke(app, [*pair, "--json"]).output)
    assert output["all"] and len(output["delivered"]) == words.output.count("packets IPv")


def test_dropped_packets_are_all_others_and_a_failure_case_is_named(network: Path) -> None:
    pair = ["rules", "packets", "hospital-a", "hospital-b", "--from", str(network)]
    dropped = json.loads(CliRunner().invoke(app, [*pair, "--outcome", "dropped", "--json"]).output)
    assert dropped["dropped"] and dropped["case"] == "intact" and "delivered" not in dropped
    looped = json.loads(CliRunner().invoke(app, [*pair, "--outcome", "looped", "--json"]).output)
    assert looped["looped"] == [] and looped["all"]
    for option, value in (("--outcome", "lost"), ("--case", "link nowhere")):
        refused = CliRunner().invoke(app, [*pair, option, value])
        assert isinstance(refused.exception, InputError) and option in str(refused.exception)


def test_a_site_whose_router_is_off_sends_nothing(network: Path) -> None:
    pair = ["rules", "packets", "hospital-a", "hospital-b", "--from", str(network), "--json"]
    router = loads(SMALL.encode(), "small.yaml").data["sites"]["hospital-a"]["lines"][0]["router"]
    output = json.loads(CliRunner().invoke(app, [*pair, "--case", f"router {router}"]).output)
    assert output["delivered"] == [] and output["case"] == f"router {router}"


@pytest.mark.parametrize(("pair", "reason"), [(("hospital-x", "gp-c"), "no site"), (("gp-c", "hospital-x"), "no site")])
def test_unknown_sites_are_refused(network: Path, pair: tuple[str, str], reason: str) -> None:
    result = CliRunner().invoke(app, ["rules", "packets", *pair, "--from", str(network)])
    assert isinstance(result.exception, InputError) and reason in str(result.exception)
    for option in ("--access-link", "--line"):  # the second is the old name
        argv = ["rules", "packets", "gp-c", "hospital-a", option, "1", "--from", str(network)]
        result = CliRunner().invoke(app, argv)
        assert isinstance(result.exception, InputError) and "--access-link" in str(result.exception)


def test_a_path_too_long_to_follow_is_an_error(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Static, "outcomes", too_deep)
    result = CliRunner().invoke(app, ["rules", "packets", "hospital-a", "hospital-b", "--from", str(network)])
    assert isinstance(result.exception, InputError) and "than can be followed" in str(result.exception)


def too_deep(*_: object) -> None:
    raise RecursionError


def test_an_ipv6_address_stays_what_it_is_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().print("fd68:776e:0:a::/64")
    assert capsys.readouterr().out.strip() == "fd68:776e:0:a::/64"
