"""Ports and timeouts in a dump: read back as written, absent in the former format, and never in contradiction to what
the first line says has failed."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from small_rules import Rules, plan, rules

from helsewan.common.errors import InputError
from helsewan.controller.openflow.decoder import Decoder
from helsewan.controller.openflow.entries import MeterRule, Port, RuleSet
from helsewan.controller.rules.paths import Failures
from helsewan.lab.proofs.verification import proved
from helsewan.topology.model import TRUNK_PORT
from helsewan.verification.dump.dump import Dump, read, write
from helsewan.verification.findings import FindingKind
from helsewan.verification.reports.verdict import verdict_line


@cache
def link() -> str:
    return next(each.id for each in plan().network.links)


def as_read(*, dead: tuple[str, int] | None = None) -> Rules:
    network = plan().network

    def port(router: str, number: int) -> Port:
        return Port(number, (), ("link_down",) if dead == (router, number) else ("live",))

    return {
        router: replace(
            held,
            ports=tuple(
                port(router, number)
                for number in sorted(
                    {TRUNK_PORT, *network.ports[router].values(), *network.access_link_ports[router].values()}
                )
            ),
        )
        for router, held in rules().items()
    }


def dumped(held: Rules, down: Failures | None = None) -> bytes:
    return b"".join(write(Dump.of(plan(), held, "read from the switches of network default", down or Failures())))


def with_head(data: bytes, **changes: Any) -> bytes:
    head, _, rest = data.partition(b"\n")
    return json.dumps({**json.loads(head), **changes}).encode() + b"\n" + rest


def refused(data: bytes) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(data, "d")
    return str(caught.value).splitlines()


def test_ports_and_timeouts_read_back_equal_and_are_verified() -> None:
    held = as_read()
    flows = (replace(held["bodo"].flows[0], idle_timeout_s=5, hard_timeout_s=60), *held["bodo"].flows[1:])
    ports = tuple(replace(each, config=("no_receive", "0x800")) for each in held["bodo"].ports)
    held["bodo"] = replace(held["bodo"], flows=flows, ports=ports)
    again = read(dumped(held), "d")
    assert again.rules == held and not again.lacks
    found = {finding.kind for finding in proved(plan(), again).violations}
    assert found == {FindingKind.EXPIRES, FindingKind.PORT}


def test_a_switch_reports_timeouts() -> None:
    entry = struct.pack("!HBxIIHHHH4xQQQHH4x", 56, 0, 0, 0, 7, 10, 20, 0, 0, 0, 0, 1, 4)
    (rule,) = Decoder().flows(entry)
    assert (rule.priority, rule.idle_timeout_s, rule.hard_timeout_s) == (7, 10, 20)
    assert "expires when unused for 10 s" in str(rule) and "expires after 20 s" in str(rule)


def test_a_meter_of_two_bands_is_none_of_ours() -> None:
    one, band = struct.pack("!HHI", 24, 1, 7), struct.pack("!HHII4x", 1, 16, 800, 80)
    (ours,) = Decoder().meters(one + band)
    assert ours == MeterRule(7, 800, 80)
    (two,) = Decoder().meters(struct.pack("!HHI", 40, 1, 7) + band + struct.pack("!HHII4x", 1, 16, 8, 8))
    assert two == MeterRule(7, 0, 80)


def test_a_dump_of_the_former_format_is_read_and_its_verdict_says_what_it_lacks() -> None:
    old = with_head(dumped(rules()), format="helsewan-rules/1")
    found = read(old, "d")
    assert found.rules == rules()
    line = verdict_line(proved(plan(), found), None)
    assert line.startswith("proved") and "timeouts of flow entries and ports" in line and "dump the rules again" in line
    assert not read(with_head(old, taken="intended"), "d").lacks


def test_what_has_failed_agrees_with_the_ports() -> None:
    network = plan().network
    dead = network.link[link()].a, network.ports[network.link[link()].a][link()]
    down = Failures(links=frozenset({link()}))
    assert read(dumped(as_read(dead=dead), down), "d").down == down
    for data, said in (
        (dumped(as_read(), down), f"d:1: down.links: '{link()}' is up by its ports"),
        (dumped(as_read(dead=dead)), f"d:1: down.links: '{link()}' is missing: it is down by its ports"),
    ):
        (problem,) = refused(data)
        assert said in problem and "hint" in problem


def test_a_router_is_down_where_it_has_neither_entries_nor_ports() -> None:
    held = as_read()
    off = Failures(routers=frozenset({"bodo"}))
    assert "down.routers: 'bodo' has" in refused(dumped(held, off))[0]
    assert "'bodo' is missing, or its ports are" in refused(dumped({**held, "bodo": rules()["bodo"]}))[0]
    read(dumped({**held, "bodo": RuleSet()}, off), "d")


def test_a_first_line_by_which_all_routers_are_down_proves_nothing() -> None:
    everything = [router.id for router in plan().network.routers]
    for held in ({router: RuleSet() for router in rules()}, rules()):
        data = with_head(dumped(held), down={"links": [], "routers": everything, "lines": []})
        found = proved(plan(), read(data, "d"), "single")
        assert not found.proofs and "nothing is proved" in verdict_line(found, None)
