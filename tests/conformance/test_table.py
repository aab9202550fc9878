"""The conformance table on every backend."""

from __future__ import annotations

import pytest
from backends import Backend
from cases import Case
from checks import accounted_for


def test_case(backend: Backend, case: Case) -> None:
    """All that the table says of the case holds."""
    for attempt in range(1, backend.attempts + 1):
        seen = backend.run(case.experiment)
        complaints = [*accounted_for(case.experiment, seen)]
        for check in case.checks:
            complaints += [f"{check.__name__}: {line}" for line in check(case.experiment, seen, backend.precision)]
        if not complaints:
            return
        print(f"attempt {attempt}:", *complaints, sep="\n  ")
    pytest.fail("\n".join(complaints), pytrace=False)
