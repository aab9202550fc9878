"""Starts one of this folder's programs in a sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from helsewan.emulation.routers.forwarding import VARIABLE
from helsewan.emulation.sandbox import sandbox

KINDS = ("shared", "private")  # of routers, in the order in which figures are printed
LIMIT_S = 900.0


def in_sandbox(program: str, *arguments: str, routers: str = "", limit_s: float = LIMIT_S) -> Any:
    """Run ``benchmarks/sandboxed/<program>.py`` and return its JSON output. ``routers``: their kind, empty for the
    default.

    Raises RuntimeError with the last line of its standard error if it fails, or if it has not ended after
    ``limit_s``.
    """
    argv = sandbox.command([sys.executable, "-m", f"benchmarks.sandboxed.{program}", *arguments])
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=limit_s, env=environment(routers)
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{program}: not ended after {limit_s:g} s") from None
    if done.returncode:
        raise RuntimeError(f"{program}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)


def environment(routers: str) -> dict[str, str]:
    """The environment of programs that are to have this kind of routers."""
    return dict(os.environ) | ({VARIABLE: routers} if routers else {})
