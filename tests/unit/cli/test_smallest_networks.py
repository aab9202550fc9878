"""Every verb that needs no running network, on the smallest networks of every kind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from smallest_networks import SMALLEST
from typer.testing import CliRunner

from helsewan.cli.main import app
from helsewan.common.errors import InputError

FORMATS = ("graphml", "geojson", "json", "yaml", "dot", "containerlab")


def run(*words: str) -> str:
    """The output of a command that succeeds."""
    done = CliRunner().invoke(app, words)
    assert done.exception is None and done.exit_code == 0, (words, done.output, done.exception)
    return done.output


@pytest.fixture(params=SMALLEST)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / f"{request.param}.yaml"
    path.write_text(SMALLEST[request.param])
    return str(path)


def test_topology(file: str, tmp_path: Path) -> None:
    shown = run("topology", "show", "--from", file)
    for wrong in ("1 sites", "1 PoPs", "1 routers", "1 links"):
        assert f" {wrong}" not in f" {shown}".replace("\n", " ")
    for name in FORMATS:
        run("topology", "export", "--format", name, "--from", file, "--output", str(tmp_path / name))
    done = CliRunner().invoke(app, ["topology", "paths", "--from", file])
    assert isinstance(done.exception, InputError) and "no national service" in str(done.exception)


def test_a_network_within_the_services_town(tmp_path: Path) -> None:
    """Sites are assumed where the file has none: here all are in one town, and none is outside it."""
    (tmp_path / "town.yaml").write_text("name: town\npops:\n  town: {lat: 69.6, lon: 18.9}\n")
    shown = run("topology", "paths", "--from", str(tmp_path / "town.yaml"))
    assert "no site is outside the towns of the services" in shown


@pytest.mark.parametrize("policy", ["open", "national"])
def test_policies(file: str, policy: str) -> None:
    assert " 1 sites" not in run("policy", "check", policy, "--from", file)
    assert "on 1 sites" not in run("policy", "diff", policy, "full-mesh", "--from", file)
    argv = ["verify", "--from", file, "--policy", policy, "--failures", "single", "--json"]
    done = CliRunner().invoke(app, argv, standalone_mode=False)
    report = json.loads(done.stdout)
    has_two_connected = bool(report["proofs"])  # else nothing can be proved, and that is said
    assert (report["verdict"], report["exit_code"]) == (("proved", 0) if has_two_connected else ("void", 3))
    names = [line.split(":")[0].strip() for line in Path(file).read_text().splitlines() if "kind:" in line]
    if len(names) > 1:
        assert names[0] in run("policy", "explain", *names[:2], "--policy", policy, "--from", file)
    else:
        done = CliRunner().invoke(app, ["policy", "explain", names[0], names[0], "--from", file])
        assert isinstance(done.exception, InputError)
