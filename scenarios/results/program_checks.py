"""Evaluates what a scenario expects of the programs it runs at sites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan
from pathlib import Path

from helsewan.lab.programs.engine import MOST_BYTES, STDERR, STDOUT
from helsewan.lab.programs.records import Ending, ProgramResult
from helsewan.scenarios.results.checks import CheckResult
from helsewan.scenarios.spec.checks.metrics import Unit
from helsewan.scenarios.spec.schema import ScenarioSpec
from helsewan.scenarios.spec.traffic.programs import ExpectSpec, ProgramSpec

METRIC = "program"
_ENDINGS = {Ending.TIMEOUT: " (ended at its timeout)", Ending.RUN: " (ended with the run)"}


def judge_programs(spec: ScenarioSpec, results: Sequence[ProgramResult], folder: Path) -> tuple[CheckResult, ...]:
    """A check for each entry of the traffic that expects something of its program; outputs are in ``folder``."""
    ended = {result.program.name: result for result in results}
    expecting = {
        name: traffic.expect
        for name, traffic in spec.traffic.items()
        if isinstance(traffic, ProgramSpec) and traffic.expect is not None
    }
    return tuple(_judged(ended[name], expect, folder / name) for name, expect in expecting.items())


def _judged(result: ProgramResult, expect: ExpectSpec, folder: Path) -> CheckResult:
    wrong = "; ".join(_wrong(result, expect, folder))
    value = nan if result.exit_code is None else float(result.exit_code)
    detail = wrong or f"at {result.program.site}, {(result.end_us - result.begin_us) / 1e6:.1f} s"
    return CheckResult(f"{result.program.name}.expect", METRIC, not wrong, value, str(expect), Unit.COUNT.value, detail)


def _wrong(result: ProgramResult, expect: ExpectSpec, folder: Path) -> Iterator[str]:
    """What is not as expected."""
    if result.exit_code is None:
        yield f"was not started: {result.error}"
        return
    if expect.exit is not None and result.exit_code != expect.exit:
        yield f"exit status {result.exit_code}{_ENDINGS.get(result.ending, '')}"
    for name, wanted, file, written in (
        ("stdout", expect.stdout, STDOUT, result.stdout_bytes),
        ("stderr", expect.stderr, STDERR, result.stderr_bytes),
    ):
        if wanted is not None and not wanted.found_in(_output(folder / file)):
            yield f"{name}{_cut(written)} is otherwise: {_last_line(folder / file) or 'empty'}"


def _output(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace")


def _cut(written: int) -> str:
    return f", of which the first {MOST_BYTES:,} of {written:,} bytes are kept," if written > MOST_BYTES else ""


def _last_line(path: Path) -> str:
    lines = _output(path).strip().splitlines()
    return repr(lines[-1][:200]) if lines else ""
