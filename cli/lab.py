"""The verbs of standing networks: up, down, status, exec, shell, link, capture, cli."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from helsewan.cli.capture import capture
from helsewan.cli.link import link_app
from helsewan.cli.options import DataplaneName, Json, Name, dataplane_named
from helsewan.lab.client.client import Client, NetworkRefused, environment

VOID = 3


def add_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("exec", context_settings=PASS_ON)(exec_)
    app.command("shell")(shell)
    app.command("cli")(cli)
    app.command("capture")(capture)
    app.add_typer(link_app, name="link")


PASS_ON = {"allow_interspersed_args": False}  # options after the command are the command's


def up(
    sites: Annotated[int | None, typer.Option("--sites", help="Number of sites in all.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of everything random.")] = 1,
    source: Annotated[Path | None, typer.Option("--from", help="A network's file: GraphML, GML, YAML, JSON.")] = None,
    swedish_route: Annotated[bool, typer.Option("--swedish-route", help="Add the Narvik-Oslo fibre.")] = False,
    policy: Annotated[str, typer.Option("--policy", help="A policy of the library, or a policy file.")] = "national",
    hosts_per_hospital: Annotated[int, typer.Option(help="Hosts on a LAN behind every hospital.", min=0, max=200)] = 0,
    dataplane: DataplaneName = "engine",
    standby: Annotated[bool, typer.Option("--standby", help="A second controller stands by.")] = False,
    name: Annotated[str, typer.Option("--name", help="The network's name.")] = "default",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it is up.")] = False,
    results: Annotated[Path, typer.Option("--results", help="Where logs and history go.")] = Path("results"),
    api: Annotated[str | None, typer.Option("--api", help="Serve REST and metrics: unix, or 127.0.0.1:PORT.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks for errors.")] = False,
) -> None:
    """Keep a network up until `helsewan down` or Ctrl-C."""
    from helsewan.lab.server.up import LabRequest, run_lab

    wish = LabRequest(
        name=name,
        sites=sites,
        seed=seed,
        source=source,
        swedish_route=swedish_route,
        policy=policy,
        lan_hosts=hosts_per_hospital,
        dataplane=dataplane_named(dataplane),
        standby=standby,
        results=results,
        debug=debug,
        api=api,
    )
    raise typer.Exit(run_lab(wish, detach))


def down(name: Name = None) -> None:
    """End a network; returns when nothing of it is left."""
    with Client(name) as client:
        client.ask("down")
        if not client.wait_until_gone():
            raise NetworkRefused(f"network {client.name} was told to end and still stands", VOID)


def status(name: Name = None, as_json: Json = False) -> None:
    """How a network stands."""
    from helsewan.cli.tables.lab import print_status

    with Client(name) as client:
        facts = client.ask("status")
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        print_status(facts)


def exec_(
    node: Annotated[str, typer.Argument(help="A site or router.")],
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    name: Name = None,
    terminal: Annotated[bool, typer.Option("--tty", "-t", help="Give it a terminal of its own.")] = False,
) -> None:
    """Run a command at a site; input, output and exit status are the command's own."""
    argv = command[1:] if command[0] == "--" else command
    raise typer.Exit(_run(name, node, argv, terminal))


def shell(node: Annotated[str, typer.Argument(help="A site or router.")], name: Name = None) -> None:
    """Open a shell at a site."""
    terminal = os.isatty(0) and os.isatty(1)
    raise typer.Exit(_run(name, node, ["bash", "--norc"], terminal, PS1=f"{node}:\\w\\$ "))


def cli(name: Name = None) -> None:
    """Mininet's command line on a network; a script where standard input is no terminal."""
    with Client(name) as client:
        if os.isatty(0) and os.isatty(1):
            raise typer.Exit(client.run_on_terminal("cli", tty=True, env=environment()))
        raise typer.Exit(client.run("cli", (0, 1, 2), env=environment()))


def _run(name: str | None, node: str, argv: list[str], terminal: bool, **extra: str) -> int:
    arguments: dict[str, Any] = {"node": node, "argv": argv, "env": {**environment(), **extra}, "cwd": os.getcwd()}
    with Client(name) as client:
        if terminal:
            return client.run_on_terminal("exec", tty=True, **arguments)
        return client.run("exec", (0, 1, 2), **arguments)
