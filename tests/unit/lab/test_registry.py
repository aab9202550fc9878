"""The registry of running labs: names are unique, private to the user, and those of killed labs are free again."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from helsewan.common.errors import InputError
from helsewan.lab.client.client import find
from helsewan.lab.client.registry import RUNTIME_DIR_VARIABLE, LabRegistry, own_registry


def test_a_network_is_found_while_it_runs(tmp_path: Path) -> None:
    place = LabRegistry(tmp_path / "place")
    with place.held("north") as listener:
        assert place.names() == ("north",)
        with place.connect("north"):
            assert listener.accept()
        assert stat.S_IMODE((tmp_path / "place/north.sock").stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "place").stat().st_mode) == 0o700
    assert place.names() == () and os.listdir(tmp_path / "place") == []
    place.close()
    assert not (tmp_path / "place").exists()


def test_two_networks_of_one_name_cannot_stand(tmp_path: Path) -> None:
    first, second = LabRegistry(tmp_path), LabRegistry(tmp_path)
    with ExitStack() as held:
        held.enter_context(first.held("north"))
        held.enter_context(second.held("south"))
        with pytest.raises(InputError, match="--name: 'north' is the name of a running network"):
            held.enter_context(second.held("north"))
        assert second.names() == ("north", "south")


def test_what_is_left_of_a_killed_network_is_removed(tmp_path: Path) -> None:
    """Its lock went with its process; the files are still there."""
    place = LabRegistry(tmp_path)
    (tmp_path / "killed.lock").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(tmp_path / "killed.sock"))
    assert place.names() == ()
    assert os.listdir(tmp_path) == []


def test_the_name_of_a_killed_network_is_free(tmp_path: Path) -> None:
    place = LabRegistry(tmp_path)
    (tmp_path / "north.lock").touch()
    (tmp_path / "north.sock").touch()
    with place.held("north"), place.connect("north"):
        pass


@pytest.mark.parametrize("name", ["", "North", "../north", "a/b", "-x", "a" * 33, "a b", "a.b"])
def test_a_name_that_is_none_is_bad_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="is not a valid name"), LabRegistry(tmp_path).held(name):
        pass
    assert os.listdir(tmp_path) == []


def test_a_long_directory_is_no_obstacle(tmp_path: Path) -> None:
    """A unix socket's address has 108 bytes at most."""
    place = LabRegistry(tmp_path / ("x" * 150))
    with place.held("north") as listener, place.connect("north"):
        assert listener.accept()


def test_a_directory_that_others_can_access_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(InputError, match="is accessible to other users"):
        LabRegistry(tmp_path)


def test_a_link_to_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(InputError, match=RUNTIME_DIR_VARIABLE):
        LabRegistry(tmp_path / "link")


def test_the_network_that_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNTIME_DIR_VARIABLE, str(tmp_path))
    tmp_path.chmod(0o700)
    with own_registry() as place:
        with pytest.raises(InputError, match="no network is running"):
            find(place, None)
        with place.held("north"):
            assert find(place, None) == find(place, "north") == "north"
            with pytest.raises(InputError, match=r"is no running network \(similar: north\)"):
                find(place, "nort")
            with place.held("south"), pytest.raises(InputError, match="--name: is needed: north, south are running"):
                find(place, None)
