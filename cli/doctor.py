"""``helsewan doctor``: what load this machine can carry, and which features it has and lacks."""

from __future__ import annotations

import typer

from helsewan.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Show the capacity and features of this machine. Exit code 2 if no scenario can run, 77 if only a privilege
    is missing."""
    from helsewan.lab.doctor.doctor import examine, show

    raise typer.Exit(show(examine(), as_json))
