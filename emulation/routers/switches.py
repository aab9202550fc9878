"""Routers as Mininet switches: a private Open vSwitch each, in its own namespace, so that one can fail alone.

With the userspace datapath no kernel module is needed. Several vswitchd in one namespace would conflict, and a
vswitchd polls all its ports on each wake-up, so one per router with few ports is also fastest.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mininet.node import Switch

from helsewan.common.ownership import create_log
from helsewan.common.processes import run
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.bfd import Timers
from helsewan.emulation.routers.certificate_authority import Credentials
from helsewan.emulation.routers.switch_ports import widen
from helsewan.emulation.sandbox.procfs import threads
from helsewan.emulation.sandbox.realtime import LINKS, SWITCHES, set_realtime
from helsewan.topology.model import ACCESS_LINK_PORTS, TRUNK_INTERFACE, TRUNK_PORT

BRIDGE = "br0"
# Threads of vswitchd other than the first, which forwards: one sends BFD packets and detects their absence (delayed, it
# would declare every link down), the others revalidate cached flows when a port is removed.
MONITOR, REVALIDATOR = "monitor", "revalidator"
KERNEL_DATAPATH = "ovs-system"  # shared by all bridges of a namespace
USERSPACE, KERNEL = "netdev", "system"  # values of datapath_type
DAEMONS = ("ovsdb-server", "ovs-vswitchd")
ON_TRUNK = 1 << 16  # plus the VLAN: interface number for Mininet of links on the trunk, which share an OpenFlow port
BUNDLE_IDLE_S = 600  # a prepared change is kept while all other routers prepare theirs; 10 by default
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
# vswitchd allocates 32 buffers per port on each wake-up (netdev-linux.c), of a size that glibc's malloc does not
# cache: with jemalloc the same traffic took 20 to 30 % less of both cores. Optional.
ALLOCATOR = "libjemalloc.so.2"
START_DEADLINE_S = 120.0  # for a daemon to be ready: takes a second on idle cores, half a minute on emulated ones
UNKNOWN_STATUS = 256  # of a daemon that has ended, nobody knows how; no process has this exit status
STARTERS = 4  # parallel starts: a few more than cores, as starting waits for exec and fsync


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """How a router reaches its controllers: Open vSwitch's targets, and the router's TLS credentials."""

    targets: tuple[str, ...]
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon of a router that was started and not powered off: it runs, or has ended by itself."""

    name: str
    pid: int
    pidfd: int

    def exit_status(self) -> int | None:
        """Its exit status, minus the signal that killed it, or UNKNOWN_STATUS; None while it runs. It stays to be
        waited for."""
        try:
            found = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # waited for already, or another process's child
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            return UNKNOWN_STATUS if poll.poll(0) else None
        except OSError:  # powered off meanwhile, by another thread
            return None
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


class RouterSwitch(NamespaceNode, Switch):  # type: ignore[misc]
    """One router: ``ovsdb-server`` and ``ovs-vswitchd``, with their files under ``home``."""

    controlIntf = None  # Mininet looks here first for a default interface

    def __init__(
        self,
        name: str,
        home: Path,
        log_dir: Path,
        datapath: str = USERSPACE,
        bfd: Timers | None = None,
        **params: Any,
    ) -> None:
        """``home`` is the directory of sockets and database; ``datapath`` Open vSwitch's ``datapath_type``; ``bfd`` the
        timers of the BFD sessions on router links, None: no sessions. Without a ``control`` channel when it starts, a
        router has no controller."""
        self.home, self.log_dir, self.datapath, self.bfd = home / name, log_dir, datapath, bfd
        self.control: ControlChannel | None = None
        self.batch = True
        self._pidfds: dict[str, int] = {}
        self._pids: dict[str, int] = {}  # of the daemons as last started
        super().__init__(name, **params)

    def start(self, controllers: Sequence[object]) -> None:
        """Do nothing: ``batchStartup`` starts routers in parallel."""

    @classmethod
    def batchStartup(cls, switches: Sequence[RouterSwitch]) -> Sequence[RouterSwitch]:
        """Start routers in parallel. Raises CommandError when one does not start."""
        if switches:
            template = switches[0].home.parent / "empty.db"
            run(["ovsdb-tool", "create", str(template), str(SCHEMA)])
            with ThreadPoolExecutor(STARTERS) as pool:
                list(pool.map(lambda switch: switch.power_on(template), switches))
        return switches

    @classmethod
    def batchShutdown(cls, switches: Sequence[RouterSwitch]) -> Sequence[RouterSwitch]:
        """Stop routers in parallel."""
        for switch in switches:
            switch.power_off()
        return switches

    def power_on(self, template: Path | None = None) -> None:
        """Start from the empty database ``template``, or, without it, again from the router's own database."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        database = self.home / "conf.db"
        if template:
            shutil.copyfile(template, database)
        with self.namespace.entered():
            run(
                ["ovsdb-server", str(database), f"--remote=punix:{self._socket}", *self._daemon("ovsdb-server")],
                START_DEADLINE_S,
            )
            self._adopt("ovsdb-server")
            run(["ovs-vsctl", f"--db=unix:{self._socket}", "--no-wait", "--timeout=20", *self._configuration()])
            own = {"OVS_RUNDIR": str(self.home), "LD_PRELOAD": ALLOCATOR}
            run(["ovs-vswitchd", f"unix:{self._socket}", *self._daemon("ovs-vswitchd")], START_DEADLINE_S, own)
            self._adopt("ovs-vswitchd")
            self._set_realtime(self.daemon_pid("ovs-vswitchd"))
            with suppress(OSError):  # older or stricter kernel: smaller receive buffers
                widen(self.daemon_pid("ovs-vswitchd"))

    def power_off(self) -> None:
        """Kill both daemons, as a power failure would; all state in memory is lost."""
        for name in reversed(DAEMONS):
            if (pidfd := self._pidfds.pop(name, None)) is not None:
                with suppress(ProcessLookupError, ChildProcessError):  # it has ended by itself
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
                os.close(pidfd)
        if self.datapath == KERNEL:  # the kernel datapath would keep forwarding cached flows
            with self.namespace.entered():
                run(["ovs-dpctl", "del-dp", KERNEL_DATAPATH])

    def running_daemons(self) -> list[Daemon]:
        """The daemons that were started and not powered off."""
        return [Daemon(name, self._pids[name], pidfd) for name, pidfd in dict(self._pidfds).items()]

    def log_file(self, daemon: str) -> Path:
        """The log file of one of the DAEMONS."""
        return self.log_dir / f"{self.name}.{daemon}.log"

    def pidfds(self) -> list[int]:
        """The daemons' pidfds, valid until ``power_off``."""
        return list(self._pidfds.values())

    @property
    def is_on(self) -> bool:
        """Whether the router is powered on."""
        return bool(self._pidfds)

    def daemon_pid(self, name: str) -> int:
        """Process id of one of the DAEMONS, as last started; vswitchd's first thread is the one that forwards."""
        return self._pids[name]

    def openflow_ports(self) -> dict[str, int]:
        """The interfaces that are OpenFlow ports, with their numbers; the trunk is one port."""
        ports = {intf.name: port for port, intf in self.intfs.items() if port < ON_TRUNK}
        has_trunk = any(port > ACCESS_LINK_PORTS for port in self.intfs)
        return ports | ({TRUNK_INTERFACE: TRUNK_PORT} if has_trunk else {})

    def ofctl(self, command: str, *argv: str) -> str:
        """The output of ``ovs-ofctl -O OpenFlow13 COMMAND`` for this router's bridge."""
        return run(["ovs-ofctl", "-O", "OpenFlow13", command, f"unix:{self.home / (BRIDGE + '.mgmt')}", *argv])

    def set_interface(self, name: str, *settings: str) -> None:
        """Set columns of an interface (``column:key=value``, ovs-vsctl(8)); returns when the switch has applied
        them."""
        run(["ovs-vsctl", f"--db=unix:{self._socket}", "--timeout=20", "set", "Interface", name, *settings])

    def _adopt(self, name: str) -> None:
        """Open a pidfd of a daemon: with --detach it is a child of the sandbox's first process, which is this one."""
        self._pids[name] = int((self.home / f"{name}.pid").read_text())  # a daemon removes the file when it ends
        self._pidfds[name] = os.pidfd_open(self._pids[name])

    def _set_realtime(self, vswitchd: int) -> None:
        """Give vswitchd's forwarding and repair threads real-time priority; the database and controller stay normal."""
        set_realtime(SWITCHES, vswitchd)
        for name, level in ((MONITOR, LINKS), (REVALIDATOR, SWITCHES)):
            for thread in threads(vswitchd, name):
                set_realtime(level, thread)

    @property
    def _socket(self) -> Path:
        return self.home / "db.sock"

    def _daemon(self, name: str) -> list[str]:
        """Options common to both daemons: with --detach the command returns when the daemon is ready."""
        log = self.log_file(name)
        create_log(log)
        return [
            "--detach",
            "--no-chdir",
            f"--pidfile={self.home / name}.pid",
            f"--unixctl={self.home / name}.ctl",
            f"--log-file={log}",
            "-vconsole:off",
            "-vsyslog:off",
            "-vfile:info",
        ]

    def _configuration(self) -> list[str]:
        """ovs-vsctl arguments that create the bridge and its ports; idempotent, as each restart repeats them."""
        argv = ["init", "--", "set", "Open_vSwitch", ".", "other_config:n-handler-threads=1"]
        argv += [f"other_config:bundle-idle-timeout={BUNDLE_IDLE_S}"]
        argv += ["other_config:n-revalidator-threads=1", "other_config:flow-restore-wait=false"]
        argv += ["--", "--may-exist", "add-br", BRIDGE, "--", "set", "Bridge", BRIDGE, f"datapath_type={self.datapath}"]
        argv += [f"other_config:datapath-id={self.dpid}", "other_config:disable-in-band=true"]
        argv += ["fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15"]
        if self.control:
            shown = self.control.credentials
            argv += ["--", "set-ssl", str(shown.key), str(shown.certificate), str(shown.authority)]
            for number, target in enumerate(self.control.targets):
                argv += ["--", f"--id=@controller{number}", "create", "Controller", f'target="{target}"']
                argv += ["max_backoff=1000", "inactivity_probe=5000"]
            names = ",".join(f"@controller{number}" for number in range(len(self.control.targets)))
            argv += ["--", "set", "Bridge", BRIDGE, f"controller=[{names}]"]
        for name, port in sorted(self.openflow_ports().items()):
            argv += ["--", "--may-exist", "add-port", BRIDGE, name]
            argv += ["--", "set", "Interface", name, f"ofport_request={port}"]
            if self.bfd and TRUNK_PORT < port < ACCESS_LINK_PORTS:
                argv += self.bfd.settings()
            if self.datapath == KERNEL:  # else vswitchd would remove the links' queueing disciplines
                argv += ["--", "set", "Port", name, "qos=@ours"]
        if self.datapath == KERNEL:
            argv += ["--", "--id=@ours", "create", "QoS", "type=linux-noop"]
        return argv
