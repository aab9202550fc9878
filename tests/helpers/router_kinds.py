"""Shared and private routers in emulated tests: which tests are about one kind only, and why; all others pass on both.

``HELSEWAN_ROUTERS`` names the kind of a test run (default: shared). A test of one kind runs with that kind, unless the
run was asked for the other one: then it is left out. Names of parts and files that differ by kind are here, too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fnmatch import fnmatchcase

VARIABLE = "HELSEWAN_ROUTERS"
SHARED, PRIVATE = "shared", "private"


@dataclass(frozen=True, slots=True)
class Only:
    """Tests (patterns of ``FILE::TEST`` below tests/emulated) that are about one kind of routers, and why."""

    kind: str
    tests: tuple[str, ...]
    why: str


ONLY = (
    Only(
        PRIVATE,
        (
            "test_router_daemons.py::*",
            "test_python_api.py::test_a_router_whose_daemon_dies_*",
            "test_python_api.py::test_a_router_that_runs_in_a_threads_sandbox_is_not_dead",
            "test_runs.py::test_a_router_that_dies_during_the_start_is_named_at_once",
            "test_validity.py::test_a_router_that_stands_still_*",
        ),
        "a daemon of one router ends or is stopped, and the others go on: shared routers have no daemons of their own",
    ),
    Only(
        SHARED,
        ("test_shared_routers.py::*", "test_validity.py::test_shared_routers_*"),
        "what all routers share ends, or a port in shared memory breaks: private routers have neither",
    ),
)

# Emulated tests that make switches of their own, or none: they are the same whatever the kind of routers.
WITHOUT_ROUTERS = {
    "controllers and rules on one Open vSwitch of the test's own (helpers/controller_world.py)": (
        "test_access_lines",
        "test_controller_ipv6",
        "test_controller_world",
        "test_drift",
        "test_exception_ends",
        "test_hitless",
        "test_open_network",
        "test_path_choices",
        "test_router_errors",
        "test_takeover_live",
        "test_vpn_shapes",
    ),
    "single bridges, compared with the interpreter (helpers/lone_switches.py)": ("test_interpreter_agrees",),
    "the link engine, netlink or packet sockets alone": ("test_engine_taps", "test_netlink", "test_switch_ports"),
}


def kind_of_run() -> str:
    """The kind of routers of this test run, or of the test that runs."""
    return os.environ.get(VARIABLE) or SHARED


def only_kind(file: str, test: str) -> str | None:
    """The only kind that ``test`` of ``file`` (FILE.py) is about; None for both."""
    name = f"{file}::{test}"
    return next((only.kind for only in ONLY if any(fnmatchcase(name, pattern) for pattern in only.tests)), None)


def has_routers(file: str) -> bool:
    """Whether the tests in ``file`` (FILE.py) are about a network with routers of either kind."""
    return not any(file.removesuffix(".py") in files for files in WITHOUT_ROUTERS.values())


def forwarder(router: str) -> tuple[str, str]:
    """The daemon that forwards frames for ``router``: words of its command line, and its name as a part."""
    if kind_of_run() == SHARED:
        return "/switch/ovs-vswitchd.ctl", "the routers' ovs-vswitchd"
    return f"/{router}/ovs-vswitchd.ctl", f"{router}'s ovs-vswitchd"


def forwarder_log(router: str) -> str:
    """The name of that daemon's log."""
    return f"{'switch' if kind_of_run() == SHARED else router}.ovs-vswitchd.log"
