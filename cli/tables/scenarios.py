"""``helsewan scenario list``, ``validate`` and ``show``: scenarios, their problems, and one in plain words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from helsewan.common.errors import Problem
from helsewan.common.terminal.screen import Screen
from helsewan.common.terminal.tables import print_table
from helsewan.common.units import format_duration
from helsewan.scenarios.authoring.description import describe
from helsewan.scenarios.run.preparation import Prepared
from helsewan.scenarios.spec.spec import Scenario


def print_scenarios(scenarios: Iterable[Scenario], as_json: bool) -> None:
    """Print a row for each scenario, or all as JSON."""
    if as_json:
        rows = [
            {
                "name": scenario.name,
                "sites": scenario.network.sites,
                "duration_us": scenario.spec.duration,
                "description": scenario.spec.description,
                "parameters": {name: each.help for name, each in scenario.spec.parameters.items()},
            }
            for scenario in scenarios
        ]
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("scenario", style="bold")
    table.add_column("sites", justify="right")
    table.add_column("duration", justify="right")
    table.add_column("what it tests")
    for scenario in scenarios:
        spec = scenario.spec
        table.add_row(spec.name, str(spec.network.sites), format_duration(spec.duration), spec.description)
    print_table(Screen(), table)


def print_problems(found: Mapping[str, Sequence[Problem]], as_json: bool) -> None:
    """Print the problems of each file on standard error, all of them, and valid files on standard output; or all on
    standard output as JSON."""
    if as_json:
        print(json.dumps([_as_json(name, problems) for name, problems in found.items()], indent=2, ensure_ascii=False))
        return
    for name, problems in found.items():
        for problem in problems:
            print(problem, file=sys.stderr)
        if not problems:
            print(f"{name}: valid")


def _as_json(name: str, problems: Sequence[Problem]) -> dict[str, object]:
    """The problems of one file; one that is in no file has line 0."""
    return {
        "scenario": name,
        "valid": not problems,
        "problems": [
            {
                **problem.location._asdict(),
                "value": problem.value if isinstance(problem.value, str | int | float | None) else str(problem.value),
                "reason": problem.reason,
                "hint": problem.hint,
            }
            for problem in problems
        ],
    }


def print_description(prepared: Prepared) -> None:
    """Print what ``prepared`` will do, in plain words."""
    screen, spec = Screen(), prepared.scenario.spec
    screen.print(f"{spec.name}: {spec.description}", markup=False)
    for section in describe(prepared):
        screen.print(f"\n{section.heading}", style="bold")
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
        table.add_column(style="dim")
        table.add_column()
        for word, text in section.lines:
            table.add_row(word, text)
        print_table(screen, table)
