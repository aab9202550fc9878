"""The same hosts, switches and links built by stock Mininet and by helsewan, one after the other.

Stock Mininet has the easier task (see ``sandboxed.mininet``): plain links that neither shape nor delay, one Open
vSwitch for all bridges, no controller, no rules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import Figure
from benchmarks.sandboxed.scale_watch import bring_up_and_down
from helsewan.emulation.sandbox import sandbox

SITES = 2_500
DEADLINE_S = 900
BUILDING = ("building sites and routers", "starting the routers")  # stages that Mininet has as well


def run() -> list[Figure]:
    """Measure both once; raises RuntimeError if one did not come up."""
    stock = stock_mininet(SITES)
    ours = bring_up_and_down(SITES).answer["stages_s"]
    stock_s = stock["build_s"] + stock["start_s"]
    built_s, whole_s = sum(ours[stage] for stage in BUILDING), sum(ours.values())
    size = f"{stock['hosts']:,} hosts, {stock['switches']:.0f} switches"
    return [
        Figure(f"stock Mininet: {size} built and started", stock_s, "s"),
        Figure(f"the same here: {size} built and started", built_s, "s"),
        Figure("times faster than stock Mininet: built and started", stock_s / built_s, "", ">= 10"),
        Figure("times faster than stock Mininet: ours programmed and calibrated as well", stock_s / whole_s, ""),
    ]


def stock_mininet(sites: int) -> dict[str, float]:
    """The output of ``sandboxed.mininet`` in a sandbox; raises RuntimeError with its standard error if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([mnexec_folder(Path(folder)), os.environ.get("PATH", os.defpath)])
        argv = sandbox.command([sys.executable, "-m", "benchmarks.sandboxed.mininet", str(sites)])
        environment = {**os.environ, "PATH": path}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=DEADLINE_S, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def mnexec_folder(folder: Path) -> str:
    """The directory of Mininet's helper ``mnexec``: installed, or unpacked into ``folder`` from Debian's package, for
    which apt needs no privilege. Raises RuntimeError if neither is available."""
    if installed := shutil.which("mnexec"):
        return str(Path(installed).parent)
    try:
        subprocess.run(["apt-get", "download", "mininet"], cwd=folder, capture_output=True, check=True)
        (package,) = folder.glob("mininet_*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise RuntimeError("stock Mininet needs mnexec: install the package mininet") from error
    return str(folder / "usr/bin")
