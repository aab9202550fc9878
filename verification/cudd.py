"""The library of decision diagrams: CUDD, by `dd`, which has it compiled in only where a wheel fits the machine."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from helsewan.common.errors import InputError, Problem


def load_cudd() -> Any:
    """The module ``dd.cudd``. Raises InputError where `dd` was built without CUDD, or does not load."""
    try:
        return importlib.import_module("dd.cudd")
    except ImportError as error:
        where = "" if isinstance(error, ModuleNotFoundError) else f" ({error})"
        reason = f"is needed for proofs, and `dd` has no CUDD here{where}"
        raise InputError(Problem("library", "dd.cudd", reason, f"build it: {how_to_build()}")) from error


def how_to_build() -> str:
    """The command that builds `dd` with CUDD for this interpreter; it needs a C compiler, make and the Internet.
    Without ``--no-cache-dir`` pip would take the wheel without CUDD that it built from the same sources before."""
    options = "--force-reinstall --no-deps --no-cache-dir --no-binary dd"
    return f"DD_FETCH=1 DD_CUDD=1 {sys.executable} -m pip install {options} 'dd<0.7'"
