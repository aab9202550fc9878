"""Runs programs at sites: one thread starts them when they are due, keeps their output, and ends them on time.

A program leads a session of its own. What it started is ended with it, also what has left that session: everything that
inherited its mark in the environment.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from helsewan.common.ownership import create_directories, create_file
from helsewan.common.run_clock import RunClock
from helsewan.emulation.sandbox.procfs import PROC
from helsewan.lab.programs.records import Ending, ProgramResult, SiteProgram

MOST_BYTES = 1_000_000  # of either output that a file keeps
STDOUT, STDERR = "stdout.txt", "stderr.txt"
MARK = "HELSEWAN_PROGRAM"
GRACE_NS = 1_000_000_000  # from SIGTERM to SIGKILL
_CHUNK = 65_536


class Node(Protocol):
    """A site, as far as programs need it."""

    def spawn(self, argv: Sequence[str], **params: Any) -> subprocess.Popen[Any]:
        """Start a process at the site, with ``Popen``'s arguments."""


@dataclass
class _Output:
    """One of a program's outputs: what comes from ``source`` goes to ``file``, up to ``MOST_BYTES``."""

    source: int
    file: int
    seen: int = 0

    def read(self) -> int | None:
        """Take over what has come; returns how many bytes, 0 at the end, None if there are none now."""
        try:
            data = os.read(self.source, _CHUNK)
        except BlockingIOError:
            return None
        if data and self.seen < MOST_BYTES:
            with suppress(OSError):  # a full disk costs output, not the run
                os.write(self.file, data[: MOST_BYTES - self.seen])
        self.seen += len(data)
        return len(data)

    def close(self) -> None:
        os.close(self.source)
        os.close(self.file)


@dataclass
class _Running:
    """A program that was started."""

    program: SiteProgram
    process: subprocess.Popen[bytes]
    pidfd: int
    mark: bytes
    begin_us: int
    until_ns: int | None
    outputs: list[_Output]
    ending: Ending = Ending.EXITED
    kill_ns: int | None = None

    @property
    def next_ns(self) -> int | None:
        """When something is to be done with it next."""
        return self.kill_ns if self.ending is not Ending.EXITED else self.until_ns

    def signal(self, number: int) -> None:
        """Signal the program and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        for pid in _marked(self.mark):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _marked(mark: bytes) -> Iterator[int]:
    """The processes with ``mark`` in the environment that they were started with."""
    for directory in PROC.iterdir():
        if directory.name.isdigit():
            with suppress(OSError):  # it ended, or is none of ours
                if mark in (directory / "environ").read_bytes().split(b"\0"):
                    yield int(directory.name)


@dataclass
class ProgramEngine:
    """The programs of a run, at the nodes that ``node_of`` finds by site id. Each has a directory of its own in
    ``folder``, named like it, with its outputs; it is the program's working directory."""

    programs: Sequence[SiteProgram]
    node_of: Callable[[str], Node]
    folder: Path
    _results: list[ProgramResult] = field(default_factory=list)
    _running: list[_Running] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _error: BaseException | None = None

    def __post_init__(self) -> None:
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._stopping = self._closed = False
        self._waiting = sorted(self.programs, key=lambda program: program.at_us, reverse=True)

    @property
    def results(self) -> tuple[ProgramResult, ...]:
        """What became of the programs, in the order of ``programs``; complete after `stop`."""
        order = {program.name: number for number, program in enumerate(self.programs)}
        return tuple(sorted(self._results, key=lambda result: order[result.program.name]))

    def start(self, epoch_ns: int) -> None:
        """Begin: the programs' time 0 is ``epoch_ns`` (CLOCK_REALTIME)."""
        if not self.programs:
            return
        self._epoch_ns, self._clock = epoch_ns, RunClock()
        self._thread = threading.Thread(target=self._run, name="programs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all programs, and wait for it. Raises the error that ended this engine before, if any."""
        self._stopping = True
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def close(self) -> None:
        """Stop, and give up everything. Idempotent."""
        if self._closed:
            return
        self.stop()
        self._closed = True
        self._selector.close()
        os.close(self._wake)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error
            for running in self._running:
                running.signal(signal.SIGKILL)

    def _work(self) -> None:
        while self._running or (self._waiting and not self._stopping):
            self._start_due()
            self._end_due()
            ready = [key for key, _ in self._selector.select(self._pause_s())]
            # Outputs first: a program that has ended takes its own with it.
            for key in sorted(ready, key=lambda key: not isinstance(key.data, _Output)):
                if key.fd == self._wake:
                    os.eventfd_read(self._wake)
                elif isinstance(key.data, _Output):
                    if key.data.read() == 0:
                        self._selector.unregister(key.fd)
                else:
                    self._ended(key.data)
        now_us = self._now_us()
        for program in reversed(self._waiting):
            self._results.append(
                ProgramResult(program, Ending.NOT_STARTED, now_us, now_us, None, error="the run ended")
            )

    def _now_us(self) -> int:
        return (self._clock.now_ns() - self._epoch_ns) // 1000

    def _pause_s(self) -> float | None:
        """Until something is due; None: until something happens."""
        times = [at_ns for each in self._running if (at_ns := each.next_ns) is not None]
        if self._waiting and not self._stopping:
            times.append(self._epoch_ns + self._waiting[-1].at_us * 1000)
        return max((min(times) - self._clock.now_ns()) / 1e9, 0) if times else None

    def _start_due(self) -> None:
        while self._waiting and not self._stopping and self._now_us() >= self._waiting[-1].at_us:
            program = self._waiting.pop()
            begin_us = self._now_us()
            try:
                self._running.append(self._started(program, begin_us))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                self._results.append(ProgramResult(program, Ending.NOT_STARTED, begin_us, begin_us, None, error=reason))

    def _started(self, program: SiteProgram, begin_us: int) -> _Running:
        folder = self.folder / program.name
        create_directories(folder)
        mark = f"{os.getpid()}:{program.name}"
        outputs: list[_Output] = []
        writers: list[int] = []
        try:
            for name in (STDOUT, STDERR):
                source, writer = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(source, False)
                writers.append(writer)
                outputs.append(_Output(source, create_file(folder / name, mode=0o644)))
            process = self.node_of(program.site).spawn(
                program.argv,
                stdin=subprocess.DEVNULL,
                stdout=writers[0],
                stderr=writers[1],
                cwd=folder,
                env={**os.environ, MARK: mark},
                start_new_session=True,
            )
        except BaseException:
            for output in outputs:
                output.close()
            raise
        finally:
            for writer in writers:
                os.close(writer)
        pidfd = os.pidfd_open(process.pid)
        until_ns = None
        if program.timeout_us is not None:
            until_ns = self._epoch_ns + (begin_us + program.timeout_us) * 1000
        running = _Running(program, process, pidfd, f"{MARK}={mark}".encode(), begin_us, until_ns, outputs)
        self._selector.register(pidfd, selectors.EVENT_READ, running)
        for output in outputs:
            self._selector.register(output.source, selectors.EVENT_READ, output)
        return running

    def _end_due(self) -> None:
        """End those whose time is over, or all when the run is."""
        now_ns = self._clock.now_ns()
        for running in self._running:
            if running.ending is not Ending.EXITED:
                if running.kill_ns is not None and now_ns >= running.kill_ns:
                    running.kill_ns = None
                    running.signal(signal.SIGKILL)
            elif self._stopping or (running.until_ns is not None and now_ns >= running.until_ns):
                running.ending = Ending.RUN if self._stopping else Ending.TIMEOUT
                running.kill_ns = now_ns + GRACE_NS
                running.signal(signal.SIGTERM)

    def _ended(self, running: _Running) -> None:
        """A program has ended: end what it left behind, take the rest of its output."""
        status = running.process.wait()
        end_us = self._now_us()
        running.signal(signal.SIGKILL)
        self._selector.unregister(running.pidfd)
        os.close(running.pidfd)
        for output in running.outputs:
            while output.read():
                pass
            with suppress(KeyError):  # its end was seen before
                self._selector.unregister(output.source)
            output.close()
        self._running.remove(running)
        stdout, stderr = (output.seen for output in running.outputs)
        code = status if status >= 0 else 128 - status
        self._results.append(
            ProgramResult(running.program, running.ending, running.begin_us, end_us, code, stdout, stderr)
        )
