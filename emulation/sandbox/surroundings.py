"""Where this process runs and what it may do: the facts behind a refusal, read from /proc and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

# Bits of CapEff (capabilities(7)). A sandbox needs the first three of whoever is root in it; Docker gives NET_RAW by
# default, Podman does not.
REQUIRED = {"SYS_ADMIN": 21, "NET_ADMIN": 12, "NET_RAW": 13}
_ALL_IDS = "4294967295"  # the length of the initial user namespace's uid_map
_SECCOMP_FILTER = "2"  # proc(5), status


class Host(str, Enum):
    """Who gives this process its permissions."""

    MACHINE = "machine"  # an ordinary login
    GITHUB = "GitHub runner"
    GITHUB_CONTAINER = "container of a GitHub job"
    DOCKER = "Docker"
    PODMAN = "Podman"
    KUBERNETES = "Kubernetes"
    LXC = "LXC"
    OTHER_CONTAINER = "container"

    @property
    def is_container(self) -> bool:
        """Whether the settings to change are those that a container is started with."""
        return self not in (Host.MACHINE, Host.GITHUB)


@dataclass(frozen=True)
class Surroundings:
    """The facts. ``missing``: names of `REQUIRED` that this process lacks; ``filtered``: a seccomp filter is on it;
    ``profile``: its AppArmor profile, empty without one; ``rootless``: root here is another user outside; ``sysctls``:
    those that can forbid namespaces, by path below /proc/sys."""

    root: bool
    host: Host
    missing: tuple[str, ...]
    filtered: bool
    profile: str
    rootless: bool
    sysctls: Mapping[str, str]

    @property
    def in_user_namespace(self) -> bool:
        """Whether a sandbox is created in a user namespace, in which this user has all capabilities."""
        return not self.root or bool(self.missing)


SYSCTLS = (
    *(f"user/max_{kind}_namespaces" for kind in ("user", "net", "mnt", "pid")),
    "kernel/unprivileged_userns_clone",  # Debian's kernels
    "kernel/apparmor_restrict_unprivileged_userns",  # Ubuntu from 23.10 on
)


def surroundings(root: Path = Path("/"), environment: Mapping[str, str] | None = None) -> Surroundings:
    """Read the facts below ``root``, another one in tests."""
    environment = os.environ if environment is None else environment
    status = dict(_pairs(_text(root / "proc/self/status")))
    capabilities = int(status.get("CapEff", "-1"), 16)
    ids = _text(root / "proc/self/uid_map").split()
    found = ((path, _text(root / "proc/sys" / path)) for path in SYSCTLS)
    return Surroundings(
        root=status.get("Uid", "0 0").split()[1] == "0",
        host=_host(root, environment),
        missing=tuple(name for name, bit in REQUIRED.items() if not capabilities >> bit & 1),
        filtered=status.get("Seccomp") == _SECCOMP_FILTER,
        profile=_profile(root),
        rootless=bool(ids) and ids[2] != _ALL_IDS,
        sysctls={path: value for path, value in found if value},
    )


def _host(root: Path, environment: Mapping[str, str]) -> Host:
    """Podman and LXC say themselves what they are (systemd's container interface); Docker leaves a file."""
    named = environment.get("container", "")
    docker, podman = (root / ".dockerenv").exists(), (root / "run/.containerenv").exists() or named == "podman"
    if environment.get("GITHUB_ACTIONS") == "true":
        return Host.GITHUB_CONTAINER if docker or podman else Host.GITHUB
    if "KUBERNETES_SERVICE_HOST" in environment:
        return Host.KUBERNETES
    if podman:
        return Host.PODMAN
    if docker or named == "docker":
        return Host.DOCKER
    if named in ("lxc", "lxc-libvirt"):
        return Host.LXC
    return Host.OTHER_CONTAINER if named else Host.MACHINE


def _profile(root: Path) -> str:
    """``docker-default`` of ``docker-default (enforce)``; empty for ``unconfined``, and where there is no AppArmor (the
    same file then has SELinux's context, with colons)."""
    name, _, mode = _text(root / "proc/self/attr/current").rstrip("\0").partition(" (")
    return name if mode.startswith("enforce") else ""


def _pairs(status: str) -> list[tuple[str, str]]:
    return [(key, value.strip()) for key, _, value in (line.partition(":") for line in status.splitlines())]


def _text(path: Path) -> str:
    """A small file's text; empty where it does not exist or may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
