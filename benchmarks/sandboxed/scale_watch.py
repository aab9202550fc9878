"""Starts ``sandboxed.scale`` in a sandbox and measures it from outside: time, memory, and the end."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sandboxed.launch import environment
from benchmarks.sandboxed.namespace_watch import NamespaceWatch, namespaces_of
from helsewan.emulation.sandbox import sandbox

UP_DEADLINE_S = 600.0
GONE_DEADLINE_S = 120.0
POLL_S = 0.02


@dataclass(frozen=True)
class Outcome:
    """Measurements of one sandbox. ``answer`` is the output of ``sandboxed.scale``.

    ``memory_mib``: maximum decrease of the machine's available memory, including the kernel's own for namespaces and
    interfaces; ``processes_mib``: the processes' proportional set sizes at the end, shared pages counted once.
    ``gone_s``: from the kill until the kernel had removed the last namespace, and with it the last interface."""

    sites: int
    answer: dict[str, Any]
    up_s: float
    memory_mib: float
    processes_mib: float
    processes_gone_s: float
    gone_s: float


def bring_up_and_down(sites: int, routers: str = "") -> Outcome:
    """Measure one sandbox with ``sites`` sites, from its first process to its last namespace. ``routers``: their
    kind, empty for the default. Needs root, to watch the namespaces. Raises RuntimeError if the network does not come
    up completely, or does not go down."""
    with tempfile.TemporaryDirectory() as logs, memory_fall_mib() as fallen_mib, NamespaceWatch() as watch:
        began = time.monotonic()
        argv = sandbox.command([sys.executable, "-m", "benchmarks.sandboxed.scale", str(sites), logs])
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment(routers)) as first:
            assert first.stdout is not None
            limit = threading.Timer(UP_DEADLINE_S, first.kill)
            limit.start()
            line = first.stdout.readline()
            limit.cancel()
            up_s = time.monotonic() - began
            processes = descendants(first.pid) if line else []
            processes_mib, memory_mib = sum(map(pss_mib, processes)), fallen_mib()
            watch.add(namespaces_of(processes))
            killed = time.monotonic()
            first.kill()
        processes_gone_s = _processes_gone_s(killed, processes)
        watch.wait(GONE_DEADLINE_S)
        gone_s = time.monotonic() - killed
    answer = json.loads(line) if line else {}
    if not answer or answer["unreached"] or answer["errors"] or answer["dead"]:
        raise RuntimeError(f"{sites} sites did not come up completely: {line.strip() or 'see above'}")
    return Outcome(sites, answer, up_s, memory_mib, processes_mib, processes_gone_s, gone_s)


def _processes_gone_s(killed: float, processes: list[int]) -> float:
    """Wait until all ``processes`` are gone; return the seconds since ``killed``."""
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > killed + GONE_DEADLINE_S:
            raise RuntimeError(f"the sandbox's processes are not gone after {GONE_DEADLINE_S:g} s")
        time.sleep(POLL_S)
    return time.monotonic() - killed


def descendants(process: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process]
    for process in found:
        for task in Path(f"/proc/{process}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def pss_mib(process: int) -> float:
    """The proportional set size of a process (proc_pid_smaps(5))."""
    rollup = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024


@contextmanager
def memory_fall_mib() -> Iterator[Callable[[], float]]:
    """Monitor the machine's available memory meanwhile; the function returns its maximum decrease so far."""
    before, least, over = _available_mib(), [_available_mib()], threading.Event()

    def monitor() -> None:
        while not over.wait(0.1):
            least[0] = min(least[0], _available_mib())

    thread = threading.Thread(target=monitor)
    thread.start()
    try:
        yield lambda: before - min(least[0], _available_mib())
    finally:
        over.set()
        thread.join()


def _available_mib() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("MemAvailable:"))
