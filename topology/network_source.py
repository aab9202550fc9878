"""Selects the network to build: the national network or one from a file."""

from __future__ import annotations

from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.topology.importers import Imported, import_network
from helsewan.topology.model import MOST_SEED
from helsewan.topology.national.generator import national_network

DEFAULT_SITES = 400  # of the national network


def load_network(source: Path | None, sites: int | None, seed: int, swedish_route: bool = False) -> Imported:
    """The network in file ``source``, or the national network if ``source`` is None.

    ``sites`` is the total number of sites; None means the file's own (see ``import_network``), or ``DEFAULT_SITES``.
    ``swedish_route`` is for the national network only. Raises ``InputError`` for invalid arguments or files.
    """
    if not 0 <= seed <= MOST_SEED:
        raise InputError(Problem("--seed", seed, "is no seed", f"write a whole number from 0 to {MOST_SEED}"))
    if source is None:
        return Imported(national_network(DEFAULT_SITES if sites is None else sites, seed, swedish_route))
    if swedish_route:
        raise InputError(Problem("--swedish-route", None, "belongs to the national network", "leave it or --from out"))
    return import_network(source, sites, seed)
