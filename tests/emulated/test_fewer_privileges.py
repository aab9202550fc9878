"""Root with fewer privileges, as in containers: a user namespace stands in for them, or one line names the setting."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_network import DESCRIPTION

from helsewan.common.exit_codes import ExitCode
from helsewan.topology.network_source import load_network

pytestmark = pytest.mark.emulated

PODMAN = [
    *("chown", "dac_override", "fowner", "fsetid", "kill", "net_bind_service", "setfcap", "setgid", "setpcap"),
    *("setuid", "sys_chroot"),
]
DOCKER = [*PODMAN, "audit_write", "mknod", "net_raw"]
DEADLINE_S = 300.0
UNSHARE = {"x86_64": 272, "aarch64": 97}
PIDFD_GETFD = 438

# A filter of system calls (seccomp(2)) as container runtimes have: it refuses those given, with EPERM.
FILTER = """
import ctypes, os, struct, sys
numbers = [int(number) for number in sys.argv[1].split(",")]
code = struct.pack("HBBI", 0x20, 0, 0, 0)  # load the number of the system call
for index, number in enumerate(numbers):
    code += struct.pack("HBBI", 0x15, len(numbers) - index, 0, number)  # equal: to the last instruction
code += struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000) + struct.pack("HBBI", 0x06, 0, 0, 0x00050001)  # allow, EPERM
buffer = ctypes.create_string_buffer(code)
program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program) == 0, os.strerror(ctypes.get_errno())
os.execvp(sys.argv[2], sys.argv[2:])
"""


def limited(capabilities: list[str]) -> list[str]:
    """The command that runs another as root with these capabilities only."""
    return [
        "setpriv",
        "--inh-caps=-all",
        "--bounding-set=" + ",".join(["-all", *(f"+{name}" for name in capabilities)]),
    ]


def filtered(*numbers: int) -> list[str]:
    """The command that runs another without these system calls."""
    return [sys.executable, "-c", FILTER, ",".join(map(str, numbers))]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "small.yaml").write_text(DESCRIPTION)
    (tmp_path / "run").mkdir(mode=0o700)
    yield tmp_path
    helsewan(tmp_path, [], "down")


def helsewan(home: Path, under: list[str], *argv: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as the last words of the command ``under``."""
    env = {**os.environ, "HELSEWAN_RUNTIME_DIR": str(home / "run")}
    command = [*under, sys.executable, "-m", "helsewan.cli.main", *argv]
    return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.mark.parametrize(
    "under",
    [
        pytest.param(limited(DOCKER), id="docker run --device /dev/net/tun"),
        pytest.param(
            limited([*DOCKER, "sys_admin"]),
            id="SYS_ADMIN alone: lo cannot be set up",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            [*limited([*DOCKER, "sys_admin", "net_admin"]), *filtered(PIDFD_GETFD)],
            id="SYS_ADMIN, NET_ADMIN and the device",
        ),
        pytest.param(
            limited([*PODMAN, "sys_admin", "net_admin"]),
            id="Podman, whose root has no NET_RAW",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_lab_comes_up(home: Path, under: list[str]) -> None:
    done = helsewan(home, under, "up", "--from", "small.yaml", "--policy", "open", "--detach")
    assert done.returncode == ExitCode.PASS, done.stdout + done.stderr
    sites = {site.id: site for site in load_network(home / "small.yaml", None, 1).network.sites}
    ping = ["ping", "-c", "3", "-W", "5", str(sites["hospital-b"].address4)]
    done = helsewan(home, under, "exec", "hospital-a", "--", *ping)
    assert done.returncode == ExitCode.PASS, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("capabilities", "hint"),
    [(DOCKER, "--cap-add SYS_ADMIN --cap-add NET_ADMIN"), ([*DOCKER, "sys_admin"], "--cap-add NET_ADMIN")],
)
def test_where_nothing_works_the_missing_are_named(home: Path, capabilities: list[str], hint: str) -> None:
    """Docker's default filter forbids new namespaces to whoever lacks SYS_ADMIN."""
    under = ["env", "container=docker", *limited(capabilities), *filtered(UNSHARE[platform.machine()])]
    done = helsewan(home, under, "up", "--from", "small.yaml")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (ExitCode.MISSING_PRIVILEGE, "", 1), done.stderr
    assert "though you are root: Docker's limit" in done.stderr
    assert done.stderr.endswith(f"(hint: start the container with {hint})\n")
    assert not (home / "results").exists()


def test_the_doctor_sees_both(home: Path) -> None:
    under = [*limited(DOCKER), *filtered(PIDFD_GETFD)]
    said = helsewan(home, under, "doctor").stdout
    assert "capabilities: a user namespace's, for CAP_SYS_ADMIN and CAP_NET_ADMIN is missing" in said
    assert "copying descriptors: refused (pidfd_getfd)" in said and "scenarios run here" in said
