"""Exit codes of the command line and of the processes that it starts, and the code of an error."""

from __future__ import annotations

import errno
from enum import IntEnum

from helsewan.common.errors import InputError, MissingPrivilege


class ExitCode(IntEnum):
    """A command's exit status. A command that runs another (`helsewan exec`) exits with that one's status.

    Those from 64 on have the numbers of BSD's sysexits(3), clear of what a command, pytest or a shell returns."""

    PASS = 0  # done; every check passed, every claim proved
    FAIL = 1  # done; a check failed, a policy is violated, frames are missing from a capture
    BAD_INPUT = 2  # nothing was done: a file, an option, or a program or library that this machine lacks
    VOID = 3  # no result: the machine could not keep up, or a part of the emulation broke; trying again may help
    INTERNAL_ERROR = 70  # EX_SOFTWARE: a defect of helsewan; trying again does not help
    MISSING_PRIVILEGE = 77  # EX_NOPERM: nothing was done: this user, container or device does not permit it
    INTERRUPTED = 130  # by Ctrl-C: 128 + SIGINT, as shells report it


_DENIED = frozenset({errno.EPERM, errno.EACCES})


def is_denied(error: BaseException) -> bool:
    """Whether the kernel refused something for lack of a privilege."""
    return isinstance(error, MissingPrivilege) or (isinstance(error, OSError) and error.errno in _DENIED)


def is_missing_library(error: BaseException) -> bool:
    """Whether another project's library, or an extension that was not built, cannot be imported."""
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "helsewan"


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code of an error that ended a command: the one that it carries (``exit_code``), or that of its type.

    Only an error for which the machine or a process is to blame is VOID: one of the operating system (OSError,
    MemoryError, EOFError) or one with a name of its own that derives from RuntimeError (`EngineError`,
    `ControllerFailed` ...). Everything else, a bare RuntimeError too, no code meant to raise: INTERNAL_ERROR."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    carried = getattr(error, "exit_code", None)
    if isinstance(carried, ExitCode):
        return carried
    if is_denied(error):
        return ExitCode.MISSING_PRIVILEGE
    if isinstance(error, InputError) or is_missing_library(error):
        return ExitCode.BAD_INPUT
    if isinstance(error, (OSError, MemoryError, EOFError)):
        return ExitCode.VOID
    is_named = isinstance(error, RuntimeError) and type(error).__module__ != "builtins"
    return ExitCode.VOID if is_named else ExitCode.INTERNAL_ERROR
