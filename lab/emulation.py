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
from typing import Any

from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.routers.forwarding import forwarding
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.health.since import parse_since
from helsewan.lab.health.validity import Validity
from helsewan.lab.links.link_change import LinkRequest
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.links.link_options import directions_of, parsed_change
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.supervision.background import BackgroundSupervision
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
        self.events: list[Event] = []  # that the controllers reported, and those of parts that die, stall or are late
        self._hosts_per_hospital = hosts_per_hospital
        self._temporary = ExitStack()
        self.run_dir = sandbox.RUN_DIR / f"emulation-{next(_NUMBERS)}"
        self._log_dir = log_dir or Path(self._temporary.enter_context(_temporary_directory()))
        self.testbed = Testbed(self.plan, self.run_dir, self._log_dir, self.events.append, forwarding(routers=routers))
        self._supervision: BackgroundSupervision | None = None
        self._links: LinkControl | None = None
        self._health: RunningHealth | None = None

    def start(self, stage: Callable[[str], None] = lambda _: None) -> None:
        """Start the network; ``stage`` is called with a description of each step. Raises what `Testbed.start`
        raises, and InputError in a thread that is in no sandbox."""
        sandbox.require_inside()
        self.run_dir.mkdir(mode=0o700)
        self.testbed.start(stage)
        add_lan_hosts(self.testbed, self._hosts_per_hospital)
        self._links = LinkControl(self.testbed)
        self._health = RunningHealth(self.testbed)
        self._supervision = BackgroundSupervision(self.testbed, self._record, self._log_dir)

    def _record(self, event: str, **facts: object) -> None:
        self.events.append({"event": event, **facts})

    @property
    def _supervised(self) -> BackgroundSupervision:
        if self._supervision is None:
            raise RuntimeError(_NOT_STARTED)
        return self._supervision

    @property
    def net(self) -> EmulatedNet:
        """The network as a Mininet; nodes have the ids of sites and routers. Raises PartLost as `set_link` does."""
        if self._supervision is not None:
            with self._supervision.going_on():
                pass
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

        ``silent`` and ``frozen`` are deprecated aliases of ``blackhole`` and ``paused``. Raises PartLost, which names
        the cause and the log, where a part without which the network cannot go on has ended."""
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
        with self._supervised.going_on():
            return self.links.change(LinkRequest.model_validate_json(json.dumps(request)))

    def power_off(self, router: str) -> None:
        """Cut a router's power, as ``helsewan router power-off`` does. Raises InputError and PartLost."""
        self._supervised.switch_power(router, on=False)

    def power_on(self, router: str) -> None:
        """Restore a router's power, also of one that died: it comes back empty, and its links carry once it is
        programmed, which has happened on return. Raises InputError, PartLost, and RouterNotStarted where it does
        not."""
        self._supervised.switch_power(router, on=True)

    def status(self) -> dict[str, Any]:
        """What is dead, stalled or late, and since when, as in ``helsewan status --json``: ``dead``, ``troubles``,
        ``past_troubles``, ``sites_off``; and ``lost``, why the network cannot go on, or None."""
        return self._supervised.report()

    def validity(self, since: float | str | None = None) -> Validity:
        """How far results can be trusted since ``start``, or since a time (``time.time()``, or as in ``helsewan status
        --since``): a grade, valid, suspect or void, and its reasons, whose seconds are times since the epoch. Raises
        RuntimeError before ``start``, InputError for an invalid time."""
        if self._health is None:
            raise RuntimeError(_NOT_STARTED)
        since_s = parse_since(since, time.time()) if isinstance(since, str) else since
        with self._supervised.going_on():
            return self._health.validity(since_s, self.testbed.machine_drops())

    def close(self) -> None:
        """End the network and all that runs on its nodes. Idempotent."""
        if self._supervision is not None:
            self._supervision.stop()
        if self._health is not None:
            self._health.close()
        self.testbed.close()
        self.testbed.dismantle()
        shutil.rmtree(self.run_dir, ignore_errors=True)
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
