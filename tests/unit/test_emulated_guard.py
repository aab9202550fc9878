"""Emulated tests fail where they cannot run; skipped, they would pass for passed ones."""

from __future__ import annotations

import os
import re
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest
import router_kinds


@pytest.fixture
def conftest(request: pytest.FixtureRequest) -> ModuleType:
    """The rule's module, under the name pytest keeps it by: there is more than one conftest."""
    module: ModuleType = request.config.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py"))
    return module


@pytest.mark.emulated
def emulated() -> None:
    """Stands for an emulated test."""


def unprivileged() -> None:
    """Stands for a unit test."""


def item(request: pytest.FixtureRequest, function: object) -> pytest.Function:
    return pytest.Function.from_parent(request.node.parent, name="sample", callobj=function)


def test_fails_and_says_what_is_missing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, conftest: ModuleType
) -> None:
    monkeypatch.setattr(conftest, "missing_for_emulation", lambda: ("no ovs-vswitchd", "no /dev/net/tun"))
    with pytest.raises(pytest.fail.Exception, match="no ovs-vswitchd; no /dev/net/tun"):
        conftest.pytest_runtest_setup(item(request, emulated))


def test_leaves_others_alone(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, conftest: ModuleType
) -> None:
    monkeypatch.setattr(conftest, "missing_for_emulation", lambda: ("no ovs-vswitchd",))
    conftest.pytest_runtest_setup(item(request, unprivileged))


def test_runs_where_nothing_is_missing(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, conftest: ModuleType
) -> None:
    monkeypatch.setattr(conftest, "missing_for_emulation", tuple)
    conftest.pytest_runtest_setup(item(request, emulated))


def test_the_folder_is_mark_enough(request: pytest.FixtureRequest, conftest: ModuleType) -> None:
    unmarked = item(request, unprivileged)
    unmarked.path = conftest.EMULATED / "test_sample.py"
    beside = item(request, unprivileged)
    conftest.pytest_collection_modifyitems(request.config, [unmarked, beside])
    assert unmarked.get_closest_marker("emulated") and unmarked.get_closest_marker("routers")
    assert not beside.get_closest_marker("emulated")


def about_private(request: pytest.FixtureRequest, conftest: ModuleType) -> pytest.Function:
    """Stands for a test that is about private routers only."""
    found = item(request, emulated)
    found.path = conftest.EMULATED / "test_router_daemons.py"
    return found


@pytest.mark.parametrize(("asked", "kept"), [("", True), ("private", True), ("shared", False)])
def test_what_is_about_the_other_kind_of_routers_is_left_out(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, conftest: ModuleType, asked: str, kept: bool
) -> None:
    monkeypatch.setattr(conftest, "KIND_ASKED_FOR", asked)
    items = [about_private(request, conftest)]
    conftest.pytest_collection_modifyitems(request.config, items)
    assert bool(items) is kept


def test_what_is_about_one_kind_of_routers_runs_with_it(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, conftest: ModuleType
) -> None:
    monkeypatch.setattr(conftest, "missing_for_emulation", tuple)
    monkeypatch.setattr(conftest, "KIND_ASKED_FOR", "")
    monkeypatch.delenv("HELSEWAN_ROUTERS", raising=False)
    conftest.pytest_runtest_setup(about_private(request, conftest))
    assert os.environ["HELSEWAN_ROUTERS"] == "private"
    conftest.pytest_runtest_setup(item(request, emulated))
    assert "HELSEWAN_ROUTERS" not in os.environ


def test_every_entry_of_the_list_is_about_a_test_that_exists(conftest: ModuleType) -> None:
    for only in router_kinds.ONLY:
        for file, pattern in (each.split("::") for each in only.tests):
            text = (conftest.EMULATED / file).read_text(encoding="utf-8")
            names = re.findall(r"^def (test_\w+)", text, re.MULTILINE)
            assert any(router_kinds.only_kind(file, name) == only.kind for name in names), f"{file}::{pattern}"
    for file in chain.from_iterable(router_kinds.WITHOUT_ROUTERS.values()):
        assert (conftest.EMULATED / f"{file}.py").exists(), file
