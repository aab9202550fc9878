"""Which network to build: the national one, or a file's."""

from __future__ import annotations

from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.topology.importers import Imported, import_network
from helsewan.topology.national.generator import national_network

DEFAULT_SITES = 400  # of the national network


def load_network(source: Path | None, sites: int | None, seed: int, swedish_route: bool = False) -> Imported:
    """The network in file ``source``, or the national one where that is None. ``sites`` in all; None for what a file
    has or needs, or the default. Raises ``InputError`` for what cannot be."""
    if source is None:
        return Imported(national_network(DEFAULT_SITES if sites is None else sites, seed, swedish_route))
    if swedish_route:
        raise InputError(Problem("--swedish-route", None, "belongs to the national network", "leave it or --from out"))
    return import_network(source, sites, seed)
