"""The ring with other routers to compare with: Linux under FRRouting, Open vSwitches under Ryu's spanning tree."""

from __future__ import annotations

import shutil
import socket
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from benchmarks.frames.taps import end
from benchmarks.repair.ring import ACCESS_BPS, ACCESS_US, LINK_BPS, LINKS_US, ROUTERS, SITES, Ring, wait_for
from benchmarks.sandboxed.chain import shape
from helsewan.common.processes import run
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.netlink.interfaces import NetlinkIntf, routing
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.private_switch import PrivateSwitch
from helsewan.emulation.routers.switches import BRIDGE
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.procfs import threads
from helsewan.emulation.sandbox.realtime import LINKS, SWITCHES, set_realtime

SITE = "site"  # a router's interface to its site, and the site's own
FRR = Path("/usr/lib/frr")
FRR_DAEMONS = {"zebra": SWITCHES, "ospfd": SWITCHES, "bfdd": LINKS}  # the priorities of our switches, and of their BFD
# Ryu handles some 2,000 packets a second. Without a limit to those of unknown destination, which are flooded and sent
# to it again by each switch, it would not handle the spanning tree's packets in time, and consider the neighbours lost.
PACKET_INS = ("controller_rate_limit=100", "controller_burst_limit=25")


class BaselineRing(Ring):
    """Common part of both: routers that are nodes of this project, joined by the ring's links."""

    router: dict[str, NamespaceNode]

    def _build(self, routers: list[NamespaceNode]) -> None:
        """Join routers and sites by the ring's links."""
        engine = EngineProcess(max_ports=64, max_pipes=64)
        engine.start()
        self.backend, self.router = EngineBackend(engine, shape), {router.name: router for router in routers}
        self.site = {name: NamespaceNode(f"site-{name}") for name in SITES}
        self.access = {name: SITE + name for name in SITES}
        for link, delay_us in LINKS_US.items():
            first, second = (end(self.backend, self.router[name], link) for name in link.split("-"))
            self.backend.join(link, first, second, LINK_BPS, delay_us)
        for name, site in self.site.items():
            ends = end(self.backend, site, SITE), end(self.backend, self.router[name], SITE)
            self.backend.join(self.access[name], *ends, ACCESS_BPS, ACCESS_US)
        self.backend.commit()

    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        return self.site[site].namespace.socket(family, kind)

    def set_carrier(self, link: str, up: bool) -> int:
        instant = self.backend.set_down([link], not up)
        for name in link.split("-"):
            self._set_port(self.router[name], link, up)
        return instant

    def _set_port(self, router: NamespaceNode, port: str, up: bool) -> None:
        """Set the carrier that a router sees at a port."""
        router.netlink.set_link(port, up=up)


def _links_of(router: str) -> list[str]:
    """The ring's links at a router."""
    return [link for link in LINKS_US if router in link.split("-")]


def _give(node: NamespaceNode, interface: str, address: str) -> None:
    host, _, length = address.partition("/")
    with routing(node.namespace) as route:
        (index,) = route.link_lookup(ifname=interface)
        route.addr("add", index=index, address=host, prefixlen=int(length))


class Ospf(BaselineRing):
    """FRRouting's zebra, ospfd and bfdd in each router's namespace, with timers for fast convergence."""

    def __init__(self, logs: Path, interval_ms: int, multiplier: int) -> None:
        self._logs, self._interval_ms, self._multiplier = logs, interval_ms, multiplier

    def start(self) -> None:
        self._build([NamespaceNode(name) for name in ROUTERS])
        Path("/run").chmod(0o755)  # the daemons run as a user of their own
        for place, (name, site) in enumerate(self.site.items()):
            _give(site, SITE, f"{self.address(name)}/24")
            _give(self.router[name], SITE, f"10.9.{place}.1/24")
            with routing(site.namespace) as route:
                route.route("add", dst="default", gateway=f"10.9.{place}.1")
        for number, link in enumerate(LINKS_US):
            for name, host in zip(link.split("-"), IPv4Network(f"10.8.{number}.0/30").hosts(), strict=True):
                _give(self.router[name], link, f"{host}/30")
        for number, name in enumerate(ROUTERS, 1):
            self._start(name, number)
        self.ready()

    def ready(self) -> None:
        """OSPF uses a link before its BFD session is up; a silent failure would last for OSPF's own four seconds."""
        wait_for(lambda: all(map(self._joined, ROUTERS)), 1, "OSPF and BFD do not come up")

    def version(self) -> str:
        return "FRRouting " + run([str(FRR / "ospfd"), "--version"]).split()[2]

    def address(self, site: str) -> IPv4Address:
        return IPv4Address(f"10.9.{SITES.index(site)}.2")

    def _start(self, name: str, number: int) -> None:
        """Start a router's daemons."""
        self.router[name].namespace.sysctl({"ipv4/ip_forward": 1, "ipv4/conf/all/rp_filter": 0})
        home = Path("/run/frr") / name
        home.mkdir(parents=True)
        for daemon, text in self._configuration(name, number).items():
            log = f"log file {home / daemon}.log informational\nlog timestamp precision 6\n"
            (home / f"{daemon}.conf").write_text(log + text)
        for path in (home.parent, home, *home.iterdir()):
            shutil.chown(path, "frr", "frr")
        for daemon, level in FRR_DAEMONS.items():
            argv = [str(FRR / daemon), "-d", "-N", name, "-f", f"{home / daemon}.conf", "-P", "0"]
            output = self._logs / f"{name}.{daemon}.log"
            with output.open("wb") as file:
                if self.router[name].spawn(argv, stdout=file, stderr=file).wait():
                    raise RuntimeError(output.read_text())
            for thread in threads(int((home / f"{daemon}.pid").read_text()), ""):
                set_realtime(level, thread)

    def _joined(self, name: str) -> bool:
        """Whether a router has an adjacency and a BFD session over each of its links."""
        shown = run(["vtysh", "-N", name, "-c", "show ip ospf neighbor", "-c", "show bfd peers"])
        links = len(_links_of(name))
        return shown.count("Full/") == links and shown.count("Status: up") == links

    def _configuration(self, name: str, number: int) -> dict[str, str]:
        """The configuration of each daemon of a router: point-to-point links with BFD and quick hellos, and without the
        delays that exist by default for larger networks: of shortest-path runs (50 ms and more), of a router's next LSA
        (5 s), of accepting the next one (1 s), and of installing routes in the kernel (10 ms)."""
        interfaces = [
            f"interface {link}\n ip ospf area 0\n ip ospf network point-to-point\n ip ospf hello-interval 1\n"
            f" ip ospf dead-interval 4\n ip ospf cost {LINKS_US[link] // 100}\n"
            " ip ospf bfd\n ip ospf bfd profile fast\n"
            for link in _links_of(name)
        ]
        interfaces += [f"interface {SITE}\n ip ospf area 0\n ip ospf passive\n"] * (name in SITES)
        ospf = f"router ospf\n ospf router-id 10.255.0.{number}\n"
        ospf += " timers throttle spf 0 50 200\n timers throttle lsa all 0\n timers lsa min-arrival 0\n"
        timers = f"  receive-interval {self._interval_ms}\n  transmit-interval {self._interval_ms}\n"
        bfd = f"bfd\n profile fast\n  detect-multiplier {self._multiplier}\n{timers}"
        return {"zebra": "zebra work-queue 0\n", "ospfd": "".join(interfaces) + ospf, "bfdd": bfd}


class SpanningTree(BaselineRing):
    """Ryu's ``simple_switch_stp_13`` at the least times that IEEE 802.1D-2004 (table 17-1) allows."""

    def __init__(self, logs: Path, python: str) -> None:
        self._logs, self._python = logs, python

    def start(self) -> None:
        routers = [PrivateSwitch(n, sandbox.RUN_DIR, self._logs, dpid=f"{i:x}") for i, n in enumerate(ROUTERS, 1)]
        self._build(routers)
        for router in routers:
            interfaces = _links_of(router.name) + [SITE] * (router.name in SITES)
            for port, interface in enumerate(interfaces, 1):
                NetlinkIntf(interface, node=router, port=port)
        for name, site in self.site.items():
            _give(site, SITE, f"{self.address(name)}/24")
        PrivateSwitch.batchStartup(routers)
        path = sandbox.RUN_DIR / "ryu.sock"
        with (self._logs / "ryu.log").open("wb") as log:
            argv = [self._python, "-m", "benchmarks.repair.spanning_tree", str(path)]
            self._process = NamespaceNode("ryu").spawn(argv, stderr=log, stdout=log)
        set_realtime(SWITCHES, self._process.pid)
        wait_for(path.exists, 1, "Ryu does not listen")
        for router in routers:
            (router.home / "ryu.sock").symlink_to(path)
            run(
                [
                    *("ovs-vsctl", f"--db=unix:{router.home / 'db.sock'}"),
                    *("set-controller", BRIDGE, f"unix:{router.home / 'ryu.sock'}"),
                    *("--", "set", "Controller", BRIDGE, *PACKET_INS),
                ]
            )

    def ready(self) -> None:
        """Nothing to wait for: the standard has timers only, no sessions."""

    def _set_port(self, router: NamespaceNode, port: str, up: bool) -> None:
        with routing(
            router.namespace
        ) as route:  # Ryu polls at the carrier, not whether the port is administratively up
            route.link("set", index=route.link_lookup(ifname=port)[0], carrier=int(up))

    def version(self) -> str:
        return "Ryu " + run([self._python, "-c", "import ryu; print(ryu.version)"]).strip()

    def address(self, site: str) -> IPv4Address:
        return IPv4Address(f"10.0.0.{1 + SITES.index(site)}")
