"""A sandbox with a job: started, interrupted in order, and killed only if it does not end by itself.

The world's first process gets its job as a pickle in an anonymous file; only this program writes or reads it. It holds
its first interrupt back until it can answer, hears of the terminal's through its parent only, and knows by its
standard input whether the parent was still there when it began.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from helsewan.emulation.sandbox import sandbox

ANYWHERE = "/"  # ``python -m`` looks for modules in its directory first: not in one of the user's
GRACE_S = 15.0  # for the world to end in order after an interrupt
INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interrupts() -> Iterator[None]:
    """Meanwhile SIGTERM is an interrupt as Ctrl-C is; what the caller made of both holds again afterwards."""
    before = {number: signal.getsignal(number) for number in INTERRUPTS}
    answer_interrupts(signal.default_int_handler)
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def answer_interrupts(action: signal._HANDLER) -> None:
    """Answer interrupts with ``action``, but for those that whoever started us wants ignored."""
    for number in INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, action)


def run_in_sandbox(module: str, job: object, pass_fds: Sequence[int] = ()) -> int:
    """Run ``python -m MODULE DESCRIPTOR`` as the first process of a new world, to its end or an interrupt; returns
    its exit status, or -signal. ``job`` is what ``read_job(DESCRIPTOR)`` gives there; ``pass_fds`` keep their
    numbers."""
    file = os.memfd_create("helsewan-job")
    with open(os.dup(file), "wb") as writing:
        pickle.dump(job, writing)
    os.lseek(file, 0, os.SEEK_SET)
    argv = sandbox.command([sys.executable, "-m", module, str(file)])
    early: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    # The mask is for the world to inherit. Here a library's thread may take the signal in spite of it, and Popen must
    # not be left halfway: the world would have nobody to tell it.
    answer_interrupts(lambda number, _: early.append(number))
    try:
        fds = [file, *pass_fds]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=fds, cwd=ANYWHERE, start_new_session=True)
    finally:
        os.close(file)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        answer_interrupts(signal.default_int_handler)
        return _interrupt(process) if early else process.wait()
    except KeyboardInterrupt:
        return _interrupt(process)


def ending(status: int) -> str:
    """What ``run_in_sandbox``'s status says of how the world's first process ended."""
    if status == 1:  # of unshare(1) when its child was killed with signal 9, which it fails to pass on
        return "killed, or unable to begin"
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def _interrupt(process: subprocess.Popen[bytes]) -> int:
    """Let the world end in order; end it by force when that takes long or the user asks again."""
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        if process.stdin is not None:
            process.stdin.close()  # a world that has not begun yet misses the signal, but not this
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        return process.wait(GRACE_S)
    answer_interrupts(signal.SIG_IGN)
    process.kill()
    return process.wait()


def read_job(descriptor: int) -> object:
    """In the world's first process: its job."""
    with os.fdopen(descriptor, "rb") as file:
        return pickle.load(file)


def orphaned() -> bool:
    """Whether who holds the other end of our standard input ended before the kernel knew to end us with it."""
    poll = select.poll()
    poll.register(sys.stdin, 0)  # a hang-up is told unasked
    return bool(poll.poll(0))


@contextmanager
def interruptible() -> Iterator[None]:
    """In the world's first process: interrupts, held back so far, get through meanwhile and not afterwards."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
