"""The command line: options in, one of the exit codes 0 pass, 1 a check failed, 2 bad input, 3 void out."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from helsewan.cli.lab import add_verbs
from helsewan.cli.mutate import mutate
from helsewan.cli.options import DataplaneName, dataplane_named
from helsewan.cli.policy import policy_app
from helsewan.cli.rules import rules_app
from helsewan.cli.topology import topology_app
from helsewan.cli.verify import verify
from helsewan.common.errors import InputError, Problem
from helsewan.lab.client.client import NetworkGone, NetworkRefused

BAD_INPUT = 2
VOID = 3
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
scenario_app = typer.Typer(no_args_is_help=True, help="Rehearse traffic and failures.")
app.add_typer(topology_app, name="topology")
app.add_typer(policy_app, name="policy")
app.add_typer(rules_app, name="rules")
app.command("verify")(verify)
app.add_typer(scenario_app, name="scenario")
app.command("mutate")(mutate)
add_verbs(app)

_SITES = typer.Option("--sites", help="Number of sites in all.")
_SEED = typer.Option("--seed", help="Seed of everything random.")


@app.callback()
def helsewan() -> None:
    """helsewan: Norway's national health network, emulated on this machine."""


@app.command("doctor")
def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Show what this machine can carry, and what it has and lacks; exit code 2 when no scenario can run."""
    from helsewan.lab.doctor.doctor import examine, show

    raise typer.Exit(show(examine(), as_json))


@scenario_app.command("list")
def scenario_list() -> None:
    """Name the scenarios of the library."""
    from helsewan.cli.tables.networks import print_library
    from helsewan.scenarios.spec.spec import library

    print_library("scenario", "what it rehearses", library())


@scenario_app.command("run")
def scenario_run(
    name: Annotated[str, typer.Argument(help="A scenario of the library, or a path to a scenario file.")],
    seed: Annotated[int | None, _SEED] = None,
    sites: Annotated[int | None, _SITES] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter of the scenario: key=value.")] = None,
    results: Annotated[Path, typer.Option("--results", help="Where results go.")] = Path("results"),
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks for errors.")] = False,
    dataplane: DataplaneName = "engine",
) -> None:
    """Run a scenario and judge it; everything about the run goes to results/NAME/RUN-ID."""
    from helsewan.scenarios.run.launcher import run_scenario

    code = run_scenario(name, _settings(set_ or []), seed, sites, results, debug, dataplane_named(dataplane))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the verdict stands: one more Ctrl-C must not change the exit code
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


def main() -> None:
    """Entry point: errors are one line each on standard error, tracebacks only with ``--debug``."""
    debug = "--debug" in sys.argv
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except InputError as error:
        _give_up(error, BAD_INPUT, debug)
    except _USAGE_ERROR as error:
        if message := error.format_message():  # none where the help was the answer
            _give_up(f"{message} (hint: --help)", BAD_INPUT, debug)
        sys.exit(BAD_INPUT)
    except NetworkRefused as error:
        _give_up(error, error.status, debug)
    except NetworkGone as error:
        _give_up(error, VOID, debug)
    except (KeyboardInterrupt, typer.Abort):
        _give_up("interrupted", INTERRUPTED, debug)
    except Exception as error:
        _give_up(f"helsewan failed: {type(error).__name__}: {error} (hint: --debug shows where)", VOID, debug)


_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # click's UsageError, whether Typer brings its own click or not


def _give_up(why: object, code: int, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    print(why, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
