"""What a run keeps of its inputs, so that it can be run exactly again: written with it, read and proved by a replay.

In the folder ``inputs`` of the run's directory:

    scenario.yaml   the scenario as it was read: includes and overrides resolved, parameters filled in
    policy.yaml     the policy's text, with all that it includes
    files/          the network's file, and every other file that the scenario names, up to ``MOST_COPIED`` bytes;
                    a larger one stays where it is
    inputs.json     ``schema``; ``scenario``: the name or path it was run by; ``policy_at``: the time that the policy's
                    exceptions were judged at; ``forwarding``, ``versions``; ``files``: the SHA-256 of every file above
                    and of those that stay elsewhere, by path; ``traffic``: of the planned traffic and its targets
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import yaml

from helsewan.common.errors import InputError, Problem
from helsewan.emulation.routers.forwarding import Forwarding, forwarding
from helsewan.lab.processes import machine
from helsewan.scenarios.results.files.figures_file import FIGURES
from helsewan.scenarios.run.preparation import Prepared, prepare_scenario
from helsewan.scenarios.spec.spec import Scenario, load_scenario

FOLDER, SCENARIO, POLICY, FILES, INDEX = "inputs", "scenario.yaml", "policy.yaml", "files", "inputs.json"
SCHEMA = 1
MOST_COPIED = 16_000_000
OPTION = "--replay"

Data = dict[str, Any]


@dataclass(frozen=True)
class KeptInputs:
    """The inputs of an earlier run, found complete and unchanged. ``other_versions``: the software that is another by
    now, each with both versions."""

    scenario: Scenario
    policy_at: datetime
    forwarding: Forwarding
    traffic: str
    other_versions: Mapping[str, tuple[str, str]]

    def prepare(self) -> Prepared:
        """The run ready to go again. Raises InputError where this version of helsewan makes another run of it."""
        prepared = prepare_scenario(self.scenario, self.policy_at)
        if _traffic_digest(prepared) != self.traffic:
            reason = "cannot be run exactly again: this version of helsewan plans other traffic from the same inputs"
            raise InputError(Problem(OPTION, self.scenario.document.name, reason, "run it as a scenario of its own"))
        return prepared


def keep(directory: Path, prepared: Prepared, carried_by: Forwarding) -> None:
    """Write the inputs of a run into its ``directory``."""
    scenario = prepared.scenario
    folder = directory / FOLDER
    folder.mkdir()
    files: dict[str, str] = {}
    data = _with_files(filled_in(scenario), scenario, folder, files)
    data["policy"] = POLICY
    for name, text in ((SCENARIO, dumped(data)), (POLICY, prepared.plan.source)):
        (folder / name).write_text(text, encoding="utf-8")
        files[name] = _digest(folder / name)
    index = {
        "schema": SCHEMA,
        "scenario": scenario.document.name,
        "policy_at": prepared.policy_at.isoformat(),
        "forwarding": carried_by.as_json(),
        "versions": machine.versions(),
        "files": files,
        "traffic": _traffic_digest(prepared),
    }
    (folder / INDEX).write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def kept(results: Path) -> KeptInputs:
    """The inputs that the run in ``results`` (its directory, or its result.json) kept. Raises InputError where they are
    incomplete or not as the run left them."""
    folder = (results.parent if results.is_file() else results) / FOLDER
    index = _index(folder, results)
    problems = [*_changes(folder, index["files"])]
    if problems:
        raise InputError(*problems)
    now = machine.versions()
    before = index["versions"]
    names = sorted(before.keys() | now.keys())
    others = {name: (str(before.get(name)), str(now.get(name))) for name in names if before.get(name) != now.get(name)}
    carried = index["forwarding"]
    return KeptInputs(
        load_scenario(str(folder / SCENARIO)),
        datetime.fromisoformat(index["policy_at"]),
        forwarding(carried["dataplane"], carried["router_kind"]),
        index["traffic"],
        others,
    )


def _traffic_digest(prepared: Prepared) -> str:
    """Identifies what a run does: the SHA-256 of its planned flows, exchanges, replays and programs, and of its
    events."""
    traffic = prepared.traffic
    replays = [(replay.hosts, replay.flows, replay.pace, replay.extent) for replay in traffic.replays]
    targets = sorted(prepared.targets.items())
    planned = repr((traffic.flows, traffic.exchanges, replays, traffic.programs, targets, prepared.timeline.plan))
    return sha256(planned.encode()).hexdigest()


def filled_in(scenario: Scenario) -> Data:
    """A scenario as plain data, parameters filled in; its parameters' values are their defaults, so that it says the
    same of itself."""
    data: Data = dict(scenario.document.data)
    if declared := data.get("parameters"):
        data["parameters"] = {
            name: {**parameter, "default": scenario.parameters[name]} for name, parameter in declared.items()
        }
    return data


def dumped(data: Data) -> str:
    """A scenario's data as the text of a scenario file."""
    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120))


def _with_files(data: Data, scenario: Scenario, folder: Path, files: dict[str, str]) -> Data:
    """``data`` with every path of a file, from the folder of the file that it stands in, replaced by that of its copy
    in ``folder``, or its absolute path where it is too large; ``files`` gets the digest of each."""

    def replaced(value: Any, at: tuple[str | int, ...]) -> Any:
        if isinstance(value, dict):
            return {key: replaced(each, (*at, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [replaced(each, (*at, number)) for number, each in enumerate(value)]
        path = _named_file(scenario.document.folder(at), value) if isinstance(value, str) else None
        if path is None:
            return value
        kept_as = str(path)
        if path.stat().st_size <= MOST_COPIED:
            kept_as = f"{FILES}/{len(files):02d}-{path.name}"
            (folder / FILES).mkdir(exist_ok=True)
            shutil.copyfile(path, folder / kept_as)
        files[kept_as] = _digest(path)
        return kept_as

    return {key: value if key == "policy" else replaced(value, (key,)) for key, value in data.items()}


def _named_file(base: Path, name: str) -> Path | None:
    """The file that ``name`` means from the folder ``base``; of a run that is compared with, its figures."""
    for path in (base / name, base / name / FIGURES):
        if _is_file(path):
            return path.resolve()
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a text that can be no path
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _index(folder: Path, results: Path) -> Data:
    path = folder / INDEX
    hint = "give the directory of a run, or its result.json"
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(Problem(OPTION, str(results), "has kept no inputs of a run", hint)) from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(OPTION, str(path), f"cannot be read: {error}", hint)) from None
    if not isinstance(index, dict) or index.get("schema") != SCHEMA:
        raise InputError(Problem(OPTION, str(path), "was written by another version of helsewan", "run it with that"))
    return index


def _changes(folder: Path, files: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each file of ``files`` that is missing or has other contents than the run had."""
    for name, digest in files.items():
        path = folder / name  # an absolute name stands for itself
        if not _is_file(path):
            yield Problem(OPTION, str(path), "is missing: the run had it as an input", "put it back")
        elif _digest(path) != digest:
            hint = "put the file of the run back, or run the scenario anew"
            yield Problem(OPTION, str(path), "has changed since the run", hint)
