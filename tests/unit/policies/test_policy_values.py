"""Single values of a policy file: code points, ports, and the published JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from helsewan.common.document import load, loads
from helsewan.policies.language.dscp import dscp_name, parse_dscp
from helsewan.policies.language.json_schema import policy_json_schema
from helsewan.policies.language.ports import MAX_PORT, PortRange, parse_ports, split
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.language.source import library_names, library_path
from helsewan.policies.plan import PortMatch

ports = st.integers(1, MAX_PORT)
ranges = st.tuples(ports, ports).map(lambda pair: PortRange(min(pair), max(pair)))


def first_and_last(match: PortMatch) -> tuple[int, int]:
    """The block of ports that a value/mask pair matches."""
    assert match.value & ~match.mask == 0
    free = MAX_PORT & ~match.mask
    assert free & (free + 1) == 0  # free bits are the low ones: the block has no holes
    return match.value, match.value | free


@given(ranges)
def test_split_covers_exactly_the_range(ports: PortRange) -> None:
    blocks = [first_and_last(match) for match in split(ports)]
    assert blocks[0][0] == ports.first
    assert blocks[-1][1] == ports.last
    assert all(before[1] + 1 == after[0] for before, after in pairwise(blocks))


@given(ranges)
def test_split_is_the_shortest(ports: PortRange) -> None:
    """No two neighbouring blocks could be one: equal sizes, and the first aligned to the double."""
    blocks = [first_and_last(match) for match in split(ports)]
    for (first, last), (following, end) in pairwise(blocks):
        size = last - first + 1
        assert not (end - following + 1 == size and first % (2 * size) == 0)


@given(ranges, ranges)
def test_overlap_is_a_shared_port(one: PortRange, two: PortRange) -> None:
    shared = max(one.first, two.first) <= min(one.last, two.last)
    assert one.overlaps(two) == two.overlaps(one) == shared


@given(ranges)
def test_ports_are_read_as_they_are_written(ports: PortRange) -> None:
    assert parse_ports(f"{ports.first}-{ports.last}") == ports
    assert parse_ports(f" {ports.first} - {ports.last} ") == ports
    assert parse_ports(ports.first) == PortRange(ports.first, ports.first)


@pytest.mark.parametrize(
    "bad", [0, 65536, -1, True, None, 2.5, "", "80", "80-", "-80", "80-70", "0-5", "1-65536", "٨-٩"]
)
def test_bad_ports_are_refused(bad: object) -> None:
    with pytest.raises(Refusal):
        parse_ports(bad)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("EF", 46),
        ("AF11", 10),
        ("AF21", 18),
        ("AF31", 26),
        ("AF41", 34),
        ("AF43", 38),
        ("CS6", 48),
        ("BE", 0),
        ("LE", 1),
    ],
)
def test_dscp_names_are_those_of_the_rfcs(name: str, number: int) -> None:
    assert parse_dscp(name) == parse_dscp(name.lower()) == number
    assert dscp_name(number) == name


@given(st.integers(0, 63))
def test_every_dscp_is_read_back_from_its_name(dscp: int) -> None:
    name = dscp_name(dscp)
    assert parse_dscp(int(name) if name.isdigit() else name) == dscp


@pytest.mark.parametrize("bad", [-1, 64, True, None, "AF44", "AF51", "CS8", "46", "", 1.0])
def test_bad_dscps_are_refused(bad: object) -> None:
    with pytest.raises(Refusal):
        parse_dscp(bad)


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object type in a JSON Schema that lists its keys."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for value in schema.values():
            yield from objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from objects(value)


def test_json_schema_is_closed_and_described() -> None:
    schema = policy_json_schema()
    assert set(schema["else"]["required"]) == {"name", "classes", "services", "vpns", "contracts"}
    assert schema["then"]["required"] == ["name"]
    assert len(list(objects(schema))) == 26
    for entry in objects(schema):
        assert entry["additionalProperties"] is False
        assert all("description" in key or "$ref" in key for key in entry["properties"].values())


@pytest.mark.parametrize("name", library_names())
def test_json_schema_takes_the_library(name: str) -> None:
    Draft202012Validator(policy_json_schema()).validate(load(library_path(name)).data)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: x", "'classes' is a required property"),
        ("{name: x, include: national, vpns: {gp: {exports: [gp]}}}", "'exports' was unexpected"),
        ("{name: x, include: national, exceptions: {e: {until: soon, reason: 3}}}", "3 is not of type 'string'"),
    ],
)
def test_json_schema_finds_what_is_wrong(text: str, complaint: str) -> None:
    errors = Draft202012Validator(policy_json_schema()).iter_errors(loads(text.encode(), "x.yaml").data)
    assert any(complaint in error.message for error in errors)


def test_json_schema_speaks_as_the_file_does() -> None:
    definitions = policy_json_schema()["$defs"]
    assert {"import", "export", "members", "lines", "topology"} < set(definitions["VpnSpec"]["properties"])
    assert {"from", "to"} < set(definitions["ContractSpec"]["properties"])
    assert definitions["Targets"]["properties"]["delay"]["type"] == "string"
    assert definitions["Selector"]["properties"]["kind"]["minItems"] == 1
    assert definitions["VpnSpec"]["properties"]["export"]["minItems"] == 1
