"""Routers as Mininet switches over Open vSwitch: what every kind of router can do.

There are two kinds. A private router has an Open vSwitch of its own (`private_switch`); shared routers are bridges of
one Open vSwitch with DPDK (`shared_switch`).
"""

from __future__ import annotations

import os
import select
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from mininet.node import Switch

from helsewan.common.ownership import create_log
from helsewan.common.processes import run
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.bfd import Timers
from helsewan.emulation.routers.certificate_authority import Credentials
from helsewan.topology.model import ACCESS_LINK_PORTS, TRUNK_INTERFACE, TRUNK_PORT

MANAGEMENT_INTERFACE = "mgmt"
BRIDGE = "br0"  # also of the management socket in a router's folder
USERSPACE, KERNEL = "netdev", "system"  # values of datapath_type
DATABASE_SERVER, FORWARDER = "ovsdb-server", "ovs-vswitchd"
ON_TRUNK = 1 << 16  # plus the VLAN: interface number for Mininet of links on the trunk, which share an OpenFlow port
BUNDLE_IDLE_S = 600  # a prepared change is kept while all other routers prepare theirs; 10 by default
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
START_DEADLINE_S = 120.0  # for a daemon to be ready: takes a second on idle cores, half a minute on emulated ones
# Threads of vswitchd other than those that forward: one sends BFD packets and detects their absence (delayed, it would
# declare every link down), the others revalidate cached flows when a port is removed.
MONITOR, REVALIDATOR = "monitor", "revalidator"
UNKNOWN_STATUS = 256  # of a daemon that has ended, nobody knows how; no process has this exit status


class RouterKind(str, Enum):
    """How routers are made."""

    SHARED = "shared"
    PRIVATE = "private"


class Thread(NamedTuple):
    """A thread of a process."""

    pid: int
    tid: int


@dataclass(frozen=True, slots=True)
class ControlChannel:
    """How a router reaches its controllers: (address, TCP port) of each, and the router's TLS credentials."""

    controllers: tuple[tuple[str, int], ...]
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that was started and not killed on purpose: it runs, or has ended by itself."""

    name: str
    pid: int
    pidfd: int
    log: Path

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

    def kill(self) -> None:
        """Kill it, if it has not ended by itself. Afterwards the object is of no more use."""
        with suppress(ProcessLookupError, ChildProcessError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        os.close(self.pidfd)


class RouterSwitch(NamespaceNode, Switch, ABC):  # type: ignore[misc]
    """One router, with its files under ``home``."""

    controlIntf = None  # Mininet looks here first for a default interface
    kind: RouterKind

    def __init__(
        self,
        name: str,
        home: Path,
        log_dir: Path,
        bfd: Timers | None = None,
        **params: Any,
    ) -> None:
        """``home`` is the directory of all routers' sockets and databases; ``bfd`` the timers of the BFD sessions on
        router links, None: no sessions. Without a ``control`` channel when it starts, a router has no controller."""
        self.home, self.log_dir, self.bfd = home / name, log_dir, bfd
        self.control: ControlChannel | None = None
        self.batch = True
        super().__init__(name, **params)

    def start(self, controllers: Sequence[object]) -> None:
        """Do nothing: ``batchStartup`` starts routers together."""

    @abstractmethod
    def power_on(self) -> None:
        """Start with an empty configuration but for its ports. Raises CommandError when it does not start."""

    @abstractmethod
    def power_off(self) -> None:
        """Lose power: all state in memory is lost."""

    @property
    @abstractmethod
    def is_on(self) -> bool:
        """Whether the router is powered on."""

    @abstractmethod
    def running_daemons(self) -> list[Daemon]:
        """The daemons of this router alone that were started and not powered off."""

    @abstractmethod
    def forwarding_thread(self) -> Thread:
        """The thread that forwards its frames, as last started."""

    @classmethod
    @abstractmethod
    def switching_ns(cls, switches: Sequence[Any]) -> int:
        """Processor time that ``switches``, all of this class, have spent on frames so far, ns."""

    @classmethod
    @abstractmethod
    def set_carriers(cls, ends: Iterable[tuple[Any, str]], up: bool) -> None:
        """Let interfaces of links, each of a router of this class, gain or lose carrier."""

    def set_carrier(self, interface: str, up: bool) -> None:
        """Let an interface of a link gain or lose carrier."""
        self.set_carriers([(self, interface)], up)

    @abstractmethod
    def set_interface(self, name: str, *settings: str) -> None:
        """Set columns of an interface (``column:key=value``, ovs-vsctl(8)); returns when the switch has applied
        them."""

    @property
    @abstractmethod
    def log(self) -> Path:
        """The log of the daemon that forwards its frames."""

    def pidfds(self) -> list[int]:
        """The pidfds of the router's own daemons, valid until ``power_off``."""
        return [daemon.pidfd for daemon in self.running_daemons()]

    def openflow_ports(self) -> dict[str, int]:
        """The interfaces that are OpenFlow ports, with their numbers; the trunk is one port."""
        ports = {intf.name: port for port, intf in self.intfs.items() if port < ON_TRUNK}
        has_trunk = any(port > ACCESS_LINK_PORTS for port in self.intfs)
        return ports | ({TRUNK_INTERFACE: TRUNK_PORT} if has_trunk else {})

    @property
    def management_socket(self) -> Path:
        """The socket on which the router's bridge speaks OpenFlow with local programs."""
        return self.home / f"{BRIDGE}.mgmt"

    @property
    def bridge_socket(self) -> Path:
        """Where the bridge has that socket itself, also while the router is off."""
        return self.management_socket

    def ofctl(self, command: str, *argv: str) -> str:
        """The output of ``ovs-ofctl -O OpenFlow13 COMMAND`` for this router's bridge."""
        return run(["ovs-ofctl", "-O", "OpenFlow13", command, f"unix:{self.bridge_socket}", *argv])


def bridge_settings(
    router: RouterSwitch,
    bridge: str,
    datapath_type: str,
    targets: Sequence[str],
    interface: Callable[[str], Sequence[str]],
) -> Iterator[str]:
    """Arguments of ovs-vsctl that create the bridge of ``router`` and its ports; idempotent. ``targets``: its
    controllers' (ovs-vsctl(8)); ``interface``: name and columns of the interface of each of the router's."""
    yield from ("--", "--may-exist", "add-br", bridge, "--", "set", "Bridge", bridge)
    yield f"datapath_type={datapath_type}"
    yield from (f"other_config:datapath-id={router.dpid}", "other_config:disable-in-band=true")
    yield from ("fail_mode=secure", "protocols=OpenFlow13,OpenFlow14,OpenFlow15")
    yield from controller_settings(bridge, targets)
    for own, port in sorted(router.openflow_ports().items()):
        name, *columns = interface(own)
        yield from ("--", "--may-exist", "add-port", bridge, name)
        yield from ("--", "set", "Interface", name, f"ofport_request={port}", *columns)
        if router.bfd and has_bfd(port):
            yield from router.bfd.settings()


def has_bfd(port: int) -> bool:
    """Whether an OpenFlow port is that of a link to another router, which has a BFD session if any has."""
    return TRUNK_PORT < port < ACCESS_LINK_PORTS


def controller_settings(bridge: str, targets: Sequence[str]) -> Iterator[str]:
    """Arguments of ovs-vsctl that give ``bridge`` controllers at ``targets``."""
    for number, target in enumerate(targets):
        yield from ("--", f"--id=@{bridge}-controller{number}", "create", "Controller", f'target="{target}"')
        yield from ("max_backoff=1000", "inactivity_probe=5000")
    if targets:
        names = ",".join(f"@{bridge}-controller{number}" for number in range(len(targets)))
        yield from ("--", "set", "Bridge", bridge, f"controller=[{names}]")


def start_daemon(
    argv: Sequence[str], folder: Path, name: str, log: Path, env: Mapping[str, str] | None = None
) -> Daemon:
    """Start a daemon of Open vSwitch, whose files are in ``folder``, and wait until it is ready: with --detach the
    command returns then, and the daemon is a child of the sandbox's first process, which is this one. Raises
    CommandError."""
    create_log(log)
    files = [f"--pidfile={folder / name}.pid", f"--unixctl={folder / name}.ctl", f"--log-file={log}"]
    levels = ["-vconsole:off", "-vsyslog:off", "-vfile:info"]  # before those that ``argv`` adds
    program, *rest = argv
    run([program, "--detach", "--no-chdir", *files, *levels, *rest], START_DEADLINE_S, env)
    pid = int((folder / f"{name}.pid").read_text())  # a daemon removes the file when it ends
    return Daemon(name, pid, os.pidfd_open(pid), log)
