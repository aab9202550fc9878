"""``helsewan scenario``: list the scenarios of the library, run one and evaluate its checks."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from helsewan.cli.options import DataplaneName, Debug, Results, Routers, SeedOverride, SitesOverride
from helsewan.common.errors import InputError, Problem

scenario_app = typer.Typer(no_args_is_help=True, help="Run scenarios of traffic and failures.")


@scenario_app.command("list")
def scenario_list() -> None:
    """List the scenarios of the library."""
    from helsewan.cli.tables.library import print_library
    from helsewan.scenarios.spec.spec import library

    print_library("scenario", "what it tests", library())


@scenario_app.command("run")
def scenario_run(
    name: Annotated[str, typer.Argument(help="A scenario of the library, or a path to a scenario file.")],
    seed: SeedOverride = None,
    sites: SitesOverride = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter of the scenario: key=value.")] = None,
    results: Results = Path("results"),
    debug: Debug = False,
    dataplane: DataplaneName = "engine",
    routers: Routers = "",
) -> None:
    """Run a scenario and evaluate its checks. Results and logs are written to results/NAME/RUN-ID."""
    from helsewan.emulation.routers.forwarding import forwarding
    from helsewan.scenarios.run.launcher import run_scenario

    chosen = forwarding(dataplane, routers)
    code = run_scenario(name, _settings(set_ or []), seed, sites, results, debug, chosen)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the verdict is final: another Ctrl-C must not change the exit code
    raise typer.Exit(code)


def _settings(pairs: list[str]) -> dict[str, str]:
    """``key=value`` options as a mapping; raises InputError for what is not one."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InputError(Problem("--set", pair, "is not key=value", "for example --set region=nord"))
        settings[key] = value
    return settings
