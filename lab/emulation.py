"""An emulated network for Python programs: Mininet's interface to its nodes, and its lines to change.

    from helsewan.emulation.sandbox import sandbox
    from helsewan.lab.emulation import Emulation
    from helsewan.topology.national.generator import national_network

    sandbox.inhabit()
    with Emulation(national_network(sites=90), policy="open") as emulation:
        net = emulation.net
        net.pingPair()
        emulation.set_line("oslo-hamar", delay="20 ms", loss="1 %")

docs/python.md tells more.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from helsewan.emulation.mininet.net import EmulatedNet
from helsewan.emulation.nodes.lan import LanHost, add_lan_host
from helsewan.emulation.sandbox import sandbox
from helsewan.lab.links.link_change import LinkRequest
from helsewan.lab.links.link_control import LinkControl
from helsewan.lab.links.link_options import directions_of, parsed_change
from helsewan.lab.processes.controller_processes import Event
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.plan_source import load_plan
from helsewan.topology.model import Kind, Network


class Emulation:
    """``network`` under ``policy`` (a name of the library or a path), in the present world, from ``start`` or
    ``with`` to ``close``. ``log_dir`` gets the daemons' logs; without one they go with the emulation."""

    def __init__(
        self, network: Network, policy: str = "national", hosts_per_hospital: int = 0, log_dir: Path | None = None
    ) -> None:
        """Raises InputError for a policy that does not fit the network."""
        self.plan = load_plan(policy, network)
        self.events: list[Event] = []  # what the controller reported
        self._hosts_per_hospital = hosts_per_hospital
        self._held = ExitStack()
        logs = log_dir or Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="helsewan-")))
        self.testbed = Testbed(self.plan, sandbox.RUN_DIR, logs, self.events.append)

    def start(self, stage: Callable[[str], None] = lambda _: None) -> None:
        """Bring it up; ``stage`` is told what is being done."""
        self.testbed.start(stage)
        add_lan_hosts(self.testbed, self._hosts_per_hospital)
        self.lines = LinkControl(self.testbed)

    @property
    def net(self) -> EmulatedNet:
        """The network as a Mininet; nodes have the ids of sites and routers."""
        return self.testbed.net

    def set_line(
        self,
        line: str,
        direction: str = "both",
        reset: bool = False,
        *,
        down: bool | None = None,
        silent: bool | None = None,
        frozen: bool | None = None,
        **options: str,
    ) -> tuple[str, ...]:
        """Change lines as ``helsewan link set`` does, with its options by name (``delay="20 ms"``,
        ``loss_bursts="1 %,30 %"``); the lines changed. Raises InputError for what cannot be."""
        change = parsed_change({name.replace("_", "-"): text for name, text in options.items()}, {})
        request = {
            "line": line,
            "directions": directions_of(direction),
            "reset": reset,
            "change": change,
            "state": {"down": down, "silent": silent, "frozen": frozen},
        }
        return self.lines.change(LinkRequest.model_validate_json(json.dumps(request)))

    def close(self) -> None:
        """End the emulation; the rest goes with the world."""
        self.testbed.close()
        self._held.close()

    def __enter__(self) -> Emulation:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def add_lan_hosts(testbed: Testbed, per_hospital: int) -> list[LanHost]:
    """Put so many hosts behind every hospital. Raises InputError where a prefix has no room for them."""
    hospitals = [site for site in testbed.network.sites if site.kind is Kind.HOSPITAL]
    return [add_lan_host(testbed.net, testbed.site(site.id)) for site in hospitals for _ in range(per_hospital)]
