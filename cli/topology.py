"""``helsewan topology``: show and export a network, the national one or a file's, and its independent paths."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.cli.options import DEFAULT_SEED, From, Seed, Sites, SwedishRoute
from helsewan.common.errors import InputError, Problem
from helsewan.common.files import write_file

if TYPE_CHECKING:
    from helsewan.topology.model import Network

topology_app = typer.Typer(no_args_is_help=True, help="Show and export a network without starting it.")

Format = Annotated[str, typer.Option("--format", help="graphml, geojson, json, yaml, dot or containerlab.")]
Output = Annotated[Path | None, typer.Option("--output", help="A file; by default standard output.")]


@topology_app.command("show")
def topology_show(
    from_: From = None, sites: Sites = None, seed: Seed = DEFAULT_SEED, swedish_route: SwedishRoute = False
) -> None:
    """Print a summary of a network. And which values were assumed because its file does not give them."""
    from helsewan.cli.tables.topology import print_topology
    from helsewan.topology.network_source import load_network

    imported = load_network(from_, sites, seed, swedish_route)
    print_topology(imported.network, imported.remarks)


@topology_app.command("paths")
def topology_paths(
    start: Annotated[str | None, typer.Argument(help="A site, town or router; by default all sites.")] = None,
    end: Annotated[str | None, typer.Argument(help="Another site, town or router.")] = None,
    from_: From = None,
    sites: Sites = None,
    seed: Seed = DEFAULT_SEED,
    swedish_route: SwedishRoute = False,
) -> None:
    """Print up to three independent paths between two places. Without places: the sites that have fewer than three to
    some national service. Independent paths share no link, no shared-risk group, and no town but those at the ends."""
    from helsewan.cli.tables.independent_paths import show_few, show_paths
    from helsewan.topology.network_source import load_network

    network = load_network(from_, sites, seed, swedish_route).network
    if start is None or end is None:
        if start is not None:
            raise InputError(Problem("END", None, "is missing", "name two places, or none for all sites"))
        show_few(network)
    else:
        show_paths(network, start, end)


@topology_app.command("export")
def topology_export(
    format: Format,
    output: Output = None,
    from_: From = None,
    sites: Sites = None,
    seed: Seed = DEFAULT_SEED,
    swedish_route: SwedishRoute = False,
) -> None:
    """Write the network in a format for other tools. --from can read graphml, yaml and json again."""
    from helsewan.topology.network_source import load_network

    writers = _writers()
    if format not in writers:
        raise InputError(Problem("--format", format, "is not a format helsewan writes", f"one of {', '.join(writers)}"))
    text = writers[format](load_network(from_, sites, seed, swedish_route).network)
    if output is not None:
        write_file("--output", output, text.encode())
        return
    try:
        with open(sys.stdout.fileno(), "w", encoding="utf-8", closefd=False) as file:
            print(text, file=file, end="")
    except BrokenPipeError:  # the reader has left
        return
    except OSError as error:
        raise InputError(Problem("--output", "standard output", error.strerror or str(error))) from error


def _writers() -> dict[str, Callable[[Network], str]]:
    from helsewan.topology.exporters import containerlab, dot, formats
    from helsewan.topology.importers import description

    return {
        "graphml": formats.to_graphml,
        "geojson": formats.to_geojson,
        "json": formats.to_json,
        "yaml": description.write,
        "dot": dot.to_dot,
        "containerlab": containerlab.to_containerlab,
    }
