"""``helsewan doctor``: what this machine can carry, and what it has and lacks."""

from __future__ import annotations

import typer

from helsewan.cli.options import Json


def doctor(as_json: Json = False) -> None:
    """Show what this machine can carry, and what it has and lacks. Exit code 2 when no scenario can run."""
    from helsewan.lab.doctor.doctor import examine, show

    raise typer.Exit(show(examine(), as_json))
