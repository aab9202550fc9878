"""No policy file, however bad, ends in anything but a plan or lines that say where it is wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import policy_golden
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from policy_error_cases import EXCEPTION, GOOD
from policy_network import small_network

from helsewan.common.document import loads
from helsewan.common.errors import InputError
from helsewan.common.yaml_writer import to_yaml
from helsewan.policies.compile import compile_policy
from helsewan.policies.language.grammar import POLICY

NETWORK = small_network()
NOW = datetime(2027, 1, 1, tzinfo=UTC)
WHOLE = f"""\
include: national
{GOOD}{EXCEPTION}
internet: {{at: {{tags: [internet]}}, through: [ping]}}
quarantine: {{ward: {{sites: {{site: [gp-1]}}, within: true}}}}
remove: {{contracts: all, vpns: all, services: all, classes: all, paths: all}}
"""
KEYS = sorted(
    {
        *POLICY.sections,
        "include",
        "remove",
        "from",
        "to",
        "members",
        "topology",
        "hub",
        "kind",
        "until",
        "calls",
        "care",
    }
)
WORDS = [
    *KEYS,
    "national",
    "all",
    "hospital",
    "mesh",
    "extranet",
    "2027-01-01",
    "20 ms",
    "EF",
    "any",
    "\x00",
    "\ud800",
    "æ/..",
]

scalars = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-2, 70_000),
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=3),
)
values = st.recursive(
    scalars,
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from(WORDS), below, max_size=3)),
    max_leaves=8,
)


def judged(text: str) -> None:
    """Compile a text; what is wrong with it is told in whole lines, each with its place."""
    try:
        plan = compile_policy(policy_golden.policy(text, "any.yaml"), NETWORK, now=NOW)
    except InputError as error:
        assert error.problems
        for line in map(str, error.problems):
            assert "\n" not in line
            assert line.startswith("any.yaml") or "/library/" in line
    else:
        assert len(plan.digest) == 12


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_good_policy_with_any_value_replaced(data: st.DataObject) -> None:
    tree: Any = loads(WHOLE.encode(), "whole.yaml").data
    _spoil(data, tree)
    judged(json.dumps(tree, ensure_ascii=True))


def _spoil(data: st.DataObject, tree: Any) -> None:
    """Put any value somewhere into the tree, under a key that is there or another."""
    while True:
        keys = sorted(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = data.draw(st.sampled_from(keys)) if keys else None
        if key is not None and isinstance(tree[key], dict | list) and data.draw(st.integers(0, 3)):
            tree = tree[key]
            continue
        if isinstance(tree, dict):
            tree[data.draw(st.sampled_from([*keys, *WORDS]))] = data.draw(values)
        else:
            tree.append(data.draw(values))
        return


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WHOLE)), st.integers(0, 60), st.text(max_size=12))
def test_a_good_policy_with_any_letters_replaced(start: int, length: int, instead: str) -> None:
    judged(WHOLE[:start] + instead.encode("utf-8", "ignore").decode() + WHOLE[start + length :])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=6))
def test_any_map(tree: dict[str, Any]) -> None:
    judged(json.dumps({"name": "any", "include": "national", **tree}))


@settings(max_examples=150, deadline=None)
@given(values.filter(lambda value: "\ud800" not in str(value) and "\\ud800" not in str(value)))  # YAML has none
def test_what_is_written_reads_the_same(value: Any) -> None:
    text = to_yaml({"value": value})
    read = loads(text.encode(), "written.yaml").data["value"]
    assert read == value


def test_the_good_policy_is_good() -> None:
    plan = compile_policy(policy_golden.policy(WHOLE), NETWORK, now=NOW)
    assert {vpn.name for vpn in plan.vpns} == {"care", "primary", "primary.ward"}
    assert {contract.name for contract in plan.contracts} == {"calls", "messages", "pictures"}


@pytest.mark.parametrize("text", ["", "[]", "5", "name", "{}", "include: [national]", "name: x", "a: &a {b: *a}"])
def test_what_is_hardly_a_policy(text: str) -> None:
    judged(text)
