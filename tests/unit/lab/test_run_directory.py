"""The directory of a run: created in the requested folder, owned by the user, and nothing else is changed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from helsewan.common import ownership
from helsewan.common.errors import InputError
from helsewan.lab.processes import run_directory

Chowned = dict[str, tuple[int, int]]


@pytest.fixture
def chowned(monkeypatch: pytest.MonkeyPatch) -> Chowned:
    """Under sudo, as user 1000: what was handed over."""
    given: Chowned = {}

    def chown(descriptor: str | int, owner: int, group: int) -> None:
        given[os.readlink(f"/proc/self/fd/{Path(str(descriptor)).name}")] = owner, group

    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(os, "fchown", chown)
    monkeypatch.setattr(ownership, "_is_ours", lambda status: True)  # this user's files, who plays root
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("SUDO_GID", "1001")
    return given


def test_under_sudo_only_what_was_made_changes_hands(tmp_path: Path, chowned: Chowned) -> None:
    """A directory that was there before keeps its owner, be it /srv or /tmp."""
    made = run_directory.make_directory(tmp_path / "results" / "short")
    run_directory._point_latest(made)
    assert set(chowned.values()) == {(1000, 1001)}
    latest = tmp_path / "results" / "short" / f".latest-{made.name}"
    ignore = tmp_path / "results" / ".gitignore"
    expected = (made.parent.parent, ignore, made.parent, made, made / "logs", latest)
    assert set(chowned) == {str(path) for path in expected}
    chowned.clear()
    again = run_directory.make_directory(tmp_path / "results" / "short")
    assert again != made and set(chowned) == {str(again), str(again / "logs")}


def test_what_was_made_for_a_refused_run_is_gone(tmp_path: Path) -> None:
    """Only that: what was there before, and what another run made meanwhile, stay."""
    (tmp_path / "before").mkdir()
    created: list[Path] = []
    run_directory.make_directory(tmp_path / "before" / "results" / "up", created)
    run_directory.discard(created)
    assert list(tmp_path.rglob("*")) == [tmp_path / "before"]
    created.clear()
    run_directory.make_directory(tmp_path / "results" / "up", created)
    other = run_directory.make_directory(tmp_path / "results" / "up")
    run_directory.discard(created)
    assert sorted(path.name for path in (tmp_path / "results").rglob("*")) == [".gitignore", other.name, "logs", "up"]


@pytest.mark.parametrize("fails", ["mkdir", "create_file", "open"])
def test_a_full_disk_is_told_with_its_path_and_leaves_nothing(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever does not fit: a folder, the first file, the first bytes of a run."""
    place = run_directory if fails == "create_file" else Path
    original = getattr(place, fails)

    def full(path: Path, *arguments: object, **others: object) -> object:
        if path.name in ("up", ".gitignore", ".room"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return original(path, *arguments, **others)

    monkeypatch.setattr(place, fails, full)
    with pytest.raises(InputError, match=r"^--results: '.*/results/up' No space left on device") as refused:
        run_directory.make_directory(tmp_path / "results" / "up")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_without_sudo_nothing_changes_hands(tmp_path: Path, chowned: Chowned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID")
    run_directory.make_directory(tmp_path / "results")
    assert not chowned


@pytest.mark.parametrize("place", ["/run/results", "/proc/results", "file/results", "dangling"])
def test_a_place_that_cannot_be_is_bad_input(place: str, tmp_path: Path) -> None:
    """Not visible in a sandbox, refused by the kernel, below a file, behind a broken link."""
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere/at/all")
    with pytest.raises(InputError, match=r"^--results: '.*'"):
        run_directory.make_directory(tmp_path / place)  # an absolute place stays what it is
    assert not Path("/run/results").exists()


def test_latest_moves_to_the_last_run(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        run_directory._point_latest(tmp_path / name)
        assert (tmp_path / "latest").readlink() == Path(name)


def test_a_directory_named_latest_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The run counts all the same: it is said, and no half-made link stays."""
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "latest").mkdir()
    run_directory._point_latest(run)
    assert "no link to the latest run" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest", "run"]
