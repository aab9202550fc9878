"""Any scenario, however wrong, is either run or refused in lines that name a place and a reason; never a traceback."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scenario_error_cases import GOOD

from helsewan.policies.plan_source import load_plan
from helsewan.scenarios.run import preparation
from helsewan.topology.network_source import load_network

DATA: dict[str, Any] = yaml.safe_load(GOOD)
VALUES: list[Any] = [
    *(None, "", -1, 0, 3.5, True, [], {}, [1], {"a": 1}, "x"),
    *("${calls}", "${none}", "${site:x.address}", "end", "failure + 1 s", "5 s", "90 s", "1 GB", "< 1 %", "all"),
    *(["hospital"], {"kind": ["gp"]}, {"link": "oslo-hamar"}, "national", "voice"),
]
KEYS = [
    "at",
    "every",
    "times",
    "when",
    "deadline",
    "for",
    "include",
    "remove",
    "kind",
    "set",
    "than",
    "assert",
    "warmup",
]


def paths(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from paths(value, (*path, key))


PLACES = list(paths(DATA))
Edit = tuple[str, tuple[str | int, ...], Any, str]
EDITS = st.tuples(
    st.sampled_from(["put", "delete", "add"]), st.sampled_from(PLACES), st.sampled_from(VALUES), st.sampled_from(KEYS)
)


def edited(edits: list[Edit]) -> Any:
    data: Any = copy.deepcopy(DATA)
    for what, path, value, key in edits:
        at = data
        try:
            for part in path[:-1]:
                at = at[part]
            if what == "delete":
                del at[path[-1]]
            elif what == "put":
                at[path[-1]] = copy.deepcopy(value)
            elif isinstance(at, dict):
                at[key] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):  # another edit has removed it
            continue
    return data


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file that scenarios are written to; networks and plans are made once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "load_network", cache(load_network))
        plans: dict[tuple[Any, ...], Any] = {}

        def plan(policy: Path, network: Any, at: Any) -> Any:
            key = policy, network.name, network.seed
            if key not in plans:
                plans[key] = load_plan(policy, network, at)
            return plans[key]

        patch.setattr(preparation, "load_plan", plan)
        yield tmp_path_factory.mktemp("any") / "any.yaml"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits=st.lists(EDITS, min_size=1, max_size=4))
def test_any_scenario_is_run_or_refused_in_lines(file: Path, edits: list[Edit]) -> None:
    file.write_text(yaml.safe_dump(edited(edits), sort_keys=False), encoding="utf-8")
    problems = preparation.problems(str(file), {})
    for problem in problems:
        assert problem.reason and "\n" not in str(problem)
    assert len(problems) == len({str(problem) for problem in problems})
    lines = [problem.location.line for problem in problems if problem.location.file == str(file)]
    assert lines == sorted(lines) and all(lines)
