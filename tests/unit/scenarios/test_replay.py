"""What a run keeps of its inputs, and that a replay runs exactly that again or says why it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_network import DESCRIPTION

from helsewan.common.errors import InputError
from helsewan.emulation.links.link_backend import Dataplane
from helsewan.emulation.routers.forwarding import Forwarding
from helsewan.emulation.routers.switches import RouterKind
from helsewan.scenarios.run import kept_inputs
from helsewan.scenarios.run.kept_inputs import FOLDER, INDEX, SCENARIO, keep, kept
from helsewan.scenarios.run.preparation import Prepared, prepare

PRIVATE = Forwarding(Dataplane.ENGINE, RouterKind.PRIVATE)
MAIN = """
include: parts/traffic.yaml
name: kept
description: A scenario of several files.
network: {from: maps/small.yaml, sites: 3, seed: 1}
policy: mine.yaml
duration: 3 s
parameters:
  calls: {type: integer, default: 1, help: calls}
timeline:
  cut: {at: 1 s, for: 1 s, fail: {link: middle-south}}
checks:
  isolation: {metric: leaked, limit: "== 0"}
"""
PART = """
traffic:
  calls: {kind: voice, service: voice, count: "${calls}", from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
"""


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """A scenario with a network, a policy and an include in files of its own, ready to run, one setting changed."""
    home = tmp_path / "home"
    for name, text in (
        ("main.yaml", MAIN),
        ("parts/traffic.yaml", PART),
        ("maps/small.yaml", DESCRIPTION),
        ("mine.yaml", "name: mine\ninclude: national\n"),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return prepare(str(home / "main.yaml"), {"calls": "2"}, seed=77)


@pytest.fixture
def run(prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a run of it."""
    monkeypatch.setattr(kept_inputs.machine, "versions", lambda: {"helsewan": "0.1.0", "open_vswitch": "3.1.0"})
    directory = tmp_path / "run"
    directory.mkdir()
    keep(directory, prepared, PRIVATE)
    return directory


def test_a_replay_needs_nothing_but_the_run(run: Path, prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "home").rename(tmp_path / "elsewhere")
    inputs = kept(run)
    again = inputs.prepare()
    assert again.traffic == prepared.traffic
    assert again.targets == prepared.targets
    assert again.plan.network == prepared.plan.network
    assert again.plan.source == prepared.plan.source
    assert again.scenario.spec.timeline == prepared.scenario.spec.timeline
    assert (again.scenario.name, again.scenario.parameters) == ("kept", {"calls": 2})
    assert (again.scenario.network.seed, again.policy_at) == (77, prepared.policy_at)
    assert (inputs.forwarding, inputs.other_versions) == (PRIVATE, {})


def test_the_result_is_named_as_well_as_the_directory(run: Path) -> None:
    (run / "result.json").write_text("{}")
    assert kept(run / "result.json").scenario == kept(run).scenario


def test_a_replay_of_a_replay_is_the_same(run: Path, tmp_path: Path) -> None:
    again = kept(run).prepare()
    second = tmp_path / "second"
    second.mkdir()
    keep(second, again, PRIVATE)
    assert kept(second).prepare().traffic == again.traffic


@pytest.mark.parametrize("name", [SCENARIO, "policy.yaml", "files/00-small.yaml"])
def test_inputs_that_changed_or_are_gone_are_refused(name: str, run: Path) -> None:
    path = run / FOLDER / name
    path.write_text(path.read_text() + "\n")
    with pytest.raises(InputError, match=f"--replay: '.*{name}' has changed since the run"):
        kept(run)
    path.unlink()
    with pytest.raises(InputError, match=f"--replay: '.*{name}' is missing"):
        kept(run)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "has kept no inputs of a run"),
        ("{", "cannot be read"),
        ('{"schema": 99}', "was written by another version of helsewan"),
    ],
)
def test_what_is_no_run_is_refused(text: str | None, said: str, run: Path) -> None:
    index = run / FOLDER / INDEX
    index.unlink()
    if text is not None:
        index.write_text(text)
    with pytest.raises(InputError, match=f"--replay: .*{said}"):
        kept(run)


def test_other_versions_are_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_inputs.machine, "versions", lambda: {"helsewan": "0.2.0", "open_vswitch": "3.1.0"})
    assert kept(run).other_versions == {"helsewan": ("0.1.0", "0.2.0")}


def test_a_version_that_plans_other_traffic_cannot_replay(run: Path) -> None:
    index = run / FOLDER / INDEX
    index.write_text(json.dumps({**json.loads(index.read_text()), "traffic": "another"}))
    with pytest.raises(InputError, match="cannot be run exactly again: this version of helsewan plans other traffic"):
        kept(run).prepare()


def test_a_large_file_stays_where_it_is_and_is_looked_at(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_inputs, "MOST_COPIED", 10)
    directory = tmp_path / "run"
    directory.mkdir()
    keep(directory, prepared, PRIVATE)
    network = tmp_path / "home" / "maps" / "small.yaml"
    assert kept(directory).scenario.source == network
    network.write_text(network.read_text() + "\n")
    with pytest.raises(InputError, match=r"small.yaml' has changed since the run"):
        kept(directory)
