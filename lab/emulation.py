"""An emulated network for Python programs: its nodes by Mininet's interface, and control of its links.

    from helsewan.emulation.sandbox import sandbox
    from helsewan.lab import Emulation
    from helsewan.topology.national.generator import national_network

    sandbox.inhabit()
    with Emulation(national_network(sites=90), policy="open") as emulation:
        net = emulation.net
        net.pingPair()
        emulation.set_link("oslo-hamar", delay="20 ms", loss="1 %")

See docs/python.md.
"""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.routers.forwarding import forwarding
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.health.since import parse_since
from helsewan.lab.health.validity import Validity
from helsewan.lab.links.link_change import LinkRequest
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.links.link_options import directions_of, parsed_change
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.testbed.lan_hosts import add_lan_hosts
from helsewan.lab.testbed.running_health import RunningHealth
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.plan_source import load_plan
from helsewan.topology.model import Network

_NUMBERS = itertools.count(1)  # of the emulations of this process
_NOT_STARTED = "the emulation was not started"


def _temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory in the sandbox, if there is one: so nothing of it is left, even by kill -9."""
    return tempfile.TemporaryDirectory(prefix="helsewan-", dir=sandbox.RUN_DIR if sandbox.RUN_DIR.is_dir() else None)


class Emulation:
    """``network`` with ``policy`` (a name of the library or a path) in the current sandbox, from ``start`` or ``with``
    to ``close``. Several may run at a time, or one after the other. The daemons' logs are written to ``log_dir``;
    without one they are removed with the emulation."""

    def __init__(
        self,
        network: Network,
        policy: str = "national",
        hosts_per_hospital: int = 0,
        log_dir: Path | None = None,
        *,
        routers: str = "",
    ) -> None:
        """``routers``: ``shared`` or ``private``, by default the first where this machine can have it. Raises
        InputError for a policy that does not fit the network, and for routers that cannot be had."""
        self.plan = load_plan(policy, network)
        self.events: list[Event] = []  # events that the controllers reported
        self._hosts_per_hospital = hosts_per_hospital
        self._temporary = ExitStack()
        self._run_dir = sandbox.RUN_DIR / f"emulation-{next(_NUMBERS)}"
        logs = log_dir or Path(self._temporary.enter_context(_temporary_directory()))
        self.testbed = Testbed(self.plan, self._run_dir, logs, self.events.append, forwarding(routers=routers))
        self._links: LinkControl | None = None
        self._health: RunningHealth | None = None

    def start(self, stage: Callable[[str], None] = lambda _: None) -> None:
        """Start the network; ``stage`` is called with a description of each step. Raises what `Testbed.start`
        raises, and InputError in a thread that is in no sandbox."""
        sandbox.require_inside()
        self._run_dir.mkdir(mode=0o700)
        self.testbed.start(stage)
        add_lan_hosts(self.testbed, self._hosts_per_hospital)
        self._links = LinkControl(self.testbed)
        self._health = RunningHealth(self.testbed)

    @property
    def net(self) -> EmulatedNet:
        """The network as a Mininet; nodes have the ids of sites and routers."""
        return self.testbed.net

    @property
    def links(self) -> LinkControl:
        """Control of the links; ``describe`` and ``changed`` return their state. Raises RuntimeError before
        ``start``."""
        if self._links is None:
            raise RuntimeError(_NOT_STARTED)
        return self._links

    def set_link(
        self,
        link: str,
        direction: str = "both",
        reset: bool = False,
        *,
        down: bool | None = None,
        blackhole: bool | None = None,
        paused: bool | None = None,
        silent: bool | None = None,
        frozen: bool | None = None,
        **options: str,
    ) -> tuple[str, ...]:
        """Change links as ``helsewan link set`` does, with its options by name (``delay="20 ms"``,
        ``loss_bursts="1 %,30 %"``); returns the names of the links. Raises InputError for an invalid change.

        ``silent`` and ``frozen`` are deprecated aliases of ``blackhole`` and ``paused``."""
        change = parsed_change({name.replace("_", "-"): text for name, text in options.items()}, {})
        request = {
            "line": link,
            "directions": directions_of(direction),
            "reset": reset,
            "change": change,
            "state": {
                "down": down,
                "silent": silent if blackhole is None else blackhole,
                "frozen": frozen if paused is None else paused,
            },
        }
        return self.links.change(LinkRequest.model_validate_json(json.dumps(request)))

    def validity(self, since: float | str | None = None) -> Validity:
        """How far results can be trusted since ``start``, or since a time (``time.time()``, or as in ``helsewan status
        --since``): a grade, valid, suspect or void, and its reasons, whose seconds are times since the epoch. Raises
        RuntimeError before ``start``, InputError for an invalid time."""
        if self._health is None:
            raise RuntimeError(_NOT_STARTED)
        since_s = parse_since(since, time.time()) if isinstance(since, str) else since
        return self._health.validity(since_s, self.testbed.machine_drops())

    def close(self) -> None:
        """End the network and all that runs on its nodes. Idempotent."""
        if self._health is not None:
            self._health.close()
        self.testbed.close()
        self.testbed.dismantle()
        shutil.rmtree(self._run_dir, ignore_errors=True)
        self._temporary.close()

    def __enter__(self) -> Emulation:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    lines = links  # deprecated aliases
    set_line = set_link
