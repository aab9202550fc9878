"""A network under test: an `Emulation` with what tests do to it, and everything they did undone between two tests."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from helsewan.common.errors import InputError, Problem
from helsewan.common.suggestions import similar_names
from helsewan.emulation.nodes.nodes import NamespaceNode, SiteNode
from helsewan.lab.emulation import Emulation
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.plan import Plan
from helsewan.scenarios.spec.timeline.actions import TargetSpec
from helsewan.scenarios.spec.timeline.targets import resolve
from helsewan.testing import programs
from helsewan.testing.choice import NetworkChoice
from helsewan.testing.leaks import processes
from helsewan.topology.importers import network_from
from helsewan.topology.model import Network, Site
from helsewan.topology.national.generator import national_network


def _network(choice: NetworkChoice) -> Network:
    """The network that is asked for. Raises InputError for a file that is none."""
    return network_from(choice.source) if choice.source else national_network(choice.sites, choice.seed)


class Wan:
    """A running network, from ``start`` to ``close``. Everything of `helsewan.lab.Emulation` is at ``emulation``."""

    def __init__(self, choice: NetworkChoice, log_dir: Path) -> None:
        """Raises InputError for a network or policy that does not exist or does not fit."""
        self.choice, self.log_dir = choice, log_dir
        self.emulation = Emulation(
            _network(choice), choice.policy, choice.hosts_per_hospital, log_dir, routers=choice.routers
        )
        self.faults = Faults(self)
        self.began_s = time.time()  # of the test that uses it now
        self._seen_events = 0
        self._spared: set[int] = set()

    def start(self) -> None:
        """Start it; raises what `Emulation.start` raises."""
        with ExitStack() as undo:
            undo.callback(self.close)
            self.emulation.start()
            undo.pop_all()
        self._spared = processes()

    def close(self) -> None:
        """End it. Idempotent."""
        self.emulation.close()

    def begin_test(self) -> None:
        """A test begins: its events and validity count from now on."""
        self.began_s, self._seen_events = time.time(), len(self.emulation.events)

    def reset(self) -> None:
        """Undo what a test did: faults, changes of links, power, commands that still run. Raises PartLost where the
        network cannot go on."""
        self.faults.undo()
        for router in sorted(self.testbed.failed_routers):
            self.emulation.power_on(router)
        for changed in self.emulation.links.changed():
            self.emulation.set_link(f"link:{changed['line']}", reset=True)
        hosts = self.net.hosts  # not routers, whose daemons have been started anew with their power
        shells = {host.shell.pid for host in hosts if host.shell}
        programs.end_commands(hosts, self._spared | shells)

    @property
    def testbed(self) -> Testbed:
        """The parts of the network."""
        return self.emulation.testbed

    @property
    def net(self) -> Any:
        """The network as a Mininet."""
        return self.emulation.net

    @property
    def plan(self) -> Plan:
        """The compiled policy on the network."""
        return self.emulation.plan

    @property
    def network(self) -> Network:
        """The network's model."""
        return self.plan.network

    @property
    def sites(self) -> tuple[Site, ...]:
        """All sites; ``sites[0].id`` is a name for ``node``."""
        return self.network.sites

    @property
    def events(self) -> list[dict[str, Any]]:
        """What the controllers and the supervision reported since the test began."""
        return list(self.emulation.events[self._seen_events :])

    @cached_property
    def topology_hash(self) -> str:
        """The SHA-256 sum of the network's model and the policy's plan: networks with the same one are alike."""
        shown = repr((self.network, self.plan.policy, self.plan.classes, sorted(map(str, self.plan.allowed))))
        return hashlib.sha256(shown.encode()).hexdigest()

    def node(self, name: str) -> NamespaceNode:
        """A site, a host behind one, or a router, by id. Raises InputError, with similar names, for none."""
        nodes: Mapping[str, NamespaceNode] = self.net.nameToNode
        if name not in nodes:
            raise InputError(Problem("node", name, f"is no site or router of this network{similar_names(name, nodes)}"))
        return nodes[name]

    def site(self, name: str) -> SiteNode:
        """A site by id. Raises InputError for none."""
        node = self.node(name)
        if not isinstance(node, SiteNode):
            raise InputError(Problem("site", name, "is a router", "name a site"))
        return node

    def pairs(self, service: str = "", count: int = 1) -> list[tuple[Site, Site]]:
        """Pairs of sites, client and server, that the policy lets use a service (any one by default): in the network's
        order, of as many different clients as possible."""
        roles = self.plan.role_of_site
        allowed = {(a, b) for a, b, name in self.plan.allowed if service in ("", name)}
        found: list[tuple[Site, Site]] = []
        for client in self.sites:
            for server in reversed(self.sites):
                if client.id != server.id and (roles[client.id].id, roles[server.id].id) in allowed:
                    found.append((client, server))
                    break
            if len(found) == count:
                break
        return found

    def run_on(self, site: str, program: programs.Program, *arguments: Any, timeout: str | float = "60 s") -> Any:
        """Run a command or a Python function on a site, see `programs.run_on`."""
        return programs.run_on(self.node(site), program, *arguments, timeout=timeout)

    def start_on(self, site: str, program: Any, *arguments: Any) -> programs.Running:
        """Start a command on a site and go on; what still runs at the end of the test is killed."""
        return programs.started_on(self.node(site), program, *arguments)

    def connect(self, site: str, to: object, port: int, timeout: str | float = "5 s") -> socket.socket:
        """A TCP connection from a site to another one (its id) or to an address. Raises OSError."""
        return programs.connect(self.node(site), self.address_of(to), port, timeout)

    def address_of(self, place: object, version: int = 4) -> str:
        """A site's own address; any other text, or address, as it is."""
        site = self.network.site.get(str(place))
        if site is None:
            return str(place)
        return str(site.address4 if version == 4 else site.address6)

    def target(self, **named: str) -> Target:
        """The target of a fault by one of ``link``, ``access``, ``router``, ``pop``, ``region_core``, ``srlg``,
        ``controller``. Raises InputError for one that does not exist."""
        try:
            spec = TargetSpec.model_validate_json(json.dumps(named))
        except ValueError as error:
            raise InputError(
                Problem("fault", ", ".join(f"{key}={text}" for key, text in named.items()), str(error))
            ) from None
        return resolve(spec, self.network, "fault")


class Faults:
    """Faults of a network. Each can be undone alone (its return value, called, does), and all are undone at the end of
    the test, the last one first, whatever happens."""

    def __init__(self, wan: Wan) -> None:
        self._wan = wan
        self._undo: list[Callable[[], None]] = []

    def fail(self, **target: str) -> Callable[[], None]:
        """Fail a place, both ways and with loss of carrier: ``link="oslo-hamar"``, ``access="gp-c"``, ``router=``,
        ``pop=``, ``region_core="nord"``, ``srlg=``, ``controller="leading"``."""
        found = self._wan.target(**target)
        self._wan.testbed.fail(found)
        return self._until(lambda: self._wan.testbed.restore(found))

    def set_link(self, link: str, direction: str = "both", **options: Any) -> Callable[[], None]:
        """Change a link, as `Emulation.set_link` does: ``loss="1 %"``, ``delay="80 ms"``, ``down=True`` ..."""
        names = self._wan.emulation.set_link(link, direction, **options)
        return self._until(lambda: self._reset(names))

    def blackhole(self, link: str, direction: str = "both") -> Callable[[], None]:
        """Let a link lose every frame without loss of carrier, as a broken line card does."""
        return self.set_link(link, direction, blackhole=True)

    def pause(self, link: str) -> Callable[[], None]:
        """Stop a link: frames wait."""
        return self.set_link(link, paused=True)

    def power_off(self, router: str) -> Callable[[], None]:
        """Cut a router's power: it comes back empty and is programmed again."""
        self._wan.emulation.power_off(router)
        return self._until(lambda: self._wan.emulation.power_on(router))

    def undo(self) -> None:
        """Undo all that are left, the last one first."""
        while self._undo:
            self._undo[-1]()

    def _reset(self, names: tuple[str, ...]) -> None:
        for name in names:
            self._wan.emulation.set_link(f"link:{name}", reset=True)

    def _until(self, undo: Callable[[], object]) -> Callable[[], None]:
        def undone() -> None:
            if undone in self._undo:
                self._undo.remove(undone)
                undo()

        self._undo.append(undone)
        return undone
