"""Actions at sites and links that write files: commands and captures."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from helsewan.common.ownership import create_directories, create_log
from helsewan.emulation.links.capture import Capture
from helsewan.emulation.links.pipe_model import Direction
from helsewan.lab.testbed.testbed import Testbed
from helsewan.scenarios.events.effects import Effect, Occurrence, Poll, done
from helsewan.scenarios.spec.timeline.targets import link_names

COMMANDS, CAPTURES = "commands", "captures"  # folders of a run's directory
_HANG_UP_S = 2.0  # from SIGTERM to SIGKILL


class SiteActions:
    """Commands at sites of ``testbed`` and captures of its links; their output goes below ``directory``."""

    def __init__(self, testbed: Testbed, directory: Path, record: Callable[..., None]) -> None:
        self._testbed, self._directory, self._record = testbed, directory, record
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="commands")
        self._starter.submit(time.time_ns).result()  # the thread is there before this one gets real-time priority

    def command(self, its: Occurrence) -> Effect:
        """Start a command at a site; its end is an event ``command-ended``."""
        assert its.event.command is not None
        began_ns, started = time.time_ns(), self._starter.submit(self._start, its)

        def poll() -> int | None:
            if not started.done():
                return None
            started.result()
            return began_ns

        return Effect(poll, lambda: Effect(_end(started.result())), facts={"command": list(its.event.command.run)})

    def _start(self, its: Occurrence) -> subprocess.Popen[bytes]:
        assert its.event.command is not None
        log = self._file(COMMANDS, f"{its.name}.txt")
        create_log(log)
        site = self._testbed.site(its.event.command.site)
        with log.open("wb") as output:
            process = site.spawn(
                its.event.command.run, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        threading.Thread(target=self._await_end, args=(its.name, process), daemon=True).start()
        return process

    def _await_end(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self._record("command-ended", of=name, exit=process.wait())

    def capture(self, its: Occurrence) -> Effect:
        """Start to capture a link."""
        spec = its.event.capture
        assert spec is not None
        file = self._file(CAPTURES, f"{its.name}.pcapng")
        create_log(file)
        (name,) = link_names(its.target, self._testbed.network)
        direction = None if spec.direction == "both" else Direction(spec.direction)
        began_ns = time.time_ns()
        capture = self._testbed.engine_backend.capture(name, direction, file, spec.snap)
        return done(began_ns, lambda: self._stop(its.name, capture))

    def _stop(self, name: str, capture: Capture) -> Effect:
        counts = capture.stop()
        frames, missed = sum(count.frames for count in counts), sum(count.missed for count in counts)
        self._record("capture-ended", of=name, frames=frames, missed=missed, failure=capture.failure)
        return done(time.time_ns())

    def close(self) -> None:
        """End the thread that starts commands. Idempotent."""
        self._starter.shutdown(wait=False, cancel_futures=True)

    def _file(self, folder: str, name: str) -> Path:
        create_directories(self._directory / folder)
        return self._directory / folder / name


def _end(process: subprocess.Popen[bytes]) -> Poll:
    """End a command and all that it has started, by force if it takes too long."""
    kill_at = time.monotonic() + _HANG_UP_S
    _signal(process, signal.SIGTERM)

    def poll() -> int | None:
        if process.returncode is None:  # the thread that waits for it sets it
            if time.monotonic() > kill_at:
                _signal(process, signal.SIGKILL)
            return None
        return time.time_ns()

    return poll


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
