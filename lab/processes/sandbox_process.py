"""Starts a sandbox with a job; interrupts it in an orderly way, and kills it only if it does not end by itself.

The sandbox's first process gets its job as a pickle in an anonymous file (memfd), written and read by this program
only. It starts with interrupts blocked until it can handle them. Interrupts from the terminal reach it through its
parent only. If its parent has ended, its standard input is closed.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from helsewan.common.exit_codes import ExitCode
from helsewan.common.terminal.standard_streams import terminal_restored
from helsewan.emulation.sandbox import sandbox

WORKING_DIR = "/"  # ``python -m`` searches modules there first, so it must not be a directory of the user
FIRST_PROCESS = "helsewan.lab.processes.first_process"
GRACE_S = 15.0  # for the sandbox to end by itself after an interrupt
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts() -> Iterator[None]:
    """Within the block SIGTERM raises KeyboardInterrupt as Ctrl-C does; the previous handlers are restored at its
    end."""
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    handle_interrupts(signal.default_int_handler)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def handle_interrupts(action: signal._HANDLER) -> None:
    """Set the handler of interrupts; those that this process was started with ignored stay ignored."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, action)


def run_in_sandbox(module: str, job: object, pass_fds: Sequence[int] = ()) -> int:
    """Run ``MODULE.main(DESCRIPTOR)`` in the first process of a new sandbox until it ends or is interrupted.

    ``job`` is the value that ``read_job(DESCRIPTOR)`` returns there; ``pass_fds`` are inherited with the same numbers.
    Returns the exit status, or minus the signal that killed it, or INTERRUPTED where a second interrupt did. The
    terminal is then as it was before."""
    with terminal_restored():
        return _run_in_sandbox(module, job, pass_fds)


def _run_in_sandbox(module: str, job: object, pass_fds: Sequence[int]) -> int:
    file = os.memfd_create("helsewan-job")
    with open(os.dup(file), "wb") as writing:
        pickle.dump(job, writing)
    os.lseek(file, 0, os.SEEK_SET)
    debug = ["--debug"] if getattr(job, "debug", False) else []
    argv = sandbox.command([sys.executable, "-m", FIRST_PROCESS, module, str(file), *debug])
    early: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    # The mask is inherited by the sandbox. In this process a library's thread may still receive the signal, and Popen
    # must not be interrupted halfway: nothing would then end the sandbox.
    handle_interrupts(lambda number, _: early.append(number))
    try:
        fds = [file, *pass_fds]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=fds, cwd=WORKING_DIR, start_new_session=True)
    finally:
        os.close(file)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        handle_interrupts(signal.default_int_handler)
        return _interrupt(process) if early else process.wait()
    except KeyboardInterrupt:
        return _interrupt(process)


def ending(status: int) -> str:
    """How the sandbox's first process ended, by the status that ``run_in_sandbox`` returned."""
    if status == 1:  # unshare(1) returns it when its child was killed by SIGKILL
        return "killed, or not started"
    if status == ExitCode.INTERNAL_ERROR:
        return "an internal error"
    if status == ExitCode.MISSING_PRIVILEGE:
        return "a missing privilege"
    if status == ExitCode.INTERRUPTED:
        return "killed by a second interrupt"
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _interrupt(process: subprocess.Popen[bytes]) -> int:
    """Ask the sandbox to end; kill it when it takes longer than GRACE_S or at a second interrupt."""
    again = False
    try:
        if process.stdin is not None:
            process.stdin.close()  # noticed also by a sandbox that is not far enough to get the signal
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        return process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pass
    except KeyboardInterrupt:
        again = True
    handle_interrupts(signal.SIG_IGN)
    process.kill()
    status = process.wait()
    return ExitCode.INTERRUPTED if again and status < 0 else status


def read_job(descriptor: int) -> object:
    """The job of this process, the sandbox's first."""
    with os.fdopen(descriptor, "rb") as file:
        return pickle.load(file)


def orphaned() -> bool:
    """Whether the parent, which holds the other end of standard input, ended before this process was set to end with
    it."""
    poll = select.poll()
    poll.register(sys.stdin, 0)  # POLLHUP is always reported
    return bool(poll.poll(0))


@contextmanager
def interruptible() -> Iterator[None]:
    """In the sandbox's first process: unblock interrupts within the block, and block them again at its end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
