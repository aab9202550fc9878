"""What is missing for a sandbox here, and which setting gives it: for Docker, Podman, Kubernetes, LXC, GitHub's
runners, Ubuntu's AppArmor, and a machine of one's own. Pure but for `tun_diagnosis`, which opens the device.

A hint names the one setting that is needed, never ``--privileged``, which also opens the host's disks.
"""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path

from helsewan.common.errors import Problem
from helsewan.emulation.sandbox.surroundings import Host, Surroundings

TUN = Path("/dev/net/tun")
_UBUNTU = "kernel/apparmor_restrict_unprivileged_userns"
_SYSCTLS = {  # the values that forbid namespaces, and those to set
    **{f"user/max_{kind}_namespaces": ("0", "15000") for kind in ("user", "net", "mnt", "pid")},
    "kernel/unprivileged_userns_clone": ("0", "1"),
    _UBUNTU: ("1", "0"),
}
_OF_USER_NAMESPACES = frozenset({"user/max_user_namespaces", "kernel/unprivileged_userns_clone", _UBUNTU})


class Setting(Enum):
    """What a container is given by a setting of its own."""

    DEVICE = "the device"
    SECCOMP = "system calls"
    APPARMOR = "mounts, by AppArmor"
    PROC = "all of /proc"


# The setting by who starts the container; others: in words.
_DOCKER_OPTIONS = {
    Setting.DEVICE: f"--device {TUN}",
    Setting.SECCOMP: "--security-opt seccomp=unconfined",
    Setting.APPARMOR: "--security-opt apparmor=unconfined",
    Setting.PROC: "--security-opt systempaths=unconfined",
}
_OPTIONS = {
    Host.DOCKER: _DOCKER_OPTIONS,
    Host.GITHUB_CONTAINER: _DOCKER_OPTIONS,
    Host.PODMAN: {**_DOCKER_OPTIONS, Setting.PROC: "--security-opt unmask=ALL"},
    Host.KUBERNETES: {
        Setting.DEVICE: f"a hostPath volume of {TUN}",
        Setting.SECCOMP: "seccompProfile: {type: Unconfined}",
        Setting.APPARMOR: "appArmorProfile: {type: Unconfined}",
        Setting.PROC: "procMount: Unmasked",
    },
    Host.LXC: {
        Setting.DEVICE: f"`lxc config device add NAME tun unix-char path={TUN}`",
        Setting.SECCOMP: "`lxc config set NAME security.nesting true`",
        Setting.APPARMOR: "`lxc config set NAME security.nesting true`",
        Setting.PROC: "`lxc config set NAME security.nesting true`",
    },
}


def diagnosis(refusal: str, here: Surroundings) -> Problem:
    """Why no sandbox could be created when ``unshare``, or the trial in the new sandbox (`sandbox_trial`), reported
    ``refusal``: the first setting known to forbid it, else the text of ``refusal``."""
    if blocked := _sysctl(here):
        return blocked
    if "mount /proc" in refusal and (here.rootless or not here.missing or not here.root):
        reason = "cannot be mounted, for parts of it are hidden here"
        return Problem("permission", "/proc", reason, _given(here, Setting.PROC))
    if here.root and here.missing:  # with them no user namespace is needed, so nothing else is
        names = " and ".join(f"CAP_{name}" for name in here.missing)
        reason = f"missing, though you are root: {_source(here)}; a user namespace in its place is refused: {refusal}"
        return Problem("permission", names, reason, _capabilities(here))
    if here.profile and ("Permission denied" in refusal or "mount tmpfs" in refusal):
        reason = f"AppArmor's profile forbids it: {refusal}"
        return Problem("permission", here.profile, reason, _given(here, Setting.APPARMOR))
    if here.filtered:
        return _filtered(refusal, here)
    if here.root:
        hint = "look for limits of the service or session (systemd, SELinux)"
    else:
        hint = _as_root(here) if here.host.is_container else "run as root or with sudo"
    return Problem("permission", None, f"no new namespaces: {refusal}", hint)


def denied(what: str, here: Surroundings) -> Problem:
    """Why the kernel refused ``what`` (an operation and its error) in a running sandbox, by what is known here."""
    if here.missing:
        names = " and ".join(f"CAP_{name}" for name in here.missing)
        hint = _capabilities(here) if here.root else "run as root or with sudo"
        return Problem("permission", what, f"needs {names}", hint)
    if here.profile:
        return Problem("permission", what, f"AppArmor's profile {here.profile}", _given(here, Setting.APPARMOR))
    if here.filtered:
        return Problem("permission", what, "a seccomp filter is on this process", _given(here, Setting.SECCOMP))
    return Problem("permission", what, "not permitted here", "`helsewan doctor` shows what this user may do")


def tun_diagnosis(device: Path, here: Surroundings) -> Problem | None:
    """Why the TUN/TAP device cannot be opened; None if it can."""
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        mode = None if isinstance(error, FileNotFoundError) else device.stat().st_mode & 0o777
        return tun_problem(str(device), mode, os.access(device, os.R_OK | os.W_OK), error, here)
    return None


def tun_problem(device: str, mode: int | None, allowed: bool, error: OSError, here: Surroundings) -> Problem:
    """What is wrong with the device, which has ``mode`` (None: it does not exist) and could not be opened though it is
    ``allowed`` by the mode, or because it is not."""
    if mode is None:
        hint = _given(here, Setting.DEVICE) if here.host.is_container else "sudo modprobe tun"
        return Problem("device", device, "does not exist", hint)
    if allowed:  # a device cgroup refuses, or the module is not there
        hint = _given(here, Setting.DEVICE) if here.host.is_container else "sudo modprobe tun"
        return Problem("device", device, f"cannot be opened: {error.strerror}", hint)
    hint = {
        Host.MACHINE: f"sudo chmod 0666 {device}, or run as root or with sudo",
        Host.GITHUB: f"a step before: sudo chmod 0666 {device}; or run with sudo",
    }.get(here.host, f"sudo chmod 0666 {device}, or run as root in the container (--user 0)")
    return Problem("device", device, f"has mode {mode:04o}, not 0666", hint)


def _sysctl(here: Surroundings) -> Problem | None:
    """The first sysctl that forbids what this user needs; those of user namespaces only where one is needed, and not to
    root where the capabilities are the shorter way."""
    for path, (forbidding, wanted) in _SYSCTLS.items():
        if here.sysctls.get(path) != forbidding:
            continue
        if path in _OF_USER_NAMESPACES and here.root:
            continue
        name = path.replace("/", ".")
        command = f"sudo sysctl {name}={wanted}"
        hint = {
            Host.MACHINE: f"{command}, or run with sudo",
            Host.GITHUB: f"a step before: {command}; or run with sudo",
        }.get(here.host, f"on the host: {command}; or {_as_root(here)}")
        return Problem("setting", f"{name} = {forbidding}", "forbids it", hint)
    return None


def _filtered(refusal: str, here: Surroundings) -> Problem:
    hint = _given(here, Setting.SECCOMP)
    if not here.root:
        hint = f"{_as_root(here)}, or {hint}" if here.host.is_container else f"run with sudo, or {hint}"
    return Problem("permission", "seccomp", f"a filter is on this process: {refusal}", hint)


def _source(here: Surroundings) -> str:
    return f"{here.host.value}'s limit" if here.host.is_container else "this session's limit"


def _capabilities(here: Surroundings) -> str:
    """How to get those that are missing, with AppArmor out of the way where its profile forbids mounts."""
    added = _added(here, here.missing)
    if here.profile and here.host.is_container:
        added += ("," if here.host is Host.KUBERNETES else "") + f" {_option(here, Setting.APPARMOR)}"
    return added


def _added(here: Surroundings, names: tuple[str, ...]) -> str:
    """The setting that adds capabilities."""
    match here.host:
        case Host.KUBERNETES:
            return f"securityContext: {{capabilities: {{add: [{', '.join(names)}]}}}}"
        case Host.LXC:
            return "`lxc config set NAME security.nesting true`"
        case Host.GITHUB_CONTAINER:
            return "container: {options: " + " ".join(f"--cap-add {name}" for name in names) + "} in the workflow"
        case Host.DOCKER | Host.PODMAN | Host.OTHER_CONTAINER:
            return "start the container with " + " ".join(f"--cap-add {name}" for name in names)
    listed = " and ".join(f"CAP_{name}" for name in names)
    return f"run with {listed}: look for CapabilityBoundingSet= of the service, or capsh --print"


def _as_root(here: Surroundings) -> str:
    """What an ordinary user of a container does: added capabilities are root's alone."""
    return f"run as root in the container (--user 0): {_added(here, ('SYS_ADMIN', 'NET_ADMIN', 'NET_RAW'))}"


def _given(here: Surroundings, setting: Setting) -> str:
    """How to start the container with a setting; on a machine, where nobody starts one, what to look at."""
    if not here.host.is_container:
        return "look for limits of the service or session (systemd, SELinux)"
    if here.host is Host.LXC:
        return _option(here, setting)
    if here.host is Host.GITHUB_CONTAINER:
        return f"container: {{options: {_option(here, setting)}}} in the workflow"
    return f"start the container with {_option(here, setting)}"


def _option(here: Surroundings, setting: Setting) -> str:
    return _OPTIONS.get(here.host, _DOCKER_OPTIONS)[setting]
