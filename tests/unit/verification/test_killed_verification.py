"""kill -9 of a verification that has worker processes leaves none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from waiting import wait_for

_PROGRAM = """
import os, time
from multiprocessing import get_context
from helsewan.verification import shares


def work(_: int) -> None:
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(1000)

with get_context("fork").Pool(2, shares.init_worker, (None, ())) as pool:
    pool.map(work, [1, 2], chunksize=1)
"""


def test_workers_end_with_their_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [Path("/proc", process.stdout.readline().strip()) for _ in range(2)]
        process.kill()

    def gone(worker: Path) -> bool:
        try:
            return (worker / "stat").read_text().rpartition(") ")[2][0] in "ZX"  # where nobody reaps orphans
        except OSError:
            return True

    wait_for(lambda: all(map(gone, workers)), "the end of the workers")
