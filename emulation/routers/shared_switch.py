"""Shared routers: bridges of one Open vSwitch with DPDK, joined to the link engine by shared memory.

One thread polls the ports of all routers, and frames pass from a link to a router and on without a system call. Each
router has its own identity and its own management link all the same, see `management_relay`. Traps and figures:
docs/decisions, 27.
"""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from helsewan.common.processes import CommandError, run
from helsewan.emulation.links.link_backend import CORE_MTU
from helsewan.emulation.links.ring_ports import RingPort, RingPorts
from helsewan.emulation.routers import shared_counters, unixctl
from helsewan.emulation.routers.management_relay import ManagementRelay, Relayed
from helsewan.emulation.routers.returning_ports import ReturningPorts
from helsewan.emulation.routers.switches import (
    BUNDLE_IDLE_S,
    DATABASE_SERVER,
    FORWARDER,
    MANAGEMENT_INTERFACE,
    MONITOR,
    REVALIDATOR,
    SCHEMA,
    START_DEADLINE_S,
    USERSPACE,
    Daemon,
    RouterKind,
    RouterSwitch,
    Thread,
    bridge_settings,
    controller_settings,
    has_bfd,
    start_daemon,
)
from helsewan.emulation.sandbox.namespaces import Namespace
from helsewan.emulation.sandbox.procfs import thread_clock_ns, threads
from helsewan.emulation.sandbox.realtime import LINKS, SWITCHES, set_realtime

PROGRAM = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")  # Debian's; beside the one without DPDK
# The longest sleep of the polling thread, us, when it finds no or few frames. A frame waits for half of it on average
# at each router, which the next link compensates; an idle network costs less the longer it is.
MAX_SLEEP_US = 250
# Memory of DPDK: 16,383 buffers (preload/dpdk_buffers.c), a page of 4 KB each as there are no huge pages, and what a
# port takes.
BUFFERS_MB, PORT_KB = 80, 100
PRELOADED = "helsewan.emulation._dpdk_buffers"
_FIRST_PORT = "buffers"
_PORTS_DEADLINE_S = 60.0
_COUNTERS_DEADLINE_S = 1.0  # they are read every second
_POLLING = "pmd-"  # how the polling thread's name begins
_VHOST = "vhost-events"  # the thread that answers when a port is to go down


class SharedOpenVSwitch:
    """The daemons that all shared routers of a network are bridges of; files are in ``home``, logs in ``log_dir``."""

    def __init__(self, home: Path, log_dir: Path, rings: RingPorts) -> None:
        """``rings``: the link engine's ports in shared memory."""
        self.home, self._log_dir, self.rings = home / "switch", log_dir, rings
        self._namespace = Namespace()  # Open vSwitch creates an interface for each bridge
        self._relay: ManagementRelay | None = None
        self._daemons: list[Daemon] = []
        self.is_started = False  # whether ``start`` has started everything
        self._misses_before = 0
        self._counted = shared_counters.Counted({}, 0)
        self._control = self.home / f"{FORWARDER}.ctl"
        self.routers: tuple[SharedSwitch, ...] = ()
        self._returning = ReturningPorts(rings, lambda asked: unixctl.commands(self._control, asked))
        self.home.mkdir(mode=0o700)

    def start(self, routers: Sequence[SharedSwitch]) -> None:
        """Start the daemons and add all ``routers``. Raises CommandError when that fails."""
        self.routers = tuple(routers)
        self._relay = ManagementRelay(
            self.home, self._log_dir, [each for router in routers for each in router.relayed()]
        )
        database = self.home / "conf.db"
        with self._namespace.entered():
            run(["ovsdb-tool", "create", str(database), str(SCHEMA)])
            argv = [DATABASE_SERVER, str(database), f"--remote=punix:{self._socket}"]
            self._daemons.append(start_daemon(argv, self.home, DATABASE_SERVER, self.log(DATABASE_SERVER)))
            ports = sum(len(router.rings) for router in routers)
            self.configure(
                "--no-wait", "init", "--", "set", "Open_vSwitch", ".", *_settings(self.home.parent.name, ports)
            )
            # A line for each port whenever one is added, and each refused connection, would fill the log.
            quiet = ("-vdpif_netdev:file:warn", "-vdpdk:file:err", "-vbridge:file:warn")
            own = {"OVS_RUNDIR": str(self.home), "LD_PRELOAD": _preloaded()}
            argv = [str(PROGRAM), f"unix:{self._socket}", *quiet]
            self._daemons.append(start_daemon(argv, self.home, FORWARDER, self.log(FORWARDER), own))
        self._allocate_buffers()
        self.add(routers)
        self._set_priorities()  # not before: the thread of BFD begins with its first session
        self.is_started = True

    def add(self, routers: Sequence[SharedSwitch]) -> None:
        """Add routers without any rules, and wait until all their ports work. Raises CommandError."""
        settings = [word for router in routers for word in router.settings()]
        self.configure(*settings[1:])
        self.require([port for router in routers for port in router.rings.values()])

    def configure(self, *arguments: str) -> str:
        """Run ovs-vsctl; returns when the change is in effect, unless ``--no-wait`` is given."""
        return run(["ovs-vsctl", f"--db=unix:{self._socket}", "--timeout=60", *arguments], START_DEADLINE_S)

    def running_daemons(self) -> list[Daemon]:
        """Both daemons."""
        return list(self._daemons)

    @property
    def relay(self) -> ManagementRelay:
        """The relay of the routers' connections with controllers. Raises RuntimeError before ``start``."""
        if self._relay is None:
            raise RuntimeError("the shared Open vSwitch was not started")
        return self._relay

    def counted(self) -> shared_counters.Counted:
        """What Open vSwitch has counted; the previous reading where vswitchd does not answer: it stands still, which is
        told of its threads, or has ended, which ends the network."""
        asked = [("dpctl/show", "-s"), *(("coverage/read-counter", name) for name in shared_counters.MISSES)]
        with suppress(unixctl.UnixctlError):
            shown, *misses = unixctl.commands(self._control, asked, _COUNTERS_DEADLINE_S)
            self._counted = shared_counters.Counted(
                shared_counters.drops(shown), sum(map(int, misses)) - self._misses_before
            )
        return self._counted

    def forget_missed(self) -> None:
        """Forget the misses so far: while routers are programmed, frames come before their ports are known."""
        self._misses_before += self.counted().missed
        self._counted = replace(self._counted, missed=0)

    def switching_ns(self) -> int:
        """Processor time that the polling thread has spent on frames so far. Raises UnixctlError."""
        cycles = shared_counters.cycles(self.ask("dpif-netdev/pmd-stats-show"))
        return round(cycles.busy * thread_clock_ns(*self.forwarding_thread())[0])

    def ask(self, command: str, *arguments: str) -> str:
        """The output of a command of vswitchd (ovs-appctl(8)). Raises UnixctlError."""
        return unixctl.command(self._control, command, *arguments)

    def forwarding_thread(self) -> Thread:
        """The polling thread. Raises KeyError when it has ended, or was not started."""
        pid = self._daemons[-1].pid if self._daemons else 0
        for tid in threads(pid, _POLLING) if pid else ():
            return Thread(pid, tid)
        raise KeyError(_POLLING)

    def stop(self) -> None:
        """Kill both daemons, and give up their namespace. Idempotent."""
        for daemon in self._daemons:
            daemon.kill()
        if self._daemons:
            self._namespace.close()
        self._daemons.clear()

    def _allocate_buffers(self) -> None:
        """Bring a first port up alone, for which Open vSwitch allocates the buffers of all ports, so that a failure
        shows at once."""
        port = self.rings.open(self.home / _FIRST_PORT)
        argv = ["--", "add-br", _FIRST_PORT, "--", "set", "Bridge", _FIRST_PORT, f"datapath_type={USERSPACE}"]
        argv += ["fail_mode=secure", "--", "add-port", _FIRST_PORT, f"{_FIRST_PORT}0"]
        argv += ["--", "set", "Interface", f"{_FIRST_PORT}0", *_interface(port)]
        self.configure(*argv[1:])
        self.rings.hand_over([port])  # not before: the connection must find Open vSwitch idle
        self.require([port])
        # The buffers are allocated when the port is configured, after it was connected.
        self.configure("wait-until", "Interface", f"{_FIRST_PORT}0", "link_state=up")
        self.rings.set_carrier([port], False)  # not polled any more

    def require(self, ports: Sequence[RingPort]) -> None:
        """Wait until the switch uses all ``ports``. Raises CommandError when it does not, or refused one."""
        missing = self.rings.wait(ports, _PORTS_DEADLINE_S)
        rows = json.loads(self.configure("--format=json", "--columns=name,ofport,error", "list", "Interface"))["data"]
        refused = [f"{name}: {error}" for name, number, error in rows if number == -1]
        if missing or refused:
            reason = refused[0] if refused else f"{missing[0].path.name} is not connected"
            log = self.log(FORWARDER)
            raise CommandError([PROGRAM.name], "none", f"{len(missing) + len(refused)} ports: {reason}; see {log}")

    def _set_priorities(self) -> None:
        """Give the forwarding and repair threads real-time priority. The polling thread, which has one core, needs a
        higher one than the daemon's others: of the same priority, they keep it waiting for a whole time slice."""
        pid = self._daemons[-1].pid
        set_realtime(SWITCHES, pid)  # it learns of ports that go down
        for name, level in ((MONITOR, LINKS), (REVALIDATOR, SWITCHES), (_POLLING, LINKS), (_VHOST, SWITCHES)):
            for thread in threads(pid, name):
                set_realtime(level, thread)

    def restore_carriers(self, ends: Sequence[tuple[SharedSwitch, str]]) -> None:
        """Let ports, each a router's interface, regain carrier. Raises UnixctlError."""
        sessions = {
            router.interface_name(name): router.rings[name] for router, name in ends if router.has_session(name)
        }
        self._returning.restore(sessions, [router.rings[name] for router, name in ends if not router.has_session(name)])

    def log(self, daemon: str) -> Path:
        """The log of one of the daemons."""
        return self._log_dir / f"switch.{daemon}.log"

    @property
    def _socket(self) -> Path:
        return self.home / "db.sock"


class SharedSwitch(RouterSwitch):
    """One router: a bridge of ``open_vswitch``. Its own namespace has its management interface only."""

    kind = RouterKind.SHARED

    def __init__(self, name: str, home: Path, log_dir: Path, open_vswitch: SharedOpenVSwitch, **params: Any) -> None:
        self.open_vswitch = open_vswitch
        self.rings: dict[str, RingPort] = {}
        self._is_on = False
        super().__init__(name, home, log_dir, **params)
        self.bridge = f"r{int(self.dpid, 16)}"  # Open vSwitch names an interface like it: at most 15 characters

    @classmethod
    def batchStartup(cls, switches: Sequence[SharedSwitch]) -> Sequence[SharedSwitch]:
        """Start the shared Open vSwitch with all routers. Raises CommandError when it does not start."""
        if switches:
            for switch in switches:
                switch.home.mkdir(mode=0o700, exist_ok=True)
                switch._link_management_socket()
                switch._is_on = True
            switches[0].open_vswitch.start(switches)
        return switches

    @classmethod
    def batchShutdown(cls, switches: Sequence[SharedSwitch]) -> Sequence[SharedSwitch]:
        """Stop the shared Open vSwitch."""
        if switches:
            switches[0].open_vswitch.stop()
        return switches

    def _link_management_socket(self) -> None:
        """Show the bridge's socket where every router's is."""
        with suppress(FileExistsError):
            self.management_socket.symlink_to(self.bridge_socket)

    @property
    def bridge_socket(self) -> Path:
        """The bridge's socket among the daemon's files."""
        return self.open_vswitch.home / f"{self.bridge}.mgmt"

    def open_ring(self, name: str) -> RingPort | None:
        """Create the port of interface ``name`` in shared memory; None for the management interface, whose frames go
        to the namespace."""
        if name == MANAGEMENT_INTERFACE:
            return None
        self.rings[name] = self.open_vswitch.rings.open(self.open_vswitch.home / f"{self.name}-{name}")
        return self.rings[name]

    def bring_up(self, name: str, txqlen: int, mtu: int | None = None) -> None:
        """Set the management interface up; ports in shared memory come up with the bridge."""
        if name not in self.rings:
            super().bring_up(name, txqlen, mtu)

    def power_on(self) -> None:
        """Give the ports power and the bridge its controllers again."""
        ports = list(self.rings.values())
        self._link_management_socket()
        self.open_vswitch.rings.set_power(ports, True)
        self.open_vswitch.require(ports)
        self._is_on = True
        settings = list(controller_settings(self.bridge, self._targets()))
        if settings:
            self.open_vswitch.configure(*settings[1:])

    def power_off(self) -> None:
        """Stop the ports, and lose the connections with controllers, all rules, groups and meters.

        The bridge itself stays: Open vSwitch stops all its threads while it removes one, so that frames of other
        routers that find no flow are lost."""
        if self._is_on:
            self._is_on = False
            self.open_vswitch.rings.set_power(list(self.rings.values()), False)
            self.open_vswitch.configure("del-controller", self.bridge)
            for command in ("del-flows", "del-groups", "del-meters"):
                self.ofctl(command)
            self.management_socket.unlink()  # nobody reads the rules of a router that is off

    @property
    def is_on(self) -> bool:
        """Whether the router is powered on."""
        return self._is_on

    def running_daemons(self) -> list[Daemon]:
        """None: those that it shares are not its own."""
        return []

    def forwarding_thread(self) -> Thread:
        """The thread that forwards frames, of all routers."""
        return self.open_vswitch.forwarding_thread()

    @classmethod
    def switching_ns(cls, switches: Sequence[SharedSwitch]) -> int:
        """Processor time that ``switches`` have spent on frames so far, ns."""
        return switches[0].open_vswitch.switching_ns() if switches else 0

    @classmethod
    def set_carriers(cls, ends: Iterable[tuple[SharedSwitch, str]], up: bool) -> None:
        """Let interfaces gain or lose carrier. Open vSwitch stops ports one by one, and waits for all its threads each
        time: up to 10 ms, the interval at which the polling thread agrees. Routers use links that return some tenths
        of a second later, see `returning_ports`."""
        found = list(ends)
        if found and up:
            found[0][0].open_vswitch.restore_carriers(found)
        elif found:
            rings = found[0][0].open_vswitch.rings
            rings.set_carrier([router.rings[interface] for router, interface in found], False)

    def set_interface(self, name: str, *settings: str) -> None:
        """Set columns of an interface (``column:key=value``, ovs-vsctl(8)); returns when the switch has applied
        them."""
        self.open_vswitch.configure("set", "Interface", self.interface_name(name), *settings)

    @property
    def log(self) -> Path:
        """The log of the vswitchd that all routers share."""
        return self.open_vswitch.log(FORWARDER)

    def has_session(self, name: str) -> bool:
        """Whether an interface has a BFD session."""
        return self.bfd is not None and has_bfd(self.openflow_ports()[name])

    def control_socket(self, number: int) -> Path:
        """The socket by which the bridge reaches controller ``number``, over the relay."""
        return self.open_vswitch.home / f"{self.name}-controller{number}"

    def relayed(self) -> Iterator[Relayed]:
        """Its connections with controllers."""
        if self.control:
            shown = self.control.credentials
            files = str(shown.key), str(shown.certificate), str(shown.authority)
            for number, (host, port) in enumerate(self.control.controllers):
                yield Relayed(str(self.control_socket(number)), self.namespace.fd, host, port, *files)

    def settings(self) -> list[str]:
        """Arguments of ovs-vsctl that create the bridge with its ports."""
        return list(
            bridge_settings(
                self,
                self.bridge,
                USERSPACE,
                self._targets(),
                lambda name: [self.interface_name(name), *_interface(self.rings[name])],
            )
        )

    def _targets(self) -> list[str]:
        """How the bridge reaches its controllers."""
        controllers = len(self.control.controllers) if self.control else 0
        return [f"unix:{self.control_socket(number)}" for number in range(controllers)]

    def interface_name(self, name: str) -> str:
        """The name of one of its interfaces in the database: they are unique in an Open vSwitch."""
        return f"{self.bridge}-{name}"


def _settings(name: str, ports: int) -> list[str]:
    """Settings of the table Open_vSwitch for so many ports; ``name`` is unique in the sandbox."""
    polling = max(os.sched_getaffinity(0))
    memory_mb = BUFFERS_MB + PORT_KB * ports // 1000
    # Without huge pages DPDK allocates at the start or not at all (--legacy-mem).
    extra = f"--no-huge --legacy-mem --no-pci -m {memory_mb} --file-prefix {name}"
    return [
        "other_config:dpdk-init=true",
        f"other_config:dpdk-extra={extra}",
        f"other_config:pmd-cpu-mask={1 << polling:x}",
        f"other_config:pmd-maxsleep={MAX_SLEEP_US}",
        "other_config:per-port-memory=false",
        "other_config:n-handler-threads=1",
        "other_config:n-revalidator-threads=2",
        f"other_config:bundle-idle-timeout={BUNDLE_IDLE_S}",
    ]


def _preloaded() -> str:
    """The library that limits DPDK's buffers."""
    found = importlib.util.find_spec(PRELOADED)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"{PRELOADED} was not built")
    return found.origin


def _interface(port: RingPort) -> list[str]:
    """Columns of an interface over ``port``."""
    return ["type=dpdkvhostuserclient", f"options:vhost-server-path={port.path}", f"mtu_request={CORE_MTU}"]
