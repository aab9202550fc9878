"""Writes a new scenario file: a commented one that is valid and can run, or a copy of one of the library."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.common.files import write_file
from helsewan.policies.language.refusal import Refusal
from helsewan.policies.language.schema import parse_name
from helsewan.scenarios.spec.spec import SCENARIOS

_NAME = re.compile(r"^name: .*$", re.MULTILINE)


def new_scenario(name: str, model: str | None, folder: Path = Path()) -> Path:
    """Write ``NAME.yaml`` into ``folder``, like the library's scenario ``model`` if one is given; returns its path.
    Raises ``InputError`` for a name that is none, an unknown model, and a file that exists."""
    try:
        parse_name(name)
    except Refusal as refusal:
        raise InputError(Problem("NAME", name, refusal.reason, refusal.hint)) from None
    path = folder / f"{name}.yaml"
    if model is None:
        text = (files("helsewan.scenarios") / "authoring" / "template.yaml").read_text(encoding="utf-8")
        text = text.replace("NAME", name)
    else:
        text = _NAME.sub(f"name: {name}", SCENARIOS.path(model).read_text(encoding="utf-8"), count=1)
    if path.exists():
        raise InputError(Problem("NAME", str(path), "exists already", "choose another name, or remove the file"))
    write_file("NAME", path, text.encode())
    return path
