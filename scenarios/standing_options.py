"""Options that the verbs of standing networks share."""

from __future__ import annotations

from typing import Annotated

import typer

Name = Annotated[str | None, typer.Option("--name", help="Which network; not needed while one stands.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
