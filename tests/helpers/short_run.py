"""A short run as a user starts it, and what there is to see of it from outside: used by the tests beside this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from small_network import DESCRIPTION
from waiting import wait_for

from helsewan.emulation.sandbox import sandbox

REPOSITORY = Path(__file__).parents[2]

PARTS = {  # by the module that a process runs
    "helsewan.cli.main": "outer",
    "helsewan.lab.processes.first_process": "world",
    "helsewan.emulation.links.engine_process": "link engine",
    "helsewan.controller.main": "controller",
    "helsewan.controller.slowpath.main": "slow path",
    "helsewan.emulation.routers.management_relay": "management relay",
}

# Small and short: what is tested here is the run, not the network.
_SCENARIO = """
name: %(name)s
description: two calls and a few probes, and a link that fails
network: %(network)s
policy: national
duration: 3 s
timeline:
  cut: {at: 1 s, fail: {link: %(link)s}}
  repaired: {at: 2 s, restore: {link: %(link)s}}
phases: {before: {from: start, to: cut}}
traffic:
  calls: {kind: voice, service: voice, count: 2, from: {kind: [hospital]}, to: {kind: [hospital]}}
  isolation: {kind: isolation, count: 20, every: 200 ms}
checks:
  isolation: {metric: leaked, limit: "== 0"}
  heard: {metric: received, class: voice, over: together, limit: "> 0"}
"""


def scenario(name: str, network: str, link: str) -> str:
    """The text of a scenario of 3 s on ``network`` (its YAML), in which ``link`` fails and is restored."""
    return _SCENARIO % {"name": name, "network": network, "link": link}


SCENARIO = scenario("short", "{from: small.yaml, sites: 3, seed: 1}", "middle-south")


def start(directory: Path, under: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the short scenario with its results below ``directory``, as the last words of the command ``under``."""
    directory.mkdir(exist_ok=True)
    (directory / "small.yaml").write_text(DESCRIPTION)
    (directory / "short.yaml").write_text(SCENARIO)
    return start_file(directory, "short.yaml", under)


def start_file(directory: Path, file: str, under: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start the scenario in ``file``, a path from ``directory``, below which its results go."""
    argv = [*under, sys.executable, "-m", "helsewan.cli.main", "scenario", "run", file]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "HELSEWAN_TEST": str(directory)}
    return subprocess.Popen(argv, cwd=directory, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def processes(directory: Path) -> dict[int, str]:
    """Processes that descend from a run in ``directory``, by the mark in their environment: what each is."""
    mark = f"HELSEWAN_TEST={directory}".encode()
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                argv = (process / "cmdline").read_bytes().decode().split("\0")
                found[int(process.name)] = part(argv)
        except OSError:  # it has ended meanwhile
            continue
    return found


def part(argv: list[str]) -> str:
    """Which part of a run a process is, by its arguments; of passing commands, the program's name."""
    program = Path(argv[0]).name
    modules = [name for name in PARTS if name in argv]
    if program in ("setpriv", "unshare") and modules:  # without: making a world was only tried
        return "launcher"
    return PARTS[modules[0]] if modules else program.removesuffix("-dpdk")


def outside() -> tuple[str, str, list[str]]:
    """What a run could leave on the machine itself: interfaces, mounts, files where worlds keep theirs."""
    interfaces = "\n".join(sorted(path.name for path in Path("/sys/class/net").iterdir()))
    return interfaces, Path("/proc/self/mounts").read_text(), sorted(map(str, sandbox.RUN_DIR.rglob("*")))


def wait_until_gone(directory: Path) -> None:
    """Until all processes of the run are gone; the kernel takes a moment over many namespaces."""
    wait_for(lambda: not processes(directory), "the end of the run's processes")


def result_of(directory: Path, name: str = "short") -> dict[str, Any]:
    """The latest result of the run of scenario ``name`` in ``directory``."""
    loaded: dict[str, Any] = json.loads((directory / f"results/{name}/latest/result.json").read_text())
    return loaded


def events(directory: Path) -> list[str]:
    """What had happened so far, by the run's history; a line just being written is not counted."""
    names = []
    for history in directory.glob("results/short/*/history.jsonl"):
        for line in history.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                names.append(json.loads(line)["event"])
    return names
