"""The plugin's fixtures: docs/pytest.md says how each is used."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helsewan.testing.choice import choice_of
from helsewan.testing.outcomes import failed_alone
from helsewan.testing.session import CAPTURES, FAILED, NETWORKS, OUTER_PID, USED

if TYPE_CHECKING:
    from helsewan.emulation.nodes.nodes import NamespaceNode
    from helsewan.lab.link_pair import LinkPair
    from helsewan.lab.processes.controller_processes import Controllers
    from helsewan.testing.isolation import Isolation
    from helsewan.testing.traffic import Stream
    from helsewan.testing.wan import Faults, Wan

DEFAULT_PAIR = {"rate": "10 Mbit/s", "delay": "10 ms"}


@pytest.fixture
def wan(request: pytest.FixtureRequest) -> Iterator[Wan]:
    """The network of the marker ``network``; what the test did to it is undone afterwards."""
    from helsewan.common.errors import InputError

    item, networks = request.node, request.config.stash[NETWORKS]
    try:
        taken = networks.take(choice_of(item))
    except InputError as error:
        failed_alone("; ".join(map(str, error.problems)))
    item.stash[USED] = taken
    yield taken
    if item.stash.get(FAILED, False) and request.config.getoption("--helsewan-keep"):
        _keep(request.config, taken)
    networks.give_back(taken)


@pytest.fixture
def node(wan: Wan) -> Callable[[str], NamespaceNode]:
    """A site or router of the network by its id: ``node("hospital-voss").cmd("ping -c 1", …)``."""
    return wan.node


@pytest.fixture
def fault(wan: Wan) -> Faults:
    """Faults, undone at the end of the test: ``fault.fail(link="oslo-hamar")``, ``fault.set_link(…, loss="1 %")``."""
    return wan.faults


@pytest.fixture
def traffic(wan: Wan) -> Iterator[Callable[..., Stream]]:
    """Streams of datagrams: ``traffic("gp-c", "hospital-a", "voice").wait().loss``; those left are stopped."""
    from helsewan.testing import traffic as streams

    with ExitStack() as running:

        def start(client: str, server: str, service: str = "", **options: Any) -> Stream:
            return running.enter_context(streams.stream(wan, client, server, service, **options))

        yield start


@pytest.fixture
def isolation(wan: Wan) -> Isolation:
    """Proofs and probes: ``isolation.require()``, ``isolation.require_apart(a, b)``."""
    from helsewan.testing.isolation import Isolation

    return Isolation(wan)


@pytest.fixture
def controller(wan: Wan) -> Controllers:
    """The network's controllers: ``controller.events``, ``controller.wait_for_event(…)``."""
    return wan.testbed.controllers


@pytest.fixture
def capture(
    wan: Wan, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[str], AbstractContextManager[Path]]]:
    """Captures of links: ``with capture("oslo-hamar") as file: …``; the files are named in a failed test's report."""
    files: list[Path] = request.node.stash.setdefault(CAPTURES, [])

    @contextmanager
    def captured(link: str) -> Iterator[Path]:
        file = tmp_path / f"{link.replace('/', '-')}-{len(files)}.pcapng"
        running = wan.testbed.engine_backend.capture(link, None, file)
        files.append(file)
        try:
            yield file
        finally:
            running.stop()

    yield captured


@pytest.fixture
def emulated_link() -> Iterator[Callable[..., LinkPair]]:
    """Two hosts with one link between them: ``emulated_link(rate="2 Mbit/s", delay="20 ms", loss="1 %")``."""
    from helsewan.lab.link_pair import LinkPair

    with ExitStack() as standing:
        yield lambda **options: standing.enter_context(LinkPair(**options))


@pytest.fixture
def two_sites(emulated_link: Callable[..., LinkPair]) -> LinkPair:
    """Two hosts, ``a`` and ``b``, joined by 10 Mbit/s and 10 ms."""
    return emulated_link(**DEFAULT_PAIR)


@dataclass(frozen=True)
class ScenarioRun:
    """A scenario's run: its exit status, what it printed, and ``result``, the contents of ``result.json``."""

    status: int
    output: str
    directory: Path
    result: dict[str, Any]

    @property
    def verdict(self) -> str:
        """``pass``, ``fail``, ``void`` or ``error``."""
        return str(self.result["verdict"])

    def require_pass(self) -> None:
        """Raise AssertionError, with what it printed, unless it passed."""
        if self.verdict != "pass":
            raise AssertionError(f"the scenario's verdict is {self.verdict}:\n{self.output}")


@pytest.fixture
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., ScenarioRun]:
    """Run a scenario of the library or a file in a sandbox of its own:
    ``scenario("region-failover", sites=90, calls=2).require_pass()``."""
    marker = request.node.get_closest_marker("seed")
    return partial(_run_scenario, tmp_path, marker.args[0] if marker and marker.args else None)


def _run_scenario(
    folder: Path, seed: int | None, name: str, *, sites: int | None = None, timeout: float = 600, **settings: object
) -> ScenarioRun:
    results = folder / "results"
    argv = [sys.executable, "-m", "helsewan.cli.main", "scenario", "run", name, "--results", str(results)]
    argv += ["--sites", str(sites)] if sites is not None else []
    argv += ["--seed", str(seed)] if seed is not None else []
    for key, value in settings.items():
        argv += ["--set", f"{key}={value}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    found = sorted(results.glob("*/2*/result.json"), key=os.path.getmtime)
    if not found:
        failed_alone(f"{name} did not run: {' '.join((done.stderr or done.stdout).split())}")
    result = json.loads(found[-1].read_text(encoding="utf-8"))
    return ScenarioRun(done.returncode, done.stdout + done.stderr, found[-1].parent, result)


def _keep(config: pytest.Config, wan: Wan) -> None:
    """Keep a failed test's network until ctrl-C, and say how to enter it."""
    outer = config.stash[OUTER_PID]
    inside = f"$(pgrep -P $(pgrep -P {outer}))" if os.getpid() == 1 else str(outer)
    site = wan.sites[0].id
    place = f"/proc/{os.getpid()}/fd/{wan.node(site).namespace.fd}"
    manager = config.pluginmanager.getplugin("capturemanager")
    with manager.global_and_fixture_disabled() if manager else ExitStack():
        print(f"\n\nthe network {wan.choice.name} is kept; ctrl-C ends it. To enter site {site} from another terminal:")
        print(f"  sudo nsenter --target {inside} --mount --pid nsenter --net={place} bash")
        print("sites have these descriptors there:")
        for other in wan.sites[:10]:
            print(f"  {other.id}: /proc/{os.getpid()}/fd/{wan.node(other.id).namespace.fd}")
        sys.stdout.flush()
        try:
            while True:
                signal.pause()
        except KeyboardInterrupt:
            print("ending it")
