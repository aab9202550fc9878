"""A world: the set of namespaces one run lives in, and what the machine must offer for it.

``unshare`` makes the namespaces and the world's first process; everything of the run descends from
that process. When it ends, however it ends, the kernel ends the rest: processes with the pid
namespace, interfaces with the network namespaces, mounts with the mount namespace.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from helsewan.common.errors import InputError, Problem
from helsewan.emulation.sandbox.namespaces import mount_tmpfs
from helsewan.emulation.sandbox.sandbox_diagnosis import diagnosis, tun_diagnosis

RUN_DIR = Path("/run/helsewan")  # on a tmpfs that only this world sees, and that hides the machine's own /run
TUN = Path("/dev/net/tun")
_INHABITED = "HELSEWAN_INHABITED"  # in the environment of a program that was started again

# What a world needs of the system, and the Debian package each comes in.
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
    """``argv`` as the first process of a new world that dies with the calling thread.

    As an ordinary user a user namespace comes first, in which the world's processes are root.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    flags = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL"]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *user, *flags, *argv]


def inhabit() -> None:
    """Go on in a world of one's own: the program is started again in it, with the same arguments, input and output,
    and this call returns there only. Raises InputError where there can be no world."""
    if os.environ.pop(_INHABITED, None):
        enter()
        return
    require()
    argv = command([sys.executable, *sys.orig_argv[1:]])
    os.execvpe(argv[0], argv, {**os.environ, _INHABITED: "yes"})


def hides(path: Path) -> bool:
    """Whether ``path`` would be out of sight inside a world."""
    return path.resolve().is_relative_to(RUN_DIR.parent.resolve())


def require() -> None:
    """Raise InputError naming every program and permission that a world would miss on this machine."""
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
    if problem := tun_diagnosis(TUN):
        problems.append(problem)
    if not problems and (refusal := _refusal()):
        problems.append(diagnosis(refusal, root=os.geteuid() == 0))
    if problems:
        raise InputError(*problems)


def enter() -> None:
    """Furnish the world from inside its first process: a private /run and as many files as may be."""
    mount_tmpfs(RUN_DIR.parent)
    RUN_DIR.mkdir(mode=0o700)
    os.environ["PATH"] = _path()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def require_files(count: int) -> None:
    """Let this process and those it starts have ``count`` files open. Raises InputError where the limit forbids it."""
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
    """The search path with the administrator's programs in it, which users often lack."""
    return os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin"


def _refusal() -> str:
    """Why this user may not make a world; empty when it works. Making one is the only sure test."""
    tried = subprocess.run(command(["true"]), capture_output=True, text=True, check=False)
    return (tried.stderr.strip() or f"exit status {tried.returncode}") if tried.returncode else ""
