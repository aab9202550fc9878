"""Private routers: an Open vSwitch each, in its own namespace, so that a real daemon can fail alone.

With the userspace datapath no kernel module is needed. Several vswitchd in one namespace would conflict, and a
vswitchd polls all its ports on each wake-up, so one per router with few ports is also fastest.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from helsewan.common.processes import run
from helsewan.emulation.routers.switch_ports import widen
from helsewan.emulation.routers.switches import (
    BRIDGE,
    BUNDLE_IDLE_S,
    DATABASE_SERVER,
    FORWARDER,
    KERNEL,
    MONITOR,
    REVALIDATOR,
    SCHEMA,
    USERSPACE,
    Daemon,
    RouterKind,
    RouterSwitch,
    Thread,
    bridge_settings,
    start_daemon,
)
from helsewan.emulation.sandbox.procfs import thread_clock_ns, threads
from helsewan.emulation.sandbox.realtime import LINKS, SWITCHES, set_realtime

KERNEL_DATAPATH = "ovs-system"  # shared by all bridges of a namespace
# vswitchd allocates 32 buffers per port on each wake-up (netdev-linux.c), of a size that glibc's malloc does not
# cache: with jemalloc the same traffic took 20 to 30 % less of both cores. Optional.
ALLOCATOR = "libjemalloc.so.2"
STARTERS = 4  # parallel starts: a few more than cores, as starting waits for exec and fsync


class PrivateSwitch(RouterSwitch):
    """One router: ``ovsdb-server`` and ``ovs-vswitchd``, with their files in its folder."""

    kind = RouterKind.PRIVATE

    def __init__(self, name: str, home: Path, log_dir: Path, datapath: str = USERSPACE, **params: Any) -> None:
        """``datapath``: Open vSwitch's ``datapath_type``."""
        self.datapath = datapath
        self._daemons: dict[str, Daemon] = {}
        super().__init__(name, home, log_dir, **params)

    @classmethod
    def batchStartup(cls, switches: Sequence[PrivateSwitch]) -> Sequence[PrivateSwitch]:
        """Start routers in parallel. Raises CommandError when one does not start."""
        if switches:
            template = switches[0].home.parent / "empty.db"
            run(["ovsdb-tool", "create", str(template), str(SCHEMA)])
            with ThreadPoolExecutor(STARTERS) as pool:
                list(pool.map(lambda switch: switch._boot(template), switches))
        return switches

    @classmethod
    def batchShutdown(cls, switches: Sequence[PrivateSwitch]) -> Sequence[PrivateSwitch]:
        """Stop routers."""
        for switch in switches:
            switch.power_off()
        return switches

    def power_on(self) -> None:
        """Start again from the router's own database, which has its configuration and nothing else."""
        self._boot(None)

    def _boot(self, template: Path | None) -> None:
        """Start from the empty database ``template``, or, without it, again from the router's own database."""
        self.home.mkdir(mode=0o700, exist_ok=True)
        database = self.home / "conf.db"
        if template:
            shutil.copyfile(template, database)
        with self.namespace.entered():
            self._start(DATABASE_SERVER, [str(database), f"--remote=punix:{self._socket}"])
            run(["ovs-vsctl", f"--db=unix:{self._socket}", "--no-wait", "--timeout=20", *self._configuration()])
            own = {"OVS_RUNDIR": str(self.home), "LD_PRELOAD": ALLOCATOR}
            self._start(FORWARDER, [f"unix:{self._socket}"], own)
            self._set_realtime(self._daemons[FORWARDER].pid)
            with suppress(OSError):  # older or stricter kernel: smaller receive buffers
                widen(self._daemons[FORWARDER].pid)

    def power_off(self) -> None:
        """Kill both daemons, as a power failure would; all state in memory is lost."""
        for name in (FORWARDER, DATABASE_SERVER):
            if (daemon := self._daemons.pop(name, None)) is not None:
                daemon.kill()
        if self.datapath == KERNEL:  # the kernel datapath would keep forwarding cached flows
            with self.namespace.entered():
                run(["ovs-dpctl", "del-dp", KERNEL_DATAPATH])

    @property
    def is_on(self) -> bool:
        """Whether the router is powered on."""
        return bool(self._daemons)

    def running_daemons(self) -> list[Daemon]:
        """Both daemons, unless powered off."""
        return list(dict(self._daemons).values())

    def forwarding_thread(self) -> Thread:
        """The first thread of vswitchd. Raises KeyError when the router is off."""
        pid = self._daemons[FORWARDER].pid
        return Thread(pid, pid)

    @classmethod
    def switching_ns(cls, switches: Sequence[PrivateSwitch]) -> int:
        """Processor time that ``switches`` have spent on frames so far, ns."""
        return sum(thread_clock_ns(switch.forwarding_thread().pid)[0] for switch in switches)

    @classmethod
    def set_carriers(cls, ends: Iterable[tuple[PrivateSwitch, str]], up: bool) -> None:
        """Let interfaces gain or lose carrier."""
        for router, interface in ends:
            router.netlink.set_link(interface, up=up)

    def set_interface(self, name: str, *settings: str) -> None:
        """Set columns of an interface (``column:key=value``, ovs-vsctl(8)); returns when the switch has applied
        them."""
        run(["ovs-vsctl", f"--db=unix:{self._socket}", "--timeout=20", "set", "Interface", name, *settings])

    @property
    def log(self) -> Path:
        """The log of the router's vswitchd."""
        return self._log(FORWARDER)

    def _log(self, daemon: str) -> Path:
        return self.log_dir / f"{self.name}.{daemon}.log"

    def _start(self, name: str, arguments: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        self._daemons[name] = start_daemon([name, *arguments], self.home, name, self._log(name), env)

    def _set_realtime(self, vswitchd: int) -> None:
        """Give vswitchd's forwarding and repair threads real-time priority; the database and controller stay normal."""
        set_realtime(SWITCHES, vswitchd)
        for name, level in ((MONITOR, LINKS), (REVALIDATOR, SWITCHES)):
            for thread in threads(vswitchd, name):
                set_realtime(level, thread)

    @property
    def _socket(self) -> Path:
        return self.home / "db.sock"

    def _configuration(self) -> Iterator[str]:
        """ovs-vsctl arguments that create the bridge and its ports; idempotent, as each restart repeats them."""
        yield from ("init", "--", "set", "Open_vSwitch", ".", "other_config:n-handler-threads=1")
        yield f"other_config:bundle-idle-timeout={BUNDLE_IDLE_S}"
        yield from ("other_config:n-revalidator-threads=1", "other_config:flow-restore-wait=false")
        targets = []
        if self.control:
            shown = self.control.credentials
            yield from ("--", "set-ssl", str(shown.key), str(shown.certificate), str(shown.authority))
            targets = [f"ssl:{host}:{port}" for host, port in self.control.controllers]
        yield from bridge_settings(self, BRIDGE, self.datapath, targets, lambda name: [name])
        if self.datapath == KERNEL:  # else vswitchd would remove the links' queueing disciplines
            for name in sorted(self.openflow_ports()):
                yield from ("--", "set", "Port", name, "qos=@ours")
            yield from ("--", "--id=@ours", "create", "QoS", "type=linux-noop")
