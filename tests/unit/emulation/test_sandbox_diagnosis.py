"""What is missing for a sandbox is named with the setting that gives it, for whoever gives permissions here."""

from __future__ import annotations

import errno
import re
from pathlib import Path

import pytest

from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.sandbox_diagnosis import denied, diagnosis, tun_diagnosis, tun_problem
from helsewan.emulation.sandbox.surroundings import Host, Surroundings, surroundings

ALL, NONE = 0x1FFFFFFFFFF, 0
DOCKER = 0xA80425FB  # what Docker gives root by default, NET_RAW among it
PODMAN = 0x800405FB
SYS_ADMIN, NET_ADMIN = 1 << 21, 1 << 12
UBUNTU = {"kernel/apparmor_restrict_unprivileged_userns": "1"}
EPERM, EACCES = "unshare failed: Operation not permitted", "unshare: cannot change root filesystem: Permission denied"
PROC = "unshare: mount /proc failed: Operation not permitted"
ADDED = "--cap-add SYS_ADMIN --cap-add NET_ADMIN"


def here(
    host: Host = Host.MACHINE,
    capabilities: int = ALL,
    root: bool = True,
    filtered: bool = False,
    profile: str = "",
    rootless: bool = False,
    sysctls: dict[str, str] | None = None,
) -> Surroundings:
    """Surroundings in which nothing is missing but what is given."""
    bits = {"SYS_ADMIN": 21, "NET_ADMIN": 12, "NET_RAW": 13}
    missing = tuple(name for name, bit in bits.items() if not capabilities >> bit & 1)
    return Surroundings(root, host, missing, filtered, profile, rootless, sysctls or {})


# surroundings, what unshare or the trial said, what the one line must contain
CASES: dict[str, tuple[Surroundings, str, str]] = {
    "docker run": (here(Host.DOCKER, DOCKER, filtered=True), EPERM, f"start the container with {ADDED})"),
    "docker with AppArmor": (
        here(Host.DOCKER, DOCKER, filtered=True, profile="docker-default"),
        EPERM,
        f"start the container with {ADDED} --security-opt apparmor=unconfined)",
    ),
    "docker, SYS_ADMIN alone": (
        here(Host.DOCKER, DOCKER | SYS_ADMIN, filtered=True),
        EPERM,
        "'CAP_NET_ADMIN' missing, though you are root: Docker's limit",
    ),
    "docker, both, with AppArmor": (
        here(Host.DOCKER, DOCKER | SYS_ADMIN | NET_ADMIN, filtered=True, profile="docker-default"),
        EACCES,
        "(hint: start the container with --security-opt apparmor=unconfined)",
    ),
    "docker, another seccomp profile": (
        here(Host.DOCKER, DOCKER | SYS_ADMIN | NET_ADMIN, filtered=True),
        EPERM,
        "--security-opt seccomp=unconfined",
    ),
    "docker, hidden /proc": (
        here(Host.DOCKER, NONE, root=False),
        PROC,
        "--security-opt systempaths=unconfined",
    ),
    "docker, a user of its own": (
        here(Host.DOCKER, NONE, root=False, filtered=True),
        EPERM,
        f"run as root in the container (--user 0): start the container with {ADDED}",
    ),
    "podman": (here(Host.PODMAN, PODMAN), EPERM, f"start the container with {ADDED} --cap-add NET_RAW)"),
    "podman without root, hidden /proc": (here(Host.PODMAN, PODMAN, rootless=True), PROC, "--security-opt unmask=ALL"),
    "podman with root, hidden /proc": (here(Host.PODMAN, PODMAN), PROC, f"{ADDED} --cap-add NET_RAW"),
    "kubernetes": (
        here(Host.KUBERNETES, DOCKER, filtered=True),
        EPERM,
        "securityContext: {capabilities: {add: [SYS_ADMIN, NET_ADMIN]}}",
    ),
    "lxc": (here(Host.LXC, ALL & ~SYS_ADMIN), EPERM, "`lxc config set NAME security.nesting true`"),
    "a container of a GitHub job": (
        here(Host.GITHUB_CONTAINER, DOCKER, filtered=True),
        EPERM,
        f"container: {{options: {ADDED}}} in the workflow",
    ),
    "a GitHub runner": (
        here(Host.GITHUB, NONE, root=False, sysctls=UBUNTU),
        "unshare: write failed /proc/self/uid_map: Operation not permitted",
        "a step before: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; or run with sudo",
    ),
    "Ubuntu 24.04": (
        here(root=False, capabilities=NONE, sysctls=UBUNTU),
        "set interface lo up: Operation not permitted",
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run with sudo",
    ),
    "Ubuntu 24.04, a container's user": (
        here(Host.DOCKER, NONE, root=False, sysctls=UBUNTU),
        EPERM,
        "on the host: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0; or run as root in the container",
    ),
    "Ubuntu 24.04, root of a container": (here(Host.DOCKER, DOCKER, sysctls=UBUNTU), EPERM, f"with {ADDED})"),
    "Debian": (
        here(root=False, capabilities=NONE, sysctls={"kernel/unprivileged_userns_clone": "0"}),
        EPERM,
        "sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    "no user namespaces": (
        here(root=False, capabilities=NONE, sysctls={"user/max_user_namespaces": "0"}),
        EPERM,
        "'user.max_user_namespaces = 0' forbids it (hint: sudo sysctl",
    ),
    "no network namespaces": (
        here(sysctls={"user/max_net_namespaces": "0"}),
        EPERM,
        "sudo sysctl user.max_net_namespaces=15000",
    ),
    "no user namespaces, root": (here(filtered=True, sysctls={"user/max_user_namespaces": "0"}), EPERM, "seccomp"),
    "a service's root": (here(capabilities=NET_ADMIN), EPERM, "CapabilityBoundingSet="),
    "an ordinary user": (here(root=False, capabilities=NONE), "refused", "refused (hint: run as root or with sudo)"),
    "an ordinary user, filtered": (here(root=False, capabilities=NONE, filtered=True), EPERM, "run with sudo"),
    "nothing known": (here(), "refused", "no new namespaces: refused (hint: look for limits"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_missing_and_which_setting_gives_it(case: str) -> None:
    where, refusal, expected = CASES[case]
    said = str(diagnosis(refusal, where))
    assert expected in said and "\n" not in said and "--privileged" not in said, said


def test_every_host_has_its_words() -> None:
    """No host is answered with another's settings."""
    foreign = {"--cap-add": {Host.KUBERNETES, Host.LXC, Host.MACHINE, Host.GITHUB}, "securityContext": {Host.DOCKER}}
    for host in Host:
        said = str(diagnosis(EPERM, here(host, DOCKER, filtered=True)))
        assert not any(word in said and host in hosts for word, hosts in foreign.items()), said


@pytest.mark.parametrize(
    ("where", "mode", "expected"),
    [
        (here(), None, "does not exist (hint: sudo modprobe tun)"),
        (here(Host.DOCKER), None, "does not exist (hint: start the container with --device /dev/net/tun)"),
        (
            here(Host.PODMAN),
            0o666,
            "cannot be opened: Operation not permitted (hint: start the container with --device",
        ),
        (here(Host.KUBERNETES), None, "a hostPath volume of /dev/net/tun"),
        (here(Host.LXC), None, "`lxc config device add NAME tun unix-char path=/dev/net/tun`"),
        (here(Host.GITHUB_CONTAINER), None, "container: {options: --device /dev/net/tun} in the workflow"),
        (here(root=False), 0o600, "has mode 0600, not 0666 (hint: sudo chmod 0666 /dev/net/tun, or run as root"),
        (here(Host.GITHUB, root=False), 0o600, "a step before: sudo chmod 0666 /dev/net/tun; or run with sudo"),
        (here(Host.DOCKER, root=False), 0o600, "run as root in the container (--user 0)"),
    ],
)
def test_the_device_of_taps(where: Surroundings, mode: int | None, expected: str) -> None:
    error = OSError(errno.EPERM, "Operation not permitted")
    allowed = mode is not None and bool(mode & 0o006)
    assert expected in str(tun_problem("/dev/net/tun", mode, allowed, error, where))


def test_the_device_is_opened(tmp_path: Path) -> None:
    assert "does not exist (hint: sudo modprobe tun" in str(tun_diagnosis(tmp_path / "tun", here()))
    assert tun_diagnosis(Path("/dev/null"), here()) is None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (
            here(Host.DOCKER, DOCKER | SYS_ADMIN),
            "needs CAP_NET_ADMIN (hint: start the container with --cap-add NET_ADMIN)",
        ),
        (here(Host.DOCKER, profile="docker-default"), "--security-opt apparmor=unconfined"),
        (here(Host.PODMAN, filtered=True), "--security-opt seccomp=unconfined"),
        (here(root=False, capabilities=NONE), "run as root or with sudo"),
        (here(), "`helsewan doctor`"),
    ],
)
def test_what_the_kernel_refuses_in_a_run_has_a_hint(where: Surroundings, expected: str) -> None:
    said = str(denied("set interface lo up: Operation not permitted", where))
    assert said.startswith("permission: 'set interface lo up: Operation not permitted' ") and expected in said


def test_an_error_in_one_line() -> None:
    """Whatever the kernel refuses is explained, and a file's mode is not taken for a container's limit."""
    refused = sandbox.explained(OSError(errno.EPERM, "set interface lo up: Operation not permitted"))
    assert re.fullmatch(r"permission: 'set interface lo up: Operation not permitted' .* \(hint: .*\)", refused)
    closed = sandbox.explained(PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"))
    assert closed == "permission: '/etc/shadow' Permission denied (hint: run as its owner, or as root)"
    assert sandbox.explained(KeyError("a")) == "KeyError: 'a'"


def machine(root: Path, capabilities: int = ALL, uid: int = 0, profile: str = "unconfined\n", **files: str) -> Path:
    """A file system with these facts; slashes of a path are written as two underscores."""
    status = f"Name:\tpython\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nCapEff:\t{capabilities:016x}\nSeccomp:\t2\n"
    texts = {"proc/self/status": status, "proc/self/attr/current": profile, "proc/self/uid_map": "0 0 4294967295\n"}
    for name, text in {**texts, **{name.replace("__", "/"): text for name, text in files.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("environment", "file", "host"),
    [
        ({}, None, Host.MACHINE),
        ({}, ".dockerenv", Host.DOCKER),
        ({"container": "podman"}, "run/.containerenv", Host.PODMAN),
        ({"container": "podman"}, None, Host.PODMAN),
        ({"container": "lxc"}, None, Host.LXC),
        ({"container": "systemd-nspawn"}, None, Host.OTHER_CONTAINER),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None, Host.KUBERNETES),
        ({"GITHUB_ACTIONS": "true"}, None, Host.GITHUB),
        ({"GITHUB_ACTIONS": "true"}, ".dockerenv", Host.GITHUB_CONTAINER),
    ],
)
def test_who_gives_permissions_here(tmp_path: Path, environment: dict[str, str], file: str | None, host: Host) -> None:
    root = machine(tmp_path, **({} if file is None else {file.replace("/", "__"): ""}))
    assert surroundings(root, environment).host is host


def test_the_facts_are_read(tmp_path: Path) -> None:
    sysctl = {"proc__sys__kernel__apparmor_restrict_unprivileged_userns": "1\n"}
    found = surroundings(machine(tmp_path, DOCKER, profile="docker-default (enforce)\n", **sysctl), {})
    assert found == Surroundings(True, Host.MACHINE, ("SYS_ADMIN", "NET_ADMIN"), True, "docker-default", False, UBUNTU)
    assert found.in_user_namespace


@pytest.mark.parametrize(
    ("capabilities", "uid", "fallback"),
    [
        *((ALL, 0, False), (DOCKER | SYS_ADMIN | NET_ADMIN, 0, False), (PODMAN | SYS_ADMIN | NET_ADMIN, 0, True)),
        *((DOCKER, 0, True), (DOCKER | SYS_ADMIN, 0, True), (NONE, 1000, True), (ALL, 1000, True)),
    ],
)
def test_a_user_namespace_stands_in_for_capabilities(
    tmp_path: Path, capabilities: int, uid: int, fallback: bool
) -> None:
    assert surroundings(machine(tmp_path, capabilities, uid), {}).in_user_namespace is fallback


@pytest.mark.parametrize("profile", ["unconfined\n", "", "system_u:system_r:container_t:s0:c1,c2\0", "x (complain)\n"])
def test_what_confines_nothing_is_no_profile(tmp_path: Path, profile: str) -> None:
    assert surroundings(machine(tmp_path, profile=profile), {}).profile == ""
