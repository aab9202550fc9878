"""What every test run shares: the printed seed, the kind of routers, and the rule that emulated tests run or fail,
never skip.
"""

from __future__ import annotations

import os
import random
import signal
from functools import cache
from pathlib import Path

import pytest
import router_kinds
from hypothesis import settings

from helsewan.common.errors import InputError
from helsewan.emulation.sandbox.sandbox import require

IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}
SEED = int(os.environ.get("HELSEWAN_SEED") or (1 if IN_CI else random.SystemRandom().randrange(1, 2**31)))
os.environ["HELSEWAN_SEED"] = str(SEED)  # pytest-xdist's workers import this file anew, and are to have the same one
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what tests start would ignore an interrupt too
EMULATED = Path(__file__).parent / "emulated"
KIND_ASKED_FOR = os.environ.get(router_kinds.VARIABLE, "")  # of this test run; one test may be about the other

# Deadlines measure the machine, not the code. CI repeats the same examples every time and keeps none.
settings.register_profile("local", deadline=None, print_blob=True, database=None)
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if IN_CI else "local")


FRAMEWORK = os.environ.get("HELSEWAN_FRAMEWORK")  # the one that must run; without it os-ken, which is the default


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Give hypothesis the seed of the run, unless the command line names another; refuse to run under another
    OpenFlow framework than the one asked for."""
    if FRAMEWORK is not None:
        from helsewan.controller import framework

        if framework.NAME != FRAMEWORK:
            raise pytest.UsageError(f"the framework is {framework.NAME}, not {FRAMEWORK} (hint: make test-ryu)")
    if config.getoption("--hypothesis-seed") is None and not IN_CI:
        config.option.hypothesis_seed = SEED


def pytest_report_header() -> str:
    """Print the seed: with it the run can be repeated; and the OpenFlow framework and the kind of routers, if
    they were asked for."""
    ran = f"framework: {FRAMEWORK}\n" if FRAMEWORK else ""
    ran += f"routers: {KIND_ASKED_FOR}\n" if KIND_ASKED_FOR else ""
    return f"{ran}seed: {SEED} (repeat with HELSEWAN_SEED={SEED})"


@pytest.fixture
def seed() -> int:
    """The seed of this test run."""
    return SEED


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever stands in tests/emulated is an emulated test, marked or not; before ``-m`` selects. Tests about another
    kind of routers than the one asked for are left out."""
    other = []
    for item in items:
        if EMULATED in item.path.parents:
            item.add_marker(pytest.mark.emulated)
            if router_kinds.has_routers(item.path.name):
                item.add_marker(pytest.mark.routers)
            if KIND_ASKED_FOR and (_only_kind(item) or KIND_ASKED_FOR) != KIND_ASKED_FOR:
                other.append(item)
    if other:
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if item not in other]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail an emulated test where it cannot run: a skipped test would pass for a passed one. Let it run with its kind
    of routers: whatever it starts finds that in its environment."""
    if item.get_closest_marker("emulated"):
        if lacks := missing_for_emulation():
            pytest.fail(f"emulated tests cannot run here: {'; '.join(lacks)} (hint: make test-unit)", pytrace=False)
        if kind := _only_kind(item) or KIND_ASKED_FOR:
            os.environ[router_kinds.VARIABLE] = kind
        else:
            os.environ.pop(router_kinds.VARIABLE, None)


def _only_kind(item: pytest.Item) -> str | None:
    """The kind of routers that an emulated test is only about, if any."""
    return router_kinds.only_kind(item.path.name, getattr(item, "originalname", None) or item.name)


@cache
def missing_for_emulation() -> tuple[str, ...]:
    """What this machine lacks for an emulated network, each with what to do about it."""
    try:
        require()
    except InputError as error:
        return tuple(map(str, error.problems))
    return ()
