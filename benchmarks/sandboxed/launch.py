"""Starts one of this folder's programs in a sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from helsewan.emulation.sandbox import sandbox


def in_sandbox(program: str, *arguments: str) -> Any:
    """Run ``benchmarks/sandboxed/<program>.py`` and return its JSON output.

    Raises RuntimeError with the last line of its standard error if it fails.
    """
    argv = sandbox.command([sys.executable, "-m", f"benchmarks.sandboxed.{program}", *arguments])
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)
