"""Which backends the conformance table is played on: ``--backend kernel``, or several; and what each cannot do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from backends import Backend, ReferenceBackend, VirtualBackend
from cases import TABLE
from kernel import KernelBackend
from live import LiveBackend

BACKENDS: dict[str, type[Backend]] = {
    "reference": ReferenceBackend,
    "virtual": VirtualBackend,
    "live": LiveBackend,
    "kernel": KernelBackend,
}
DEFAULT = ("reference", "virtual", "live")
EMULATED = {"live", "kernel"}
IN_REAL_TIME = [pytest.mark.emulated, pytest.mark.alone, pytest.mark.exhaustive]


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--backend``, as often as wanted."""
    parser.addoption("--backend", action="append", choices=sorted(BACKENDS), help="of the conformance table")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case of the table on each backend that has what the case needs."""
    if {"backend", "case"} <= set(metafunc.fixturenames):
        names = metafunc.config.getoption("backend", None) or DEFAULT
        parameters = [
            pytest.param(name, case, id=f"{name}-{case.name}", marks=IN_REAL_TIME if name in EMULATED else [])
            for name in names
            for case in TABLE
            if not case.needs & BACKENDS[name].lacks.keys()
        ]
        metafunc.parametrize(("backend", "case"), parameters, indirect=["backend"], scope="session")


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The backend of that name."""
    result = BACKENDS[request.param]()
    yield result
    result.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not asked of a backend, and why."""
    names = config.getoption("backend", None) or DEFAULT
    lines = [
        f"{name} is not asked for {cases_needing(feature)}: it lacks {feature.value}: {reason}"
        for name in names
        for feature, reason in BACKENDS[name].lacks.items()
    ]
    for line in lines:
        terminalreporter.write_line(line)


def cases_needing(feature: object) -> str:
    """The names of the cases that need a feature."""
    return ", ".join(case.name for case in TABLE if feature in case.needs) or "any case"
