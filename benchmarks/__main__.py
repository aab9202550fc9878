"""``python -m benchmarks [name ...]``: run all benchmarks, or those named, and print figures and the machine's facts.

Exit code 0: all ran (a missed target is printed and is no error: the machine may be the reason), 1: one could not run,
2: no such benchmark.
"""

from __future__ import annotations

import importlib
import operator
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import Figure
from helsewan.emulation.routers.forwarding import shared_refusal

WIDTH = 130  # so that rows stay whole where the output is a file
COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def names() -> list[str]:
    """Names of the benchmarks: ``bench_<name>.py`` in this folder."""
    return sorted(file.stem.removeprefix("bench_") for file in Path(__file__).parent.glob("bench_*.py"))


def reached(figure: Figure) -> str:
    """``yes``, ``no``, or empty where the figure has no target."""
    if not figure.target:
        return ""
    sign, limit = figure.target.split()
    return "yes" if COMPARE[sign](figure.value, float(limit)) else "no"


def machine() -> list[tuple[str, str]]:
    """Facts of the machine that the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    models = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        ("processor", f"{models[0] if models else platform.machine()}, {len(os.sched_getaffinity(0))} cores usable"),
        ("memory", f"{memory_bytes / 2**30:.1f} GiB"),
        ("load", f"{os.getloadavg()[0]:.2f} (last minute)"),
        ("kernel", platform.release()),
        ("Python", platform.python_version()),
        ("Open vSwitch", open_vswitch_version()),
        ("shared routers", shared_refusal() or "possible"),
    ]


def open_vswitch_version() -> str:
    """The version of the Open vSwitch that would run."""
    program = shutil.which("ovs-vswitchd", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if program is None:
        return "not installed"
    first_line = subprocess.run([program, "--version"], capture_output=True, text=True).stdout.partition("\n")[0]
    return first_line.split()[-1] if first_line else "unknown"


def main(wanted: list[str]) -> int:
    """Run the named benchmarks, or all if none is named; see the module for exit codes."""
    console = Console(width=WIDTH)
    known = names()
    if unknown := [name for name in wanted if name not in known]:
        print(f"benchmarks: no {', '.join(unknown)} (there are: {', '.join(known) or 'none'})", file=sys.stderr)
        return 2
    table = Table("figure", "measured", "private routers", "unit", "target", "reached")
    failed = False
    for name in wanted or known:
        console.print(f"measuring {name} ...")
        try:
            figures = [Figure(*row) for row in importlib.import_module(f"benchmarks.bench_{name}").run()]
        except Exception as error:  # the other benchmarks still run
            console.print(f"{name} could not run: {type(error).__name__}: {error}", markup=False)
            failed = True
            continue
        for figure in figures:
            private = "" if figure.private is None else f"{figure.private:.4g}"
            values = (f"{figure.value:.4g}", private, figure.unit, figure.target)
            table.add_row(figure.name, *values, reached(figure))
    console.print(table)
    for fact, value in machine():
        console.print(f"{fact + ':':14} {value}", markup=False)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
