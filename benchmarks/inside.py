"""Runs a benchmark's rig in a world of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from helsewan.emulation.sandbox import sandbox


def in_world(testbed: str, *arguments: str) -> Any:
    """What ``benchmarks/<rig>.py`` printed as JSON; raises RuntimeError with its last words when it could not run."""
    argv = sandbox.command([sys.executable, "-m", f"benchmarks.{testbed}", *arguments])
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{testbed}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
    return json.loads(done.stdout)
