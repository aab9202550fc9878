"""Rules in a file: what is written reads back equal, and an error in a file is reported with its location."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from controller_plan import small_plan
from hypothesis import given, settings
from hypothesis import strategies as st

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.controller.openflow.entries import (
    TLV,
    Action,
    Bucket,
    CheckLarger,
    DecMplsTtl,
    DecTtl,
    Entry,
    FlowRule,
    Foreign,
    Group,
    GroupRule,
    Load,
    MeterRule,
    Move,
    Output,
    PacketMeterRule,
    PopMpls,
    PopVlan,
    PushMpls,
    PushVlan,
    Resubmit,
    SetField,
    Table,
)
from helsewan.controller.rules.generation import first_generation
from helsewan.controller.rules.paths import Failures
from helsewan.policies.compile import compile_policy, load_policy, policy_path, read_policy
from helsewan.policies.plan import ExceptionState
from helsewan.topology.national.generator import national_network
from helsewan.verification.dump.dump import Dump, read, write
from helsewan.verification.dump.entry_json import from_json, to_json

PORT = st.integers(0, (1 << 32) - 1)
TABLE = st.integers(0, 254).map(Table)
HEX = st.binary(min_size=4, max_size=12).map(bytes.hex)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "in_port": PORT,
    "eth_type": st.integers(0, 0xFFFF),
    "vlan_vid": st.integers(0, 0x1FFF),
    "ip_dscp": st.integers(0, 63),
    "tcp_dst": st.integers(0, 0xFFFF),
    "mpls_label": st.integers(0, (1 << 20) - 1),
    "metadata": st.integers(0, (1 << 64) - 1),
    "reg7": PORT,
    "nd_reserved": PORT,
    "eth_src": st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":")),
    "ipv4_src": st.ip_addresses(v=4).map(str),
    "ipv6_dst": st.ip_addresses(v=6).map(str),
}
MASKED = st.one_of(
    st.tuples(*[st.integers(0, (1 << 64) - 1)] * 2).map(lambda pair: ("metadata", (pair[0] & pair[1], pair[1]))),
    st.integers(0, 32).map(lambda width: ("ipv4_dst", ("0.0.0.0", f"{'255.255.255.255' if width else '0.0.0.0'}"))),
    st.just(("tcp_flags_nxm", (4, 4))),
)
FIELD = st.one_of(*[st.tuples(st.just(name), values) for name, values in VALUES.items()])
NAMES = st.sampled_from(["reg0", "reg1", "mpls_tc", "eth_src", "metadata"])
ACTION: st.SearchStrategy[Action] = st.one_of(
    PORT.map(Output),
    FIELD.map(lambda pair: SetField(*pair)),
    st.integers(1, 32).flatmap(lambda bits: st.integers(0, (1 << bits) - 1).map(lambda n: Load("reg3", n, bits))),
    st.builds(Move, st.just("reg0"), st.just("metadata"), st.integers(1, 16), st.integers(0, 16), st.integers(0, 48)),
    st.sampled_from([PushVlan(), PopVlan(), PushMpls(), DecTtl(), DecMplsTtl()]),
    st.integers(0, 0xFFFF).map(PopMpls),
    st.builds(CheckLarger, st.integers(0, 0xFFFF), st.just("reg2")),
    PORT.map(Group),
    TABLE.map(Resubmit),
    st.text().map(Foreign),
)
ACTIONS = st.lists(ACTION, max_size=6).map(tuple)
GONE = object()


@st.composite
def flows(draw: st.DrawFn) -> FlowRule:
    pairs = draw(st.lists(st.one_of(FIELD, MASKED), max_size=5, unique_by=lambda pair: pair[0]))
    unknown = [(TLV, text) for text in draw(st.lists(HEX, max_size=3))]
    match = tuple(draw(st.permutations(pairs + unknown)))
    table = draw(st.integers(0, 200))
    mask = draw(st.integers(0, (1 << 64) - 1))
    return FlowRule(
        Table(table),
        draw(st.integers(0, 0xFFFF)),
        match,
        draw(ACTIONS),
        draw(st.none() | st.integers(table + 1, 254).map(Table)),
        draw(st.none() | st.integers(0, (1 << 64) - 1).map(lambda value: (value & mask, mask))),
        draw(st.none() | PORT),
        draw(st.integers(0, (1 << 64) - 1)),
    )


ENTRY: st.SearchStrategy[Entry] = st.one_of(
    flows(),
    st.builds(GroupRule, PORT, st.lists(st.builds(Bucket, PORT, ACTIONS), max_size=3).map(tuple)),
    st.builds(MeterRule, PORT, PORT, PORT),
    st.builds(PacketMeterRule, PORT, PORT, PORT),
)


@given(ENTRY)
@settings(max_examples=400)
def test_an_entry_reads_back_equal(entry: Entry) -> None:
    """Any entry that a switch may hold, also of another controller."""
    assert from_json(json.loads(json.dumps(to_json(entry)))) == entry


@cache
def small() -> Dump:
    plan = small_plan()
    generation = first_generation(plan)
    return Dump.of(plan, {router.id: generation.rules(router.id) for router in plan.network.routers})


def raw(dump: Dump) -> bytes:
    return b"".join(write(dump))


def test_the_rules_of_a_policy_read_back_equal() -> None:
    plan = compile_policy(load_policy(policy_path("national")), national_network(90, 1))
    generation = first_generation(plan)
    rules = {router.id: generation.rules(router.id) for router in plan.network.routers}
    links, routers = (next(iter(each)) for each in (plan.network.link, plan.network.router))
    line = next(iter(next(filter(None, plan.network.access_link_ports.values()))))
    down = Failures(frozenset({links}), frozenset({routers}), access_links=frozenset({line}))
    dump = Dump.of(plan, rules, "read at noon", down)
    again = read(raw(dump), "dump")
    assert (again, again.plan) == (dump, plan)
    assert read(gzip.compress(raw(dump)), "dump.gz") == dump


@cache
def tiny() -> bytes:
    """The first entries of the small dump."""
    return b"\n".join(raw(small()).splitlines()[: GROUP + 8])


def changed(number: int, path: str, value: object) -> bytes:
    """The small dump with one value of one line changed, lines counted from 1; GONE removes it, to a list it is
    appended."""
    lines = raw(small()).splitlines()
    data = json.loads(lines[number - 1])
    inner: Any = data
    *path_to, last = path.split(".")
    for part in path_to:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    if value is GONE:
        del inner[last]
    elif isinstance(inner.get(last), list):
        inner[last].append(value)
    else:
        inner[last] = value
    lines[number - 1] = json.dumps(data).encode()
    return b"\n".join(lines)


def line_of(kind: str, has: str = "") -> int:
    """The first line of the small dump with an entry of a kind that contains a text."""
    lines = raw(small()).decode().splitlines()
    return next(
        number for number, line in enumerate(lines, start=1) if f', "{kind}": {{' in line and has in line and number > 3
    )


def problems(data: bytes) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(data, "d")
    return str(caught.value).splitlines()


FLOW, GROUPED, METERED = line_of("flow", '"match"'), line_of("flow", '{"group"'), line_of("flow", '"meter"')
GROUP, METER, MASKS = line_of("group"), line_of("meter"), line_of("flow", '"ipv4_src"')
OWN = json.loads(raw(small()).splitlines()[GROUP - 1])["group"]["id"]

MASKED_SET = {"set_field": {"ipv4_src": "10.0.0.0/8"}}
WIDE_MOVE = {"move": {"from": "reg0", "to": "mpls_tc", "bits": 4}}
SRC = "flow.match.ipv4_src"
CASES: dict[str, tuple[int, str, object, str]] = {
    "an unknown key": (FLOW, "flow.prio", 1, "flow.prio: unknown key (hint: did you mean 'priority'?)"),
    "a key missing": (FLOW, "flow.cookie", GONE, "flow.cookie: is missing (hint: add cookie)"),
    "no router": (FLOW, "router", "oslo", "router: 'oslo' is no router of this network"),
    "a priority": (FLOW, "flow.priority", 65536, "flow.priority: 65536 is not from 0 to 65535"),
    "a boolean": (FLOW, "flow.priority", True, "flow.priority: True should be a whole number"),
    "a table": (FLOW, "flow.table", "admi", "flow.table: 'admi' is no table (hint: did you mean 'admit'?)"),
    "a field": (FLOW, "flow.match.ip_src", 1, "flow.match.ip_src: is no field (hint: did you mean"),
    "an address": (MASKS, SRC, "10.0.0.256", f"{SRC}: '10.0.0.256' is no IPv4 address"),
    "a mask": (MASKS, SRC, "10.0.0.1/24", f"{SRC}: '10.0.0.1/24' has bits outside its mask"),
    "too wide": (FLOW, "flow.match.ip_dscp", 64, "flow.match.ip_dscp: 64 does not fit into 6 bits"),
    "a goto back": (METERED, "flow.goto", "admit", "flow.goto: 'admit' is not a later table"),
    "metadata": (FLOW, "flow.metadata", "0x3/0x1", "flow.metadata: '0x3/0x1' has bits outside its mask"),
    "an action": (GROUPED, "flow.actions", "pop_vlam", "is no action (hint: did you mean 'pop_vlan'?)"),
    "a masked set": (GROUPED, "flow.actions", MASKED_SET, ".set_field.ipv4_src: '10.0.0.0/8' has a mask"),
    "a move": (GROUPED, "flow.actions", WIDE_MOVE, ".move.bits: 4 do not fit into mpls_tc"),
    "a group": (GROUPED, "flow.actions", {"group": 77}, ".group: 77 is no group of oslo1 (hint: add the group"),
    "a meter": (METERED, "flow.meter", 78, "flow.meter: 78 is no meter of oslo1 (hint: add the meter"),
    "a group's group": (GROUP, "group.buckets.0.actions", {"group": 79}, ": group.buckets[0].actions["),
    "a group's own": (GROUP, "group.buckets.0.actions", {"group": OWN}, f"groups form a loop: {OWN} to {OWN}"),
    "a port of another protocol": (
        FLOW,
        "flow.match",
        {"eth_type": "0x800", "ip_proto": 17, "tcp_dst": 80},
        "flow.match.tcp_dst: is matched without ip_proto=0x6 (hint: match that too; no switch accepts this)",
    ),
    "an address without its type": (
        FLOW,
        "flow.match",
        {"ip_dscp": 0},
        "ip_dscp: is matched without eth_type=0x800 or",
    ),
    "a mask of the type": (FLOW, "flow.match.eth_type", "0x800/0xff00", "has a mask, which this field cannot have"),
    "a meter's rate": (METER, "meter.rate_kbps", "much", "meter.rate_kbps: 'much' should be a whole number"),
    "two entries": (FLOW, "group", {}, "should be one entry"),
    "another format": (1, "format", "helsewan-rules/3", "d:1: format: 'helsewan-rules/3' is not allowed"),
    "a head's key": (1, "when", "now", "d:1: when: unknown key"),
    "a failed link": (1, "down.links", "nowhere", "d:1: down.links[0]: 'nowhere' is not of this network"),
    "another network": (2, "network.name", "other", "d:2: "),
    "no policy": (3, "policy", GONE, "d:3: is not the policy"),
    "no sources": (3, "sources", 1, "d:3: sources: 1 should be a map of keys to values"),
}


@pytest.mark.parametrize("case", CASES)
def test_an_error_is_reported_with_its_location(case: str) -> None:
    number, path, value, expected = CASES[case]
    (messages,) = problems(changed(number, path, value))
    assert messages.startswith(f"d:{number}") and expected in messages, messages


def test_a_policy_that_is_not_the_dumps_own_is_refused() -> None:
    plan = compile_policy(load_policy(policy_path("open")), national_network(90, 1))
    dump = read(raw(Dump.of(plan, {})).replace(b"share: 40 %", b"share: 41 %"), "d")
    assert dump.policy != plan.source
    with pytest.raises(InputError, match=rf"open.yaml: digest: '\w+' is not the dump's, {plan.digest} \(hint: name"):
        _ = dump.plan


EXCEPTION = """
exceptions:
  exercise:
    from: {kind: [hospital]}
    to: {kind: [pharmacy]}
    services: [ping]
    reason: an exercise
    begins: 2026-06-10
    until: 2026-06-20
"""


def test_a_policy_of_several_files_has_its_locations(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("include: open\nname: mine\ncontracts:\n  everything: {services: [ping]}\n")
    plan = compile_policy(load_policy(path), national_network(90, 1))
    again = read(raw(Dump.of(plan, {})), "d").plan
    assert again == plan and again.contracts[0].source == f"{path}:4"


def test_exceptions_are_as_they_were() -> None:
    """Whether one is in force depends on when the rules were read from the switches, not on the current time."""
    network = national_network(90, 1)
    text = (policy_path("open")).read_text() + EXCEPTION
    policy = read_policy(loads(text.encode(), "mine.yaml"))
    for day, count in ((1, 0), (15, 1)):
        time = datetime(2026, 6, day, tzinfo=UTC)
        plan = compile_policy(policy, network, now=time)
        in_force = [each for each in plan.exceptions if each.state is ExceptionState.IN_FORCE]
        assert len(in_force) == count
        assert read(raw(Dump.of(plan, {}, time=time)), "d").plan == plan


def test_all_errors_are_reported_in_one_pass() -> None:
    lines = raw(small()).splitlines()
    lines[FLOW - 1] = lines[FLOW - 1].replace(b'"priority": ', b'"priority": 99')
    lines[GROUP - 1] = b"{"
    first, second = problems(b"\n".join(lines))
    assert first.startswith(f"d:{GROUP}: is not JSON at line 1, column 2") and second.startswith(
        f"d:{FLOW}: flow.priority: "
    )


def test_all_inconsistencies_are_reported_in_one_pass() -> None:
    lines = raw(small()).splitlines()
    lines[METERED - 1] = lines[METERED - 1].replace(b'"meter": ', b'"meter": 9')
    first, second = problems(b"\n".join([*lines, lines[FLOW - 1]]))
    assert first == f"d:{len(lines) + 1}: is the same entry to a switch as line {FLOW} (hint: remove one of them)"
    assert second.startswith(f"d:{METERED}: flow.meter: ")


def test_a_duplicate_key_is_refused() -> None:
    data = raw(small()).replace(b'"priority": ', b'"priority": 1, "priority": ', 1)
    assert problems(data) == [f"d:{FLOW}: is not JSON: 'priority' is twice in one object (hint: one object a line)"]


def test_many_problems_are_counted() -> None:
    data = raw(small()).replace(b'"cookie"', b'"cooky"')
    messages = problems(data)
    assert len(messages) == 21 and re.fullmatch(r"and [\d,]+ more problems", messages[-1])


def test_a_truncated_archive_is_an_error() -> None:
    packed = gzip.compress(raw(small()))
    assert problems(packed[:-9]) == ["d: is truncated (hint: copy or dump it again)"]
    (messages,) = problems(packed[:40] + b"\0" * 40 + packed[80:])
    assert messages.startswith("d: cannot be unpacked: ")


@given(st.binary(max_size=60), st.integers(0, 10**6), st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_the_reader(noise: bytes, at: int, cut: int) -> None:
    """Noise anywhere in a dump gives a dump or an InputError, and nothing else."""
    whole = tiny()
    assert len(read(whole, "d").rules["oslo1"])
    at %= len(whole)
    for data in (noise, whole[:at] + noise + whole[at + cut :]):
        try:
            assert isinstance(read(data, "d"), Dump)
        except InputError as error:
            assert str(error)


KEYS = st.sampled_from(["flow", "group", "match", "actions", "id", "buckets", "table", "set_field", "move", "load"])
PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_no_json_breaks_the_reader(data: object) -> None:
    line = json.dumps({"router": "north", **(data if isinstance(data, dict) else {"flow": data})}).encode()
    try:
        read(tiny() + b"\n" + line, "d")
    except InputError as error:
        assert str(error)
