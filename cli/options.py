"""Options that verbs share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from helsewan.common.errors import InputError, Problem

if TYPE_CHECKING:
    from helsewan.emulation.links.link_backend import Dataplane

Name = Annotated[str | None, typer.Option("--name", help="Which network; not needed while one stands.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
DataplaneName = Annotated[str, typer.Option("--dataplane", help="What carries frames: engine or kernel.")]


def dataplane_named(name: str) -> Dataplane:
    """A dataplane by name; raises InputError for what is none."""
    from helsewan.emulation.links.link_backend import Dataplane

    try:
        return Dataplane(name)
    except ValueError:
        known = ", ".join(one.value for one in Dataplane)
        raise InputError(Problem("--dataplane", name, "is no dataplane", f"one of {known}")) from None
