"""The default scenario in a set-up checkout: its duration, the silence of calls during repair, leaks."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import Figure

DEADLINE_S = 300


def run() -> list[Figure]:
    """Run ``region-failover`` once; raises RuntimeError if it could not run at all."""
    with tempfile.TemporaryDirectory() as results:
        argv = [
            sys.executable,
            "-m",
            "helsewan.cli.main",
            "scenario",
            "run",
            "region-failover",
            "--results",
            results,
        ]
        began = time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        took_s = time.monotonic() - began
        if done.returncode not in (0, 1, 3):
            raise RuntimeError(done.stderr.strip())
        result = json.loads((Path(results) / "region-failover/latest/result.json").read_text(encoding="utf-8"))
    checks = {check["name"]: check["value"] for check in result["checks"]}
    steal = 100 * result["pressure"]["steal"]
    return [
        Figure(f"scenario region-failover, whole ({result['verdict']}, {steal:.0f} % stolen)", took_s, "s", "< 90"),
        Figure("network up and programmed", result["timing"]["up_s"], "s", "< 15"),
        Figure("longest silence of a surviving call", checks["voice-gap-surviving"] / 1000, "ms", "< 50"),
        Figure("isolation probes that got through", checks["isolation"], "", "<= 0"),
        Figure("calibrated overhead of a core link", result["overhead"]["core_us"], "us"),
    ]
