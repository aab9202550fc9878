"""``helsewan exec`` and ``helsewan shell``: commands and shells at the nodes of a running network."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from helsewan.cli.options import Name, Node
from helsewan.common.errors import InputError, Problem


def exec_(
    node: Node,
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    name: Name = None,
    terminal: Annotated[bool, typer.Option("--tty", "-t", help="Run it on a pseudo-terminal.")] = False,
) -> None:
    """Run a command at a site. Input, output and exit status are the command's own."""
    own, argv = _own_options(command)
    name, terminal = own.get("name", name), "tty" in own or terminal
    if not argv:
        raise InputError(Problem("exec", None, "has no command", f"helsewan exec {node} -- COMMAND"))
    if terminal and not os.isatty(0):
        raise InputError(Problem("--tty", None, "needs a terminal, and standard input is none", "leave it out"))
    raise typer.Exit(_run(name, node, argv, terminal))


def _own_options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Our options between the node and the command, by name, and the command. Raises InputError for another option."""
    own: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word, separator, value = rest.pop(0).partition("=")
        if word == "--":
            break
        if word in ("-t", "--tty"):
            own["tty"] = ""
        elif word == "--name" and (separator or rest):
            own["name"] = value if separator else rest.pop(0)
        else:
            reason = "has no value" if word == "--name" else "is no option of exec"
            raise InputError(Problem("exec", word, reason, "options come first, and the command after --"))
    return own, rest


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
