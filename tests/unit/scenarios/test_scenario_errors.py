"""What a user reads for each kind of bad scenario: one golden file, one section a case."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest
from scenario_error_cases import CASES, GOOD, VARIANTS

from helsewan.policies.language.source import LIBRARY as POLICIES
from helsewan.policies.plan import Plan
from helsewan.policies.plan_source import load_plan
from helsewan.scenarios.run import preparation
from helsewan.topology.importers import Imported
from helsewan.topology.model import Network
from helsewan.topology.network_source import load_network

GOLDEN = Path(__file__).parents[2] / "golden" / "scenario" / "errors.txt"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What is said of a scenario's text, which is bad.yaml, with good.yaml and ``others`` beside it; networks and plans
    are made once for all of them."""

    @cache
    def network(source: Path | None, sites: int, seed: int, swedish_route: bool) -> Imported:
        return load_network(source, sites, seed, swedish_route)

    plans: dict[tuple[Path, int], Plan] = {}

    def plan(file: Path, on: Network, at: datetime) -> Plan:
        key = file, len(on.sites)
        if key not in plans:
            plans[key] = load_plan(file, on, at)
        return plans[key]

    monkeypatch.setattr(preparation, "load_network", network)
    monkeypatch.setattr(preparation, "load_plan", plan)

    def messages(text: str, others: dict[str, str] | None = None) -> list[str]:
        for name, content in {"good.yaml": GOOD, "bad.yaml": f"{text}\n", **(others or {})}.items():
            Path(name).parent.mkdir(exist_ok=True)
            Path(name).write_text(content, encoding="utf-8")
        return [str(problem).replace(f"{POLICIES}/", "POLICIES/") for problem in preparation.problems("bad.yaml", {})]

    monkeypatch.chdir(tmp_path)
    return messages


def test_nothing_is_said_of_a_good_scenario(said: Callable[..., list[str]]) -> None:
    assert said(GOOD) == []


@pytest.mark.parametrize("case", CASES)
def test_each_case_changes_the_good_scenario_in_one_place(case: str) -> None:
    old, new = CASES[case]
    assert GOOD.count(old) == 1
    assert old != new


def test_messages_are_the_golden_ones(said: Callable[..., list[str]]) -> None:
    found = {case: said(GOOD.replace(old, new)) for case, (old, new) in CASES.items()}
    found |= {case: said(text, others) for case, (text, others) in VARIANTS.items()}
    assert len(found) == len(CASES) + len(VARIANTS) >= 60
    assert [case for case, messages in found.items() if not messages] == []
    assert [case for case, messages in found.items() if len(messages) != len(set(messages))] == []
    text = "\n".join("\n".join([f"== {case}", *messages, ""]) for case, messages in found.items())
    if os.environ.get("HELSEWAN_UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_a_mistake_in_each_part_is_told_in_one_pass_in_the_order_of_lines(said: Callable[..., list[str]]) -> None:
    """Of the file alone, of the network, of the policy, of the targets and of the traffic."""
    text = GOOD
    for case in ("check-metric-unknown", "fault-on-no-link", "traffic-service-unknown", "phase-of-no-event",
                 "parameter-no-region", "check-class-of-no-traffic"):  # fmt: skip
        text = text.replace(*CASES[case])
    lines = [int(message.split(":")[1]) for message in said(text)]
    assert len(lines) == 6 and lines == sorted(lines)


def test_what_only_follows_from_a_mistake_is_not_told(said: Callable[..., list[str]]) -> None:
    text = GOOD.replace('at: "${pause}"', "at: soon").replace("kind: transactions", "kind: transaction")
    assert [message.split(" ")[0] for message in said(text)] == ["bad.yaml:11:", "bad.yaml:33:"]
    assert len(said(GOOD.replace("default: midt", "default: mars"))) == 1
