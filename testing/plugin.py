"""The pytest plugin: options, markers, and what happens before, between and after tests. The distribution registers it
(entry point ``pytest11``); without a test that uses its fixtures it does nothing.

The first test that needs a network moves the session into a sandbox (`sandbox.inhabit`): whatever becomes of the
session, nothing is left behind.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from helsewan.testing import fixtures
from helsewan.testing.choice import choice_of
from helsewan.testing.fixtures import (
    capture,
    controller,
    emulated_link,
    fault,
    isolation,
    node,
    scenario,
    traffic,
    two_sites,
    wan,
)
from helsewan.testing.leaks import Surroundings
from helsewan.testing.networks import Networks
from helsewan.testing.outcomes import VOID, failed_alone, is_void, judged, rows_of_void, void_again
from helsewan.testing.session import LEAKS, NETWORKS, OUTER_PID, SURROUNDINGS

__all__ = [
    "capture",
    "controller",
    "emulated_link",
    "fault",
    "isolation",
    "node",
    "scenario",
    "traffic",
    "two_sites",
    "wan",
]

NEED_NETWORK = frozenset(("wan", "fault", "traffic", "capture", "isolation", "node", "controller"))
NEED_SANDBOX = NEED_NETWORK | {"two_sites", "emulated_link"}
MARKERS = (
    "network(sites=90, source=FILE, seed=1, policy=NAME, routers=KIND, hosts_per_hospital=0, reuse='session'): the "
    "network of a test; it stands for the session, the module or the function",
    "requires(NAME, ...): skip where this machine lacks emulation, tun, ovs, shared_routers, kernel_dataplane, proofs "
    "or program:NAME; with --require-emulation fail",
    "seed(NUMBER): the seed of a test's traffic, probes and scenario",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The plugin's options."""
    group = parser.getgroup("helsewan", "emulated networks")
    group.addoption(
        "--require-emulation", action="store_true", help="fail, not skip, what this machine lacks the means for"
    )
    group.addoption(
        "--helsewan-keep",
        action="store_true",
        help="keep the network of a test that failed until ctrl-C, and print how to enter it",
    )
    group.addoption(
        "--helsewan-void-retries",
        type=int,
        default=0,
        metavar="N",
        help="run a test again, at most N times, while the machine could not keep up",
    )
    parser.addini("helsewan_sandbox", "move into a sandbox at once: ordinary users with pytest-xdist", "bool", False)


def pytest_configure(config: pytest.Config) -> None:
    """Declare markers; where the configuration says so, move into the sandbox before other plugins start threads."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[NETWORKS] = Networks()
    if config.getini("helsewan_sandbox"):
        _inhabit(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests of a network for pytest-xdist (``--dist loadgroup``): one worker runs them all."""
    for item in items:
        if _uses(item, NEED_NETWORK):
            item.add_marker(pytest.mark.xdist_group(f"helsewan-{choice_of(item).name}"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail what this machine lacks the means for; move into the sandbox before the first network."""
    must = item.config.getoption("--require-emulation")
    for marker in item.iter_markers("requires"):
        from helsewan.testing import requirements

        for name in marker.args:
            try:
                reason = requirements.lacking(name)
            except KeyError:
                known = ", ".join([*requirements.CHECKS, f"{requirements.PROGRAM}NAME"])
                raise pytest.UsageError(f"{item.nodeid}: marker requires: {name} is unknown (hint: {known})") from None
            if reason:
                (pytest.fail if must else pytest.skip)(f"requires {name}: {reason}")
    if _uses(item, NEED_SANDBOX):
        _inhabit(item.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test again while the machine could not keep up, as often as the option allows."""
    retries = item.config.getoption("--helsewan-void-retries")
    if not retries:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(retries + 1):
        if attempt:
            item._initrequest()  # type: ignore[attr-defined]
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        if not any(map(is_void, reports)) or attempt == retries:
            break
        void_again(item, reports)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Judge whether the machine kept up, and add to a failed test's report what its network knows."""
    report = yield
    judged(item, report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the networks that no test to come needs."""
    item.config.stash[NETWORKS].end_unneeded(item, nextitem)


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """A void test is neither passed nor failed in the summary."""
    if not is_void(report):
        return None
    return VOID, "V", (VOID.upper(), {"yellow": True})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say why tests were void, and what the session left behind."""
    rows = rows_of_void(terminalreporter.stats.get(VOID, []))
    if rows:
        terminalreporter.section("void: the machine could not keep up")
        for row in rows:
            terminalreporter.write_line(row)
    left: Sequence[str] = terminalreporter.config.stash.get(LEAKS, ())
    if left:
        terminalreporter.section("left behind by this session")
        for row in left:
            terminalreporter.write_line(row)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End all networks, and fail the session where something of them is left."""
    config = session.config
    networks = config.stash[NETWORKS]
    for choice in networks.standing:
        networks.end(choice)
    before = config.stash.get(SURROUNDINGS, None)
    if before is not None:
        config.stash[LEAKS] = Surroundings.now().left(before)
        if config.stash[LEAKS] and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _uses(item: pytest.Item, names: frozenset[str]) -> bool:
    """Whether a test uses some of the plugin's fixtures; a user may have others of the same names."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs if info is not None else {}
    return any(found[name][-1].func.__module__ == fixtures.__name__ for name in names & set(found))


def _inhabit(config: pytest.Config) -> None:
    """Move the session into a sandbox, once. A machine that cannot have one fails the test, with the reason."""
    if SURROUNDINGS in config.stash:
        return
    from helsewan.common.errors import InputError
    from helsewan.emulation.sandbox import sandbox

    config.stash[OUTER_PID] = os.getpid()
    try:
        sandbox.inhabit()
    except InputError as error:
        reason = "; ".join(map(str, error.problems))
        failed_alone(f"an emulated network cannot run here: {reason} (hint: mark with requires('emulation'))")
    config.stash[SURROUNDINGS] = Surroundings.now()
