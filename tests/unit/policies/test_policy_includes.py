"""Policies that include others: what of which file holds, and where explanations say that it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import policy_golden
import pytest
from policy_error_cases import GOOD
from policy_network import small_network

from helsewan.policies.analysis.explain import is_allowed
from helsewan.policies.compile import compile_policy, load_policy
from helsewan.policies.language.includes import MAX_DEPTH


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a policy to include."""
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def data(path: Path) -> Any:
    return load_policy(path).document.data


def test_keys_replace_keys_and_all_else_stays(folder: Path) -> None:
    base = data(put("base.yaml", GOOD))
    mine = data(
        put("mine.yaml", "name: mine\ninclude: good.yaml\nvpns:\n  care: {import: [care]}\n  new: {export: [x]}\n")
    )
    assert mine["vpns"]["care"] == {**base["vpns"]["care"], "import": ["care"]}
    assert list(mine["vpns"]) == ["care", "primary", "new"]
    assert {key: mine[key] for key in base if key not in ("name", "vpns")} == {
        key: base[key] for key in base if key not in ("name", "vpns")
    }
    assert (mine["name"], "include" in mine) == ("mine", False)


def test_a_value_is_replaced_as_a_whole(folder: Path) -> None:
    """A selector is one value: what the other policy selected by is not mixed into it."""
    mine = data(put("mine.yaml", "name: mine\ninclude: good.yaml\ncontracts:\n  messages: {to: {kind: [service]}}\n"))
    assert mine["contracts"]["messages"]["to"] == {"kind": ["service"]}


def test_sections_without_entries_are_merged_key_by_key(folder: Path) -> None:
    put("slow.yaml", "name: slow\ninclude: good.yaml\npaths: {busy: 10 %, fill: 80 %}\n")
    assert data(put("mine.yaml", "name: mine\ninclude: slow.yaml\npaths: {busy: 5 %}\n"))["paths"] == {
        "busy": "5 %",
        "fill": "80 %",
    }


def test_removed_and_written_anew_is_replaced(folder: Path) -> None:
    text = "name: mine\ninclude: good.yaml\nremove: {contracts: [calls]}\ncontracts:\n  calls: {from: {kind: [gp]}}\n"
    mine = data(put("mine.yaml", text))
    assert mine["contracts"]["calls"] == {"from": {"kind": ["gp"]}}
    assert list(mine["contracts"]) == ["messages", "calls"]


def test_the_last_named_is_on_top_and_what_both_include_lies_beneath_both(folder: Path) -> None:
    put("one.yaml", "name: one\ninclude: good.yaml\nrepair: {detect_within: 1 s}\nclasses: {rest: {weight: 1}}\n")
    put("two.yaml", "name: two\ninclude: good.yaml\nclasses: {rest: {weight: 2}}\n")
    mine = data(put("mine.yaml", "name: mine\ninclude: [one.yaml, two.yaml]\n"))
    assert (mine["repair"], mine["classes"]["rest"]["weight"]) == ({"detect_within": "1 s"}, 2)


def test_files_are_found_beside_the_one_that_includes_them(folder: Path) -> None:
    put("sub/inner.yaml", "name: inner\ninclude: base.yaml\n")
    put("sub/base.yaml", GOOD)
    plan = compile_policy(load_policy(put("mine.yaml", "name: mine\ninclude: sub/inner.yaml\n")), small_network())
    assert plan.contracts[0].source == "sub/base.yaml:31"
    absolute = put("other.yaml", f"name: other\ninclude: {folder / 'sub' / 'base.yaml'}\n")
    assert data(absolute)["vpns"] == data(Path("sub/base.yaml"))["vpns"]


def test_contracts_know_the_line_that_made_them_what_they_are(folder: Path) -> None:
    text = "name: mine\ninclude: good.yaml\ncontracts:\n  messages: {services: [mail]}\n"
    plan = compile_policy(load_policy(put("mine.yaml", text)), small_network())
    sources = {contract.name: contract.source for contract in plan.contracts}
    assert sources == {"calls": "good.yaml:31", "messages": "mine.yaml:4"}
    assert is_allowed(plan, "gp-1", "svc-broker", "ping") is None


def test_digest_covers_what_is_included(folder: Path) -> None:
    mine = put("mine.yaml", "name: mine\ninclude: good.yaml\n")
    before = compile_policy(load_policy(mine), small_network())
    put("good.yaml", GOOD.replace("services: [mail, ping]", "services: [mail]"))
    after = compile_policy(load_policy(mine), small_network())
    assert before.digest != after.digest
    assert "include" not in before.source and "calls:" in before.source


def test_a_policy_that_includes_nothing_is_kept_as_it_was_written() -> None:
    assert policy_golden.policy(GOOD).document.text == GOOD


def test_files_may_include_one_another_to_a_depth(folder: Path) -> None:
    put("d0.yaml", GOOD)
    for depth in range(1, MAX_DEPTH + 1):
        put(f"d{depth}.yaml", f"name: d{depth}\ninclude: d{depth - 1}.yaml\n")
    assert compile_policy(load_policy(Path(f"d{MAX_DEPTH}.yaml")), small_network()).policy == f"d{MAX_DEPTH}"
