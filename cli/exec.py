"""``helsewan exec`` and ``helsewan shell``: commands and shells at the nodes of a running network."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from helsewan.cli.options import Name, Node


def exec_(
    node: Node,
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    name: Name = None,
    terminal: Annotated[bool, typer.Option("--tty", "-t", help="Run it on a pseudo-terminal.")] = False,
) -> None:
    """Run a command at a site. Input, output and exit status are the command's own."""
    argv = command[1:] if command[0] == "--" else command
    raise typer.Exit(_run(name, node, argv, terminal))


def shell(node: Node, name: Name = None) -> None:
    """Open a shell at a site."""
    terminal = os.isatty(0) and os.isatty(1)
    raise typer.Exit(_run(name, node, ["bash", "--norc"], terminal, PS1=f"{node}:\\w\\$ "))


def _run(name: str | None, node: str, argv: list[str], terminal: bool, **extra: str) -> int:
    """Run ``argv`` at ``node`` with our environment and ``extra`` variables; its exit status."""
    from helsewan.lab.client.client import Client, environment

    arguments: dict[str, Any] = {"node": node, "argv": argv, "env": {**environment(), **extra}, "cwd": os.getcwd()}
    with Client(name) as client:
        if terminal:
            return client.run_on_terminal("exec", tty=True, **arguments)
        return client.run("exec", (0, 1, 2), **arguments)
