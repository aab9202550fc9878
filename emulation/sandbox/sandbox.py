"""A sandbox: the set of namespaces that one run executes in, and the checks of the host's prerequisites.

``unshare`` creates the namespaces and the sandbox's first process; all other processes of the run descend from
it. When it ends, for whatever reason, the kernel removes the rest: processes with the pid namespace,
interfaces with the network namespaces, mounts with the mount namespace.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from helsewan.common.errors import InputError, MissingPrivilege, Problem
from helsewan.emulation.sandbox import continuation
from helsewan.emulation.sandbox.namespaces import mount_namespace, mount_tmpfs
from helsewan.emulation.sandbox.sandbox_diagnosis import diagnosis, tun_diagnosis

RUN_DIR = Path("/run/helsewan")  # on a tmpfs private to the sandbox, which hides the host's own /run
TUN = Path("/dev/net/tun")
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

    For an ordinary user it also creates a user namespace, in which the sandbox's processes are root.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    flags = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *user, *flags, *argv]


def inhabit() -> None:
    """Continue this program in a new sandbox; the code before the call runs once. Does nothing in a thread that is in
    one already.

    A program with one thread continues in a child process, and the kernel ends everything with it. One with several
    (a notebook's kernel, a worker of pytest-xdist) goes on where it is: the calling thread, and those it starts from
    then on, are in the sandbox, the others are not. This takes root's privileges.

    Raises InputError where no sandbox can be created."""
    if inside():
        return
    require()
    user = os.geteuid() != 0
    try:
        if continuation.has_threads():
            continuation.continue_in_thread()
        else:
            continuation.continue_in_child(user)
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


def hides(path: Path) -> bool:
    """Whether ``path`` is not visible inside a sandbox."""
    return path.resolve().is_relative_to(RUN_DIR.parent.resolve())


def require() -> None:
    """Raise InputError naming every program and permission that a sandbox requires and this machine lacks;
    MissingPrivilege where only permissions are missing."""
    problems = [
        Problem("program", name, "is not installed", f"install the package {package}, or run `make setup`")
        for name, package in PROGRAMS.items()
        if shutil.which(name, path=_path()) is None
    ]
    problems += [
        Problem("installation", str(path), f"is below {RUN_DIR.parent}, which a run hides", "install it elsewhere")
        for path in {Path(__file__).parents[2], Path(sys.prefix)}
        if hides(path)
    ]
    denied = [problem] if (problem := tun_diagnosis(TUN)) else []
    if not problems and not denied and (refusal := _refusal()):
        denied.append(diagnosis(refusal, root=os.geteuid() == 0))
    if problems:
        raise InputError(*problems, *denied)
    if denied:
        raise MissingPrivilege(*denied)


def enter() -> None:
    """Mount a private /run and raise RLIMIT_NOFILE to its maximum. Called in the sandbox's first process."""
    mount_tmpfs(RUN_DIR.parent)
    _entered.add(mount_namespace())
    RUN_DIR.mkdir(mode=0o700)
    os.environ["PATH"] = _path()
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


def _path() -> str:
    """The search path, with the directories of administration programs added, which users often lack."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"


def _refusal() -> str:
    """Why this user cannot create a sandbox; empty if they can. Creates one, as that is the only reliable test."""
    tried = subprocess.run(command(["true"]), capture_output=True, text=True, check=False)
    return (tried.stderr.strip() or f"exit status {tried.returncode}") if tried.returncode else ""
