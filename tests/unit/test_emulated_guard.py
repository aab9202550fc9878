"""Emulated tests fail where they cannot run; skipped, they would pass for passed ones."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


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
    conftest.pytest_collection_modifyitems([unmarked, beside])
    assert unmarked.get_closest_marker("emulated")
    assert not beside.get_closest_marker("emulated")
