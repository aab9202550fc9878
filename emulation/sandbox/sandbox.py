"""A sandbox: the set of namespaces that one run executes in, and the checks of the host's prerequisites.

``unshare`` creates the namespaces and the sandbox's first process; all other processes of the run descend from
it. When it ends, for whatever reason, the kernel removes the rest: processes with the pid namespace,
interfaces with the network namespaces, mounts with the mount namespace.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from helsewan.common.errors import InputError, MissingPrivilege, Problem
from helsewan.common.exit_codes import is_denied
from helsewan.emulation.sandbox import continuation
from helsewan.emulation.sandbox.namespaces import mount_namespace, mount_tmpfs
from helsewan.emulation.sandbox.sandbox_diagnosis import TUN, denied, diagnosis, tun_diagnosis
from helsewan.emulation.sandbox.surroundings import surroundings

RUN_DIR = Path("/run/helsewan")  # on a tmpfs private to the sandbox, which hides the host's own /run
_entered: set[str] = set()  # mount namespaces of the sandboxes that this program entered

# Programs that a sandbox requires, and the Debian package that contains each.
PROGRAMS = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ovs-vswitchd": "openvswitch-switch",
    "ovsdb-server": "openvswitch-common",
    "ovsdb-tool": "openvswitch-common",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-appctl": "openvswitch-common",
    "ovs-ofctl": "openvswitch-common",
}


def command(argv: Sequence[str]) -> list[str]:
    """The command that runs ``argv`` as the first process of a new sandbox, which ends with the calling thread.

    For an ordinary user, and for root without the capabilities (in a container, mostly), it also creates a user
    namespace, in which the sandbox's processes are root and have all of them.
    """
    user = ["--user", "--map-root-user"] if surroundings().in_user_namespace else []
    flags = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *user, *flags, *argv]


def inhabit() -> None:
    """Continue this program in a new sandbox; the code before the call runs once. Does nothing in a thread that is in
    one already.

    A program with one thread continues in a child process, and the kernel ends everything with it. One with several
    (a notebook's kernel, a worker of pytest-xdist) goes on where it is: the calling thread, and those it starts from
    then on, are in the sandbox, the others are not. This takes root's privileges.

    In a child process SIGTERM and SIGHUP raise KeyboardInterrupt where the program has no handlers for them.

    Raises InputError where no sandbox can be created."""
    if inside():
        return
    require()
    user = surroundings().in_user_namespace
    try:
        if continuation.has_threads():
            continuation.continue_in_thread()
        else:
            continuation.continue_in_child(user)
            _interrupt_by(signal.SIGTERM, signal.SIGHUP)
    except PermissionError as error:
        reason = "has other threads already, and only root can move one thread into a sandbox"
        hint = "call sandbox.inhabit() before threads start, or start the program as root"
        raise InputError(Problem("sandbox", Path(sys.argv[0]).name or "this program", reason, hint)) from error
    enter()


def inside() -> bool:
    """Whether the calling thread is in a sandbox of this program."""
    return mount_namespace() in _entered


def require_inside() -> None:
    """Raise InputError unless the calling thread is in a sandbox."""
    if not inside():
        hint = "call helsewan.emulation.sandbox.sandbox.inhabit() first, in this thread or before it is started"
        raise InputError(Problem("sandbox", None, "this thread is in none", hint))


def _interrupt_by(*numbers: signal.Signals) -> None:
    """Let these signals interrupt the program as Ctrl-C does, so that it can clean up. By default the first process of
    a pid namespace would ignore them."""
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


def hides(path: Path) -> bool:
    """Whether ``path`` is not visible inside a sandbox."""
    return path.resolve().is_relative_to(RUN_DIR.parent.resolve())


def require() -> None:
    """Raise InputError naming every program and permission that a sandbox requires and this machine lacks;
    MissingPrivilege where only permissions are missing."""
    problems = [
        Problem("program", name, "is not installed", f"install the package {package}, or run `make setup`")
        for name, package in PROGRAMS.items()
        if shutil.which(name, path=search_path()) is None
    ]
    problems += [
        Problem("installation", str(path), f"is below {RUN_DIR.parent}, which a run hides", "install it elsewhere")
        for path in {Path(__file__).parents[2], Path(sys.prefix)}
        if hides(path)
    ]
    here = surroundings()
    lacking = [problem] if (problem := tun_diagnosis(TUN, here)) else []
    if not problems and (refusal := _refusal(with_tap=not lacking)):
        lacking.append(diagnosis(refusal, here))
    if problems:
        raise InputError(*problems, *lacking)
    if lacking:
        raise MissingPrivilege(*lacking)


def explained(error: BaseException) -> str:
    """What an error says, in one line; where the kernel refused something, also which setting of this machine or
    container gives it."""
    if isinstance(error, OSError) and is_denied(error):
        if error.errno == errno.EACCES and error.filename:  # a file's mode, which no setting of a container changes
            return str(Problem("permission", str(error.filename), str(error.strerror), "run as its owner, or as root"))
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        return str(denied(what, surroundings()))
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def enter() -> None:
    """Mount a private /run and raise RLIMIT_NOFILE to its maximum. Called in the sandbox's first process."""
    mount_tmpfs(RUN_DIR.parent)
    _entered.add(mount_namespace())
    RUN_DIR.mkdir(mode=0o700)
    os.environ["PATH"] = search_path()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def require_files(count: int) -> None:
    """Let this process and its children have ``count`` files open. Raises InputError where the hard limit is lower."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard >= count:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
    except (ValueError, OSError):
        reason = f"are too few: this network takes {count} in one process"
        hint = "raise the hard limit (ulimit -Hn), or use fewer sites"
        raise InputError(Problem("open files", hard, reason, hint)) from None


def search_path() -> str:
    """The search path, with the directories of administration programs added, which users often lack."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"


def _refusal(with_tap: bool) -> str:
    """Why this user cannot create a sandbox and use it; empty if they can. Tries it, as that is the only reliable
    test."""
    trial = [sys.executable, "-I", "-S", str(Path(__file__).with_name("sandbox_trial.py"))]
    argv = command(trial if with_tap else [*trial, "no-tap"])
    tried = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/")
    said = " ".join(tried.stderr.split())
    return (said or f"exit status {tried.returncode}") if tried.returncode else ""
