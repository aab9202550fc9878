"""``helsewan scenario``: list scenarios, write, check and show them, run one and evaluate its checks."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from helsewan.cli.options import DataplaneName, Debug, Json, Results, Routers, SeedOverride, SitesOverride
from helsewan.common.errors import InputError, Problem
from helsewan.common.exit_codes import ExitCode

scenario_app = typer.Typer(no_args_is_help=True, help="Write and run scenarios of traffic and failures.")

Scenario = Annotated[str, typer.Argument(help="A scenario of the library, or a path to a scenario file.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="A parameter of the scenario: key=value.")]


@scenario_app.command("list")
def scenario_list(as_json: Json = False) -> None:
    """List the scenarios of the library: size, duration and purpose."""
    from helsewan.cli.tables.scenarios import print_scenarios
    from helsewan.scenarios.spec.spec import library

    print_scenarios(library(), as_json)


@scenario_app.command("new")
def scenario_new(
    name: Annotated[str, typer.Argument(help="The new scenario's name; the file is NAME.yaml.")],
    model: Annotated[
        str | None, typer.Option("--from", help="A scenario of the library to copy, in place of a small one.")
    ] = None,
) -> None:
    """Write a new scenario file that can be run as it is."""
    from helsewan.scenarios.authoring.new import new_scenario

    print(new_scenario(name, model))


@scenario_app.command("validate")
def scenario_validate(
    names: Annotated[list[str], typer.Argument(help="Scenarios of the library, or paths to scenario files.")],
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Print every problem of scenarios, and start nothing. That is all of the file, of the
    network and the policy that it names, and of how it fits them. Errors are one line each, and the exit code is 2."""
    from helsewan.cli.tables.scenarios import print_problems
    from helsewan.scenarios.run.preparation import problems

    found = {name: problems(name, _settings(set_ or [])) for name in names}
    print_problems(found, as_json)
    if any(found.values()):
        raise typer.Exit(ExitCode.BAD_INPUT)


@scenario_app.command("show")
def scenario_show(name: Scenario, seed: SeedOverride = None, sites: SitesOverride = None, set_: Set = None) -> None:
    """Show in plain words what a scenario will do, and what it needs. Nothing is started."""
    from helsewan.cli.tables.scenarios import print_description
    from helsewan.scenarios.run.preparation import prepare

    print_description(prepare(name, _settings(set_ or []), seed=seed, sites=sites))


@scenario_app.command("schema")
def scenario_schema() -> None:
    """Print the JSON Schema of scenario files, for editors."""
    from helsewan.scenarios.authoring.json_schema import scenario_json_schema

    print(json.dumps(scenario_json_schema(), indent=2))


@scenario_app.command("run")
def scenario_run(
    name: Annotated[str | None, typer.Argument(help="A scenario of the library, or a path to a scenario file.")] = None,
    seed: SeedOverride = None,
    sites: SitesOverride = None,
    set_: Set = None,
    repeat: Annotated[
        int | None, typer.Option("--repeat", help="How many runs, each with a seed of its own; and their summary.")
    ] = None,
    faults: Annotated[
        str | None, typer.Option("--faults", help="random: each run has faults drawn by its seed besides its own.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", help="The directory of a run, to run exactly that again.")
    ] = None,
    results: Results = Path("results"),
    debug: Debug = False,
    dataplane: DataplaneName = "engine",
    routers: Routers = "",
) -> None:
    """Run a scenario and evaluate its checks. Results and logs are written to results/NAME/RUN-ID."""
    from helsewan.emulation.routers.forwarding import forwarding
    from helsewan.scenarios.repetition import campaign

    if replay is not None:
        chosen = {"NAME": name, "--seed": seed, "--sites": sites, "--set": set_, "--repeat": repeat, "--faults": faults}
        _refuse_beside_replay({**chosen, "--routers": routers or None})
        code = campaign.replay(replay, results, debug)
    else:
        if name is None:
            raise InputError(Problem("NAME", None, "is missing", "name a scenario, or give --replay RESULTS"))
        if faults not in (None, "random"):
            raise InputError(Problem("--faults", faults, "is unknown", "write random"))
        carried = forwarding(dataplane, routers)
        drawn = faults is not None
        request = campaign.Request(name, _settings(set_ or []), seed, sites, repeat, drawn, carried, results, debug)
        code = campaign.run_scenario(request)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the verdict is final: another Ctrl-C must not change the exit code
    raise typer.Exit(code)


@scenario_app.command("compare")
def scenario_compare(
    a: Annotated[Path, typer.Argument(help="A run or a campaign: its directory, or its result.json.")],
    b: Annotated[Path, typer.Argument(help="The one that is compared with it.")],
    no_worse_than: Annotated[
        str | None,
        typer.Option("--no-worse-than", help="By how much B may be worse: 5 %, or a value as 2 ms. Beyond, exit 1."),
    ] = None,
) -> None:
    """Compare two runs or campaigns: what differs, and why."""
    from helsewan.scenarios.repetition.compare_results import compare_results

    raise typer.Exit(compare_results(a, b, no_worse_than))


@scenario_app.command("shrink")
def scenario_shrink(
    failed: Annotated[Path, typer.Argument(metavar="RESULTS", help="The directory of a run that failed.")],
    max_runs: Annotated[int, typer.Option("--max-runs", help="How many runs may be made.")] = 40,
    results: Results = Path("results"),
    debug: Debug = False,
) -> None:
    """Find the smallest scenario that still fails as a run did.

    It has fewer and shorter faults, and less traffic."""
    from helsewan.scenarios.repetition.shrink import shrink

    code = shrink(failed, results, max_runs, debug)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise typer.Exit(code)


def _refuse_beside_replay(options: Mapping[str, object]) -> None:
    """Raise InputError for the options that would make a replay another run."""
    hint = "leave it out: a replay has the inputs of its run"
    given = [option for option, value in options.items() if value is not None]
    if given:
        raise InputError(*(Problem(option, None, "cannot be given with --replay", hint) for option in given))


def _settings(pairs: list[str]) -> dict[str, str]:
    """``key=value`` options as a mapping; raises InputError for what is not one."""
    settings: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise InputError(Problem("--set", pair, "is not key=value", "for example --set region=nord"))
        settings[key] = value
    return settings
