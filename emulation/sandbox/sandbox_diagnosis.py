"""Which setting of the machine prevents a user from creating a sandbox, and how to change it."""

from __future__ import annotations

import os
from pathlib import Path

from helsewan.common.errors import Problem

CAP_SYS_ADMIN = 21  # capabilities(7)
_SECCOMP_FILTER = "2"  # proc(5), status
_NAMESPACES = ("user", "net", "mnt", "pid")
_CONTAINER = "start the container with --privileged"


def diagnosis(refusal: str, root: bool, proc: Path = Path("/proc")) -> Problem:
    """Why no sandbox could be created when ``unshare`` reported ``refusal``, for root or an ordinary user: the first
    setting known to forbid it, else the text of ``refusal``."""
    for kind in _NAMESPACES:
        if _setting(proc, f"user/max_{kind}_namespaces") == "0" and (not root or kind != "user"):
            return _sysctl(f"user.max_{kind}_namespaces", "0", "15000")
    if not root and _setting(proc, "kernel/unprivileged_userns_clone") == "0":  # Debian's kernels
        return _sysctl("kernel.unprivileged_userns_clone", "0", "1")
    if not root and _setting(proc, "kernel/apparmor_restrict_unprivileged_userns") == "1":  # Ubuntu from 23.10 on
        return _sysctl("kernel.apparmor_restrict_unprivileged_userns", "1", "0")
    if "mount /proc" in refusal:
        hint = f"{_CONTAINER}, or with --security-opt systempaths=unconfined"
        return Problem("permission", "/proc", "cannot be mounted, for parts of it are hidden here", hint)
    status = _status(proc)
    if root and not int(status.get("CapEff", "-1"), 16) >> CAP_SYS_ADMIN & 1:
        return Problem(
            "permission", "CAP_SYS_ADMIN", "is missing, though you are root: a container's limit", _CONTAINER
        )
    if status.get("Seccomp") == _SECCOMP_FILTER:
        hint = f"{_CONTAINER}, or with --security-opt seccomp=unconfined"
        return Problem("permission", "seccomp", f"a filter is on this process, and no namespaces: {refusal}", hint)
    return Problem(
        "permission", None, f"no new namespaces: {refusal}", _CONTAINER if root else "run as root or with sudo"
    )


def tun_diagnosis(device: Path) -> Problem | None:
    """Why the TUN/TAP device cannot be opened; None if it can."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        hint = "sudo modprobe tun; in a container, start it with --device /dev/net/tun"
        return Problem("device", str(device), "does not exist", hint)
    except OSError as error:
        mode = device.stat().st_mode & 0o777
        if not os.access(device, os.R_OK | os.W_OK):
            reason, hint = f"has mode {mode:04o}, not 0666", f"sudo chmod 0666 {device}, or run as root or with sudo"
        else:
            reason, hint = f"cannot be opened: {error.strerror}", f"{_CONTAINER}, or with --device /dev/net/tun"
        return Problem("device", str(device), reason, hint)
    return None


def _sysctl(name: str, value: str, wanted: str) -> Problem:
    return Problem("setting", f"{name} = {value}", "forbids it", f"sudo sysctl {name}={wanted}, or run with sudo")


def _setting(proc: Path, path: str) -> str | None:
    """A sysctl's value; None where the kernel does not have it."""
    try:
        return (proc / "sys" / path).read_text(encoding="ascii").strip()
    except OSError:
        return None


def _status(proc: Path) -> dict[str, str]:
    """The fields of this process's /proc/self/status (proc(5))."""
    lines = (proc / "self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
