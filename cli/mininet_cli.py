"""``helsewan cli``: Mininet's command line on a running network."""

from __future__ import annotations

import os

import typer

from helsewan.cli.options import Name


def cli(name: Name = None) -> None:
    """Open Mininet's command line on a running network. Reads commands from standard input if that is no terminal."""
    from helsewan.lab.client.client import Client, environment

    with Client(name) as client:
        if os.isatty(0) and os.isatty(1):
            raise typer.Exit(client.run_on_terminal("cli", tty=True, env=environment()))
        raise typer.Exit(client.run("cli", (0, 1, 2), env=environment()))
