"""Bad input on the command line: one clear line, exit 2, and nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import REPOSITORY, helsewan

from helsewan.common.errors import InputError
from helsewan.emulation.sandbox import sandbox
from helsewan.scenarios.spec.spec import LIBRARY

SAMPLES = REPOSITORY / "tests" / "samples" / "topologies"


def edited(tmp_path: Path, old: str, new: str) -> str:
    """The library's scenario with ``old`` replaced, as a file of the user's."""
    text = (LIBRARY / "region-failover.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new))
    return path.name


CASES = {
    "unknown scenario": (["region-failovr"], "scenario: 'region-failovr' is not in the library (hint: "),
    "unknown region": (["region-failover", "--set", "region=east"], "--set region: 'east' is no health region"),
    "unknown setting": (["region-failover", "--set", "regoin=nord"], "--set regoin: unknown key"),
    "not a setting": (["region-failover", "--set", "region"], "--set: 'region' is not key=value"),
    "too few sites": (["region-failover", "--sites", "3"], "--sites: 3 is too few"),
    "missing file": (["nowhere.yaml"], "nowhere.yaml"),
    "unknown option": (["region-failover", "--site", "90"], "No such option: --site"),
    "impossible seed": (["region-failover", "--seed", "-1"], "--seed: -1 is less than 0"),
    "impossible sites": (["region-failover", "--sites", "-1"], "--sites: -1 is less than 1"),
    "no runs": (["region-failover", "--repeat", "0"], "--repeat: 0 is no number of runs"),
    "unknown faults": (["region-failover", "--faults", "some"], "--faults: 'some' is unknown (hint: write random)"),
    "no scenario": ([], "NAME: is missing (hint: name a scenario, or give --replay RESULTS)"),
    "replay of nothing": (["--replay", "nowhere"], "--replay: 'nowhere' has kept no inputs of a run"),
    "replay with a seed": (["--replay", "x", "--seed", "1"], "--seed: cannot be given with --replay"),
    "replay with a name": (["isolation", "--replay", "x"], "NAME: cannot be given with --replay"),
    "no number": (["region-failover", "--seed", "x"], "Invalid value for '--seed'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_arguments(case: str, tmp_path: Path) -> None:
    """What is wrong with the arguments is said in one line before anything is created."""
    argv, said = CASES[case]
    done = helsewan("scenario", "run", *argv, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said) or said in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("argv", [["topology", "show"], ["topology", "paths"], ["mutate"], ["rules", "dump"], ["up"]])
@pytest.mark.parametrize("seed", ["-1", "9223372036854775808"])
def test_a_seed_that_cannot_be_is_named_itself(argv: list[str], seed: str, tmp_path: Path) -> None:
    done = helsewan(*argv, "--seed", seed, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"--seed: {seed} is no seed (hint: write a whole number from 0 to 9223372036854775807)\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("duration: 34 s", "duration: 34 sec", "duration"),
        ("policy: national", "polici: national", "polici"),
        ("fail: {region_core", "fail: {region_coer", "region_coer"),
        ("service: voice,", "service: vioce,", "vioce"),
        ("policy: national", "policy: nationale", "nationale"),
    ],
)
def test_bad_files(old: str, new: str, said: str, tmp_path: Path) -> None:
    """What is wrong with a file is said with its line, and every such line is a problem of its own."""
    name = edited(tmp_path, old, new)
    done = helsewan("scenario", "run", name, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    assert lines and all(line.startswith(f"{name}:") for line in lines), done.stderr
    assert any(said in line for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    """Without Open vSwitch a run says what to install."""
    script = (
        "import helsewan.emulation.sandbox.sandbox as world, helsewan.cli.main as cli, sys\n"
        "world.search_path = lambda: '/nonexistent'\n"
        "sys.argv = ['helsewan', 'scenario', 'run', 'region-failover']\n"
        "cli.main()\n"
    )
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "program: 'ovs-vswitchd' is not installed (hint: install the package openvswitch-switch" in done.stderr
    assert not list(tmp_path.iterdir())


def test_an_ordinary_user_without_permission_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who may not open the TUN device reads that its mode is in the way, and what to do."""
    device = tmp_path / "tun"
    device.touch(0o600)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(sandbox, "PROGRAMS", {})
    monkeypatch.setattr(sandbox, "TUN", device)
    with pytest.raises(InputError, match=r"device: '.*/tun' has mode 0600, not 0666 \(hint: sudo chmod 0666"):
        sandbox.require()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    """``--debug`` is for developers."""
    done = helsewan("scenario", "run", "region-failover", "--set", "region=east", "--debug", cwd=tmp_path)
    assert "Traceback" in done.stderr


def test_nought_is_a_number_too(tmp_path: Path) -> None:
    """``--sites 0`` is refused, not taken for the default; seed 0 is a seed."""
    done = helsewan("topology", "show", "--sites", "0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--sites: 0 is too few")
    assert "seed 0" in helsewan("topology", "show", "--seed", "0", cwd=tmp_path).stdout


def test_a_terminal_without_norwegian_letters_will_do(tmp_path: Path) -> None:
    """Tables show what they can; exports are UTF-8 wherever they go."""
    table = helsewan("topology", "show", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert table.returncode == 0 and "S?r" in table.stdout, table.stderr
    export = helsewan("topology", "export", "--format", "json", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert export.returncode == 0 and "ø" in export.stdout, export.stderr


TOPOLOGY_CASES = {
    "missing file": (["show", "--from", "nowhere.gml"], "nowhere.gml: no such file"),
    "another format": (["export", "--format", "svg"], "--format: 'svg' is not a format helsewan writes (hint: one of "),
    "no map": (["show", "--from", "mine.yaml"], "mine.yaml:1"),
    "two networks": (
        ["show", "--from", "x.gml", "--swedish-route"],
        "--swedish-route: belongs to the national network",
    ),
    "too few sites": (["show", "--from", str(SAMPLES / "Ringnett.graphml"), "--sites", "0"], "--sites: 0 is too few"),
}


@pytest.mark.parametrize("case", TOPOLOGY_CASES)
def test_bad_networks(case: str, tmp_path: Path) -> None:
    """A file that will not do is refused in one line, with exit code 2 and nothing on standard output."""
    argv, said = TOPOLOGY_CASES[case]
    (tmp_path / "mine.yaml").write_text("no network")
    done = helsewan("topology", *argv, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1, done.stderr


def test_a_network_from_a_file_is_shown_with_what_was_assumed(tmp_path: Path) -> None:
    done = helsewan("topology", "show", "--from", str(SAMPLES / "Kystnett.graphml"), "--sites", "60", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "kystnett, seed 1" in done.stdout and "11 PoPs, 11 routers, 14 links" in done.stdout
    assert "assumed: 1 Gbit/s for 4 of 14 links: the speed is missing or cannot be read" in done.stdout
    exported = helsewan(
        "topology", "export", "--from", str(SAMPLES / "Kystnett.graphml"), "--format", "yaml", cwd=tmp_path
    )
    (tmp_path / "again.yaml").write_text(exported.stdout, encoding="utf-8")
    again = helsewan("topology", "show", "--from", "again.yaml", cwd=tmp_path)
    assert "11 PoPs, 11 routers, 14 links" in again.stdout and "assumed" not in again.stdout
