"""The setting that prevents a user from creating a sandbox is named, with a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from helsewan.emulation.sandbox.sandbox_diagnosis import diagnosis, tun_diagnosis

ALL, NONE = "000001ffffffffff", "0000000000000000"


def proc(root: Path, capabilities: str = ALL, seccomp: str = "0", **sysctls: str) -> Path:
    """A /proc with these settings; dots of a sysctl's name are written as two underscores."""
    (root / "self").mkdir()
    (root / "self/status").write_text(f"Name:\tpython\nCapEff:\t{capabilities}\nSeccomp:\t{seccomp}\n")
    for name, value in sysctls.items():
        file = root / "sys" / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
    return root


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"user__max_user_namespaces": "0"}, "'user.max_user_namespaces = 0' forbids it (hint: sudo sysctl"),
        ({"user__max_net_namespaces": "0"}, "user.max_net_namespaces=15000"),
        ({"kernel__unprivileged_userns_clone": "0"}, "sudo sysctl kernel.unprivileged_userns_clone=1"),
        (
            {"kernel__apparmor_restrict_unprivileged_userns": "1"},
            "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ({"seccomp": "2"}, "seccomp=unconfined"),
        ({"kernel__unprivileged_userns_clone": "1"}, "no new namespaces: refused (hint: run as root or with sudo)"),
    ],
)
def test_a_setting_that_forbids_it_to_ordinary_users(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    problem = str(diagnosis("refused", root=False, proc=proc(tmp_path, NONE, **settings)))
    assert expected in problem and "\n" not in problem


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"capabilities": NONE}, "'CAP_SYS_ADMIN' is missing, though you are root"),
        ({"user__max_user_namespaces": "0", "seccomp": "2"}, "seccomp=unconfined"),
        ({"user__max_pid_namespaces": "0"}, "sudo sysctl user.max_pid_namespaces=15000"),
        ({}, "no new namespaces: refused (hint: start the container with --privileged)"),
    ],
)
def test_a_setting_that_forbids_it_to_root(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    assert expected in str(diagnosis("refused", root=True, proc=proc(tmp_path, **settings)))


def test_a_hidden_proc_is_named(tmp_path: Path) -> None:
    expected = str(diagnosis("unshare: mount /proc failed: Operation not permitted", root=False, proc=proc(tmp_path)))
    assert "systempaths=unconfined" in expected


def test_the_device_of_taps(tmp_path: Path) -> None:
    assert "does not exist (hint: sudo modprobe tun" in str(tun_diagnosis(tmp_path / "tun"))
    assert tun_diagnosis(Path("/dev/null")) is None
