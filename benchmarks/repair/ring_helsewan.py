"""The ring with our routers and our controller."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from dataclasses import astuple, replace
from ipaddress import IPv4Address
from pathlib import Path

from benchmarks.repair.ring import ACCESS_BPS, ACCESS_US, LINK_BPS, LINKS_US, ROUTERS, SITES, Ring
from helsewan.emulation.links.mininet_links import router_interface
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.procfs import thread_clocks
from helsewan.lab.testbed.failure_state import Target
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.importers import import_network
from helsewan.topology.model import access_link_name

IDLE_S = 5
QUIET_S = 1.0


def description() -> str:
    """The network description. The towns' positions do not matter: the links have explicit delays."""
    pops = [f"  {name}: {{lat: {60 + place / 10}, lon: {8 + place / 10}}}" for place, name in enumerate(ROUTERS)]
    links = [
        f"  {link}: {{a: {link.split('-')[0]}, b: {link.split('-')[1]}, rate: {LINK_BPS} bit/s, delay: {us} us}}"
        for link, us in LINKS_US.items()
    ]
    access = f"rate: {ACCESS_BPS} bit/s, delay: {ACCESS_US} us"
    sites = [f"  {_site(name)}: {{kind: hospital, lines: [{{router: {name}, {access}}}]}}" for name in SITES]
    return "\n".join(["name: ring", "pops:", *pops, "links:", *links, "sites:", *sites, ""])


def _site(name: str) -> str:
    return f"hospital-{name}"


class Helsewan(Ring):
    """Open vSwitches and our controller, under the policy ``open``."""

    def __init__(self, logs: Path, interval_ms: int, multiplier: int) -> None:
        file = sandbox.RUN_DIR / "ring.yaml"
        file.write_text(description(), encoding="utf-8")
        plan = compile_policy(load_policy(library_path("open")), import_network(file, None, seed=1).network)
        plan = replace(plan, detect_within_us=(multiplier + 1) * interval_ms * 1000)
        self.testbed = Testbed(plan, sandbox.RUN_DIR, logs, lambda event: None)
        self.access = {name: access_link_name(_site(name), 0) for name in SITES}

    def start(self) -> None:
        self.testbed.start(lambda stage: None)
        self.backend = self.testbed.engine_backend

    def version(self) -> str:
        return "helsewan"

    def address(self, site: str) -> IPv4Address:
        return self.testbed.network.site[_site(site)].address4

    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        return self.testbed.socket_in(_site(site), family, kind)

    def set_carrier(self, link: str, up: bool) -> int:
        target = Target(link, links=(link,))
        return self.testbed.restore(target) if up else self.testbed.fail(target)

    def ready(self) -> None:
        """Nothing to wait for: a link is used only once its BFD session is up."""

    def bfd_packet_us(self) -> float:
        """Processor time (us) of a control packet of BFD from end to end: the time of the switches and the link engine
        on the idle network, minus their time without sessions. Disables all sessions."""
        with_sessions_us, packets = self._idle()
        for switch in self.testbed.net.switches:
            for port in self.testbed.network.ports[switch.name].values():
                switch.set_interface(router_interface(port), "bfd:enable=false")
        time.sleep(QUIET_S)
        without_us, _ = self._idle()
        return (with_sessions_us - without_us) / packets

    def _idle(self) -> tuple[float, int]:
        """Processor time (us) of the idle network for a while, and the packets on its links."""
        before_us, before = self._spent()
        time.sleep(IDLE_S)
        after_us, after = self._spent()
        return after_us - before_us, after - before

    def _spent(self) -> tuple[float, int]:
        daemons: Iterable[int] = (switch.forwarding_thread().pid for switch in self.testbed.net.switches)
        clocks = (clock for pid in (self.testbed.engine.pid, *daemons) for clock in thread_clocks(pid).values())
        pipes = [pipe for link in LINKS_US for pipe in astuple(self.backend.links[link])[1:]]
        return sum(clock.ran_ns for clock in clocks) / 1000, int(
            self.backend.engine.counters()["frames_in"][pipes].sum()
        )
