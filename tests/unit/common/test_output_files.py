"""Output files: nothing is opened before a request is accepted, nothing is written where another user directs it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from command_line import helsewan

from helsewan.common.errors import InputError
from helsewan.common.files import open_output, write_file


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory like /tmp."""
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def test_an_output_is_created_for_its_owner_and_not_truncated(tmp_path: Path) -> None:
    file = tmp_path / "new"
    os.close(open_output(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("old")
    os.close(open_output(file))
    assert file.read_text() == "old"


def test_symbolic_links_are_followed_only_where_nobody_else_makes_them(tmp_path: Path, shared: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (shared / "link").symlink_to(target)
    with pytest.raises(OSError, match="is a symbolic link in a directory that everybody may write to"):
        open_output(shared / "link")
    write_file("--output", shared / "link", b"new")  # replaces the link itself
    assert target.read_text() == "precious"
    assert not (shared / "link").is_symlink() and (shared / "link").read_bytes() == b"new"
    (tmp_path / "link").symlink_to(target)
    write_file("--output", tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and target.read_bytes() == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_another_users_file_in_a_shared_directory_is_not_opened(shared: Path) -> None:
    (shared / "file").write_text("theirs")
    os.chown(shared / "file", 12345, 12345)
    with pytest.raises(OSError, match="is another user's file"):
        open_output(shared / "file")


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_file("--output", fifo, b"through")
    assert os.read(reading, 100) == b"through"
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    os.close(reading)


def test_a_failed_write_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^--junit: "):
        write_file("--junit", tmp_path / "absent" / "file", b"")


@pytest.mark.parametrize(
    "words",
    [
        ["capture", "no-link", "-w", "FILE"],
        ["capture", "no-link", "-w", "FILE", "--count", "1"],
        ["rules", "dump", "--output", "FILE"],
        ["rules", "dump", "--sites", "-3", "--output", "FILE"],
        ["topology", "export", "--format", "json", "--from", "absent.yaml", "--output", "FILE"],
        ["topology", "export", "--format", "no-format", "--output", "FILE"],
        ["verify", "--policy", "no-policy", "--junit", "FILE"],
        ["verify", "--live", "--junit", "FILE"],
        ["verify", "--live", "--witness", "NEW"],
        ["verify", "--policy", "no-policy", "--witness", "NEW"],
    ],
)
@pytest.mark.parametrize("existed", [True, False])
def test_a_refused_request_leaves_the_files_as_they_were(tmp_path: Path, words: list[str], existed: bool) -> None:
    file, new = tmp_path / "existing", tmp_path / "new"
    if existed:
        file.write_text("precious")
    argv = [{"FILE": str(file), "NEW": str(new)}.get(word, word) for word in words]
    done = helsewan(*argv, cwd=tmp_path, HELSEWAN_RUNTIME_DIR=str(tmp_path / "runtime"))
    assert done.returncode == 2, done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "runtime"] == (["existing"] if existed else [])
    assert not existed or file.read_text() == "precious"
