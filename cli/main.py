"""The command line: assembles the verbs and maps errors to exit codes (`helsewan.common.exit_codes`).

Verb modules import Typer at their head and everything else inside their functions, so that `helsewan --help` loads
neither the network libraries nor rich.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import Annotated, Any, NoReturn

import typer

from helsewan.cli import interruptible
from helsewan.cli.capture import capture
from helsewan.cli.doctor import doctor
from helsewan.cli.exec import exec_, shell
from helsewan.cli.link import link_app, router_app
from helsewan.cli.mininet_cli import cli
from helsewan.cli.mutate import mutate
from helsewan.cli.policy import policy_app
from helsewan.cli.rules import rules_app
from helsewan.cli.scenario import scenario_app
from helsewan.cli.status import ip, status
from helsewan.cli.topology import topology_app
from helsewan.cli.up import down, renew, up
from helsewan.cli.verify import verify
from helsewan.cli.why import why
from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.common.terminal.output_encoding import use_utf8
from helsewan.common.terminal.standard_streams import open_closed_streams

_PASS_ON = {"allow_interspersed_args": False}  # options after the command are the command's
_HELP_COLUMNS = 120  # at most

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich's help takes longer to load than all the rest
    context_settings={"max_content_width": _HELP_COLUMNS},
)
app.add_typer(topology_app, name="topology")
app.add_typer(policy_app, name="policy")
app.add_typer(rules_app, name="rules")
app.command("verify")(verify)
app.add_typer(scenario_app, name="scenario")
app.command("why")(why)
app.command("mutate")(mutate)
app.command("doctor")(doctor)
app.command("up")(up)
app.command("down")(down)
app.command("renew")(renew)
app.command("status")(status)
app.command("ip")(ip)
app.command("exec", context_settings=_PASS_ON)(exec_)
app.command("shell")(shell)
app.command("cli")(cli)
app.command("capture")(capture)
app.add_typer(link_app, name="link")
app.add_typer(router_app, name="router")


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import version

    print(f"helsewan {version('helsewan')}")
    raise typer.Exit


@app.callback()
def helsewan(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """helsewan: Norway's national health network, emulated on this machine."""


def main() -> None:
    """Entry point: errors are one line each on standard error, tracebacks only with ``--debug``."""
    open_closed_streams()
    use_utf8()
    debug = "--debug" in sys.argv
    interruptible()
    try:
        sys.exit(app(standalone_mode=False) or ExitCode.PASS)
    except InputError as error:
        _give_up(error, exit_code_of(error), debug)
    except _USAGE_ERROR as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # no verb was given: the message is the help
            print(message)
            sys.exit(ExitCode.BAD_INPUT)
        _give_up(f"{message} (hint: --help)", ExitCode.BAD_INPUT, debug)
    except (KeyboardInterrupt, typer.Abort):
        _give_up("interrupted", ExitCode.INTERRUPTED, debug)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # what reads our output has ended: Click says 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or flushing at exit fails too
            sys.exit(128 + signal.SIGPIPE)
        raise
    except Exception as error:
        _give_up(*_failure(error), debug)


_USAGE_ERROR: Any = typer.BadParameter.__mro__[1]  # click's UsageError, whether Typer brings its own click or not


def _failure(error: Exception) -> tuple[object, int]:
    """Message and exit code for an error that is not the input's."""
    from helsewan.lab.client.client import NetworkGone, NetworkRefused

    if isinstance(error, NetworkRefused):
        return error, error.status
    if isinstance(error, NetworkGone):
        return error, ExitCode.VOID
    code = exit_code_of(error)
    if code is ExitCode.MISSING_PRIVILEGE:
        from helsewan.emulation.sandbox.sandbox import explained

        return explained(error), code
    if code is ExitCode.BAD_INPUT:
        return f"installation: {error} (hint: `make setup`, or install helsewan again)", code
    what = "internal error" if code is ExitCode.INTERNAL_ERROR else "helsewan failed"
    return f"{what}: {type(error).__name__}: {error} (hint: --debug shows where)", code


def _give_up(why: object, code: int, debug: bool) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # another Ctrl-C changes neither the words nor the exit code
    if debug:
        traceback.print_exc()
    print(why, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
