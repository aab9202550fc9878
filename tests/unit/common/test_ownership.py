"""Files that a program under sudo creates are the invoking user's; all others, and where paths lead elsewhere, stay."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import helsewan.cli
from helsewan.common.files import open_output, write_file
from helsewan.common.ownership import create_directories, create_log, hand_over, hand_over_tree, invoker

USER, GROUP, STRANGER = 4711, 4712, 4713
REPOSITORY = Path(helsewan.cli.__file__).parents[1]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def sudo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory of the user who called sudo."""
    monkeypatch.setenv("SUDO_UID", str(USER))
    monkeypatch.setenv("SUDO_GID", str(GROUP))
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, USER, GROUP)
    return home


def owner(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid


@as_root
def test_a_new_file_is_the_users(sudo: Path) -> None:
    os.close(open_output(sudo / "capture"))
    write_file("--output", sudo / "export", b"")
    create_log(sudo / "log")
    create_directories(sudo / "witnesses" / "new")
    assert {owner(path) for path in sudo.rglob("*")} == {(USER, GROUP)}
    assert len(list(sudo.rglob("*"))) == 5


@as_root
@pytest.mark.parametrize("before", [(0, 0), (STRANGER, STRANGER), (USER, 0)])
def test_a_file_that_was_there_keeps_its_owner(sudo: Path, before: tuple[int, int]) -> None:
    for name in ("capture", "export", "log"):
        (sudo / name).touch()
        os.chown(sudo / name, *before)
    os.close(open_output(sudo / "capture"))
    write_file("--output", sudo / "export", b"new")
    create_log(sudo / "log")
    create_directories(sudo)
    assert {owner(path) for path in sudo.iterdir()} == {before}
    assert (sudo / "export").read_bytes() == b"new"


@as_root
def test_a_strangers_file_in_a_shared_directory_does_not_get_the_contents(sudo: Path) -> None:
    shared = sudo.parent / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "export").touch()
    os.chown(shared / "export", STRANGER, STRANGER)
    write_file("--output", shared / "export", b"new")
    assert owner(shared / "export") == (USER, GROUP)


@as_root
def test_nothing_changes_hands_through_a_link(sudo: Path) -> None:
    """Be it a symbolic or a hard link, of a file, or of the directory in which it is."""
    outside = sudo.parent / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    (sudo / "symbolic").symlink_to(outside / "secret")
    os.link(outside / "secret", sudo / "hard")
    (sudo / "logs").symlink_to(outside)
    (sudo / "dangling").symlink_to(outside / "new")
    hand_over_tree(sudo)
    hand_over(sudo / "hard", sudo / "absent")
    os.close(open_output(sudo / "symbolic"))
    os.close(open_output(sudo / "dangling"))
    create_log(sudo / "symbolic")
    assert owner(outside / "secret") == owner(outside / "new") == owner(outside) == (0, 0)
    assert owner(sudo / "symbolic") == (USER, GROUP)  # the link itself


@as_root
def test_at_the_end_only_what_is_roots_changes_hands(sudo: Path) -> None:
    (sudo / "logs").mkdir()
    (sudo / "logs" / "daemon.log").touch()
    (sudo / "theirs").touch()
    os.chown(sudo / "theirs", STRANGER, STRANGER)
    hand_over_tree(sudo)
    assert owner(sudo / "logs") == owner(sudo / "logs" / "daemon.log") == (USER, GROUP)
    assert owner(sudo / "theirs") == (STRANGER, STRANGER)


@pytest.mark.parametrize("value", ["", "root", "1000x"])
def test_an_environment_that_sudo_did_not_make_is_ignored(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", value)
    assert invoker() is None
    monkeypatch.delenv("SUDO_UID")
    assert invoker() is None


@as_root
@pytest.mark.parametrize(
    "words",
    [
        "topology export --format json --from NETWORK --output new",
        "rules dump --policy open --from NETWORK --output new.gz",
        "verify --from NETWORK --policy open --junit new --witness directory/new",
    ],
)
def test_every_verb_that_writes_writes_for_the_user(sudo: Path, words: str) -> None:
    argv = words.replace("NETWORK", str(REPOSITORY / "tests/samples/three-routers.yaml")).split()
    done = subprocess.run(
        [sys.executable, "-m", "helsewan.cli.main", *argv], cwd=sudo, capture_output=True, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    assert {owner(path) for path in sudo.rglob("*")} == {(USER, GROUP)}


_WRITERS = ("cli", "topology/exporters", "verification/reports", "lab/proofs", "lab/client", "emulation/links")
_CREATES = {"write_text", "write_bytes", "touch", "mkdir", "makedirs", "mkstemp"}


def _creations(tree: ast.AST) -> Iterator[int]:
    """The lines that create a file or directory by themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {*_CREATES, "O_CREAT"}:
            yield node.lineno
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "open":
            modes = [each.value for each in node.args[-1:] if isinstance(each, ast.Constant)]
            if isinstance(node.func, ast.Attribute) and any(str(mode).strip("b+t") in "wax" for mode in modes):
                yield node.lineno


def test_files_that_users_name_are_created_in_one_place() -> None:
    """`common.files` and `common.ownership`, which give them to the user. The registry holds sockets and locks, which
    are removed with their network."""
    found = [
        f"{file.relative_to(REPOSITORY)}:{line}"
        for folder in _WRITERS
        for file in sorted((REPOSITORY / folder).rglob("*.py"))
        if file.name != "registry.py"
        for line in _creations(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == []
