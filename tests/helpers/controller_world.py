"""A world for the controller's tests: the small plan's network as bridges of one private Open vSwitch
in namespaces of its own, with the real controller process beside it. It dies with one process."""

from __future__ import annotations

import json
import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller_plan import small_plan
from waiting import wait_for

from helsewan.controller.plan_file import write_plan
from helsewan.emulation.links.link_backend import CORE_MTU
from helsewan.emulation.routers.certificate_authority import CertificateAuthority
from helsewan.policies.plan import Plan
from helsewan.topology.management import OPENFLOW_PORT, STANDBY_PORT
from helsewan.topology.model import GATEWAY6, TRUNK_PORT, AccessLinkId, Site

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 60.0
LISTEN = (f"127.0.0.1:{OPENFLOW_PORT}", f"127.0.0.1:{STANDBY_PORT}")
TARGETS = " ".join(f"ssl:{address}" for address in LISTEN)
QUOTED = tuple(f"'\"ssl:{address}\"'" for address in LISTEN)  # for ovs-vsctl, by a shell
PROBES = 40  # more than any neighbour discovery on a link
SETUP = "mount -t tmpfs none /run && mkdir -p /run/netns && ip link set lo up && echo ready && exec sleep infinity"


class ControllerWorld:
    """Switches, sites and a controller for ``plan``; files go under ``home``."""

    def __init__(self, home: Path, plan: Plan | None = None) -> None:
        self.plan, self.home = plan or small_plan(), home
        self.network = self.plan.network
        argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", SETUP]
        self.outer = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.outer.stdout is not None and self.outer.stdout.readline() == "ready\n"
        pid = self.outer.pid
        self.inner = int(Path(f"/proc/{pid}/task/{pid}/children").read_text())
        self.authority = CertificateAuthority(home / "credentials")
        self.credentials = self.authority.for_controller()
        self.controllers: dict[int, subprocess.Popen[bytes]] = {}
        self.slow_path: subprocess.Popen[bytes] | None = None
        self.plan_file = home / "plan.pickle"
        self.plan_file.touch(mode=0o600)
        self.plan_file.write_bytes(pickle.dumps(self.plan))
        self.events_file = home / "events.jsonl"
        self.events_file.touch()
        self.env = {**os.environ, **{f"OVS_{name}": str(home) for name in ("RUNDIR", "DBDIR", "LOGDIR", "SYSCONFDIR")}}

    def close(self) -> None:
        """Ends everything."""
        for number in tuple(self.controllers):
            self.stop_controller(number)
        if self.slow_path is not None:
            self.slow_path.kill()
            self.slow_path.wait()
        self.outer.kill()
        self.outer.wait()

    def argv(self, command: str, site: str | None = None, *namespaces: str) -> list[str]:
        """A shell command as seen from the world, or from one of its sites."""
        inside = ["nsenter", f"--target={self.inner}", "--net", "--mount", *namespaces, "sh", "-c"]
        return [*inside, f"exec ip netns exec {site} {command}" if site else command]

    def popen(self, command: str, site: str | None = None) -> subprocess.Popen[str]:
        """Starts a command that can be killed: it is this process's child, not the world's."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self.argv(command, site), stdout=pipe, stderr=subprocess.STDOUT, text=True, env=self.env
        )

    def sh(self, command: str, site: str | None = None, check: bool = True) -> str:
        """Runs a command and returns what it prints."""
        argv = self.argv(command, site, "--pid")
        done = subprocess.run(argv, capture_output=True, text=True, env=self.env, timeout=60, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def build(self) -> None:
        """Switches, links and sites; the switches look for the controller from now on."""
        schema = "/usr/share/openvswitch/vswitch.ovsschema"
        self.sh(f"ovsdb-tool create {self.home}/conf.db {schema}")
        self.sh(f"ovsdb-server {self.home}/conf.db --remote=punix:{self.home}/db.sock --pidfile --detach --no-chdir")
        self.sh("ovs-vsctl --no-wait init")
        self.sh(f"ovs-vswitchd unix:{self.home}/db.sock --pidfile --detach --no-chdir --log-file={self.home}/ovs.log")
        self.sh(f"chrt --rr --pid 1 $(cat {self.home}/ovs-vswitchd.pid)")  # as routers run
        commands = [self._line(link.id, link.a, link.b) for link in self.network.links]
        commands += [self._site(site) for site in self.network.sites]
        self.sh(" && ".join(commands))
        # All bridges are one box's, whose certificate names them all.
        shown = self.authority.for_switch("all", [router.index for router in self.network.routers])
        self.sh(f"ovs-vsctl set-ssl {shown.key} {shown.certificate} {shown.authority}")
        self.sh("ovs-vsctl " + " -- ".join(self._bridge(router.id) for router in self.network.routers))

    def interface(self, router: str, link: str) -> str:
        """The name of a router's fibre interface."""
        index, port = self.network.router[router].index, self.network.ports[router][link]
        return f"r{index}-p{port}"

    def _line(self, link: str, a: str, b: str) -> str:
        first, second = self.interface(a, link), self.interface(b, link)
        make = f"ip link add {first} up mtu {CORE_MTU} type veth peer name {second} mtu {CORE_MTU}"
        return f"{make} && ip link set {second} up"

    def _site(self, site: Site) -> str:
        steps = [f"ip netns add {site.id}", f"ip -n {site.id} link set lo up"]
        for number in range(len(site.accesses)):
            name = f"s{site.index}-{number}"
            steps += [
                f"ip link add {name} netns {site.id} type veth peer name {self.line_interface((site.id, number))}",
                f"ip link set {self.line_interface((site.id, number))} up",
                f"ip netns exec {site.id} ethtool -K {name} tx off >/dev/null",
                f"ip -n {site.id} link set {name} address {site.mac}",
                f"ip -n {site.id} link set {name} addrgenmode none",
                f"ip -n {site.id} addr add {site.address4}/{site.prefix4.prefixlen} dev {name}",
                f"ip -n {site.id} addr add fe80::2/64 dev {name} nodad",
                f"ip netns exec {site.id} sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{name}.rp_filter=0",
            ]
            steps += [f"ip -n {site.id} link set {name} up"]
        # Both lines take packets; what the site sends goes out on the first.
        steps += [f"ip -n {site.id} addr add {site.address6}/128 dev lo nodad", *self._routes(site, f"s{site.index}-0")]
        return " && ".join(steps)

    def _routes(self, site: Site, name: str) -> list[str]:
        """Commands that send what leaves a site over one of its lines."""
        return [
            f"ip -n {site.id} route add default via {site.gateway4} dev {name}",
            f"ip -n {site.id} -6 route add default via {GATEWAY6} dev {name} src {site.address6}",
        ]

    def use_backup(self, site_id: str) -> None:
        """Moves a dual-homed site to its backup line, as its own equipment would."""
        site = self.network.site[site_id]
        self.sh(f"ip -n {site_id} link set s{site.index}-0 down")
        self.sh(" && ".join(self._routes(site, f"s{site.index}-1")))

    def use_primary(self, site_id: str) -> None:
        """Moves a dual-homed site back to its primary line."""
        site = self.network.site[site_id]
        self.sh(f"ip -n {site_id} route del default && ip -n {site_id} -6 route del default")
        raised = [
            f"ip -n {site_id} link set s{site.index}-0 up",
            f"ip -n {site_id} addr replace fe80::2/64 dev s{site.index}-0 nodad",
        ]
        self.sh(" && ".join([*raised, *self._routes(site, f"s{site.index}-0")]))

    def _bridge(self, router: str) -> str:
        index = self.network.router[router].index
        ports = {f"r{index}-p{TRUNK_PORT}": TRUNK_PORT}
        ports |= {self.interface(router, link): port for link, port in self.network.ports[router].items()}
        own = self.network.access_link_ports[router]
        ports |= {self.line_interface(line): port for line, port in own.items()}
        steps = [
            f"add-br br{index}",
            f"set bridge br{index} datapath_type=netdev fail_mode=secure other_config:datapath-id={index:016x}",
            *(f"--id=@c{index}-{n} create controller target={t} max_backoff=1000" for n, t in enumerate(QUOTED)),
            f"set bridge br{index} controller=[@c{index}-0,@c{index}-1]",
        ]
        steps += [f"add-port br{index} {n} -- set interface {n} ofport_request={p}" for n, p in ports.items()]
        # Behind the trunk a plain VLAN switch takes the place of the access lines that are on it.
        steps += [f"set interface r{index}-p{TRUNK_PORT} type=patch options:peer=a{index}-trunk"]
        steps += [
            f"add-br acc{index}",
            f"set bridge acc{index} datapath_type=netdev",
            f"add-port acc{index} a{index}-trunk",
        ]
        steps += [f"set interface a{index}-trunk type=patch options:peer=r{index}-p{TRUNK_PORT}"]
        for site in self.network.sites:
            for number, access in enumerate(site.accesses):
                if access.router == router and (site.id, number) not in own:
                    steps += [f"add-port acc{index} {self.line_interface((site.id, number))} tag={access.vlan}"]
        return " -- ".join(steps)

    def start_controller(self, number: int = 0) -> None:
        """Starts a controller process: the first, or one beside it."""
        command = f"{sys.executable} -m helsewan.controller.main --plan={self.plan_file} --listen={LISTEN[number]}"
        command += f" --events={self.events_file}"
        shown = self.credentials
        command += f" --key={shown.key} --certificate={shown.certificate} --authority={shown.authority}"
        with (self.home / "controller.log").open("ab") as log:
            argv = self.argv(f"cd {REPOSITORY} && exec {command}")
            self.controllers[number] = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)

    def start_slow_path(self) -> None:
        """Starts what answers for the routers."""
        sockets = self.home / "br{index}.mgmt"
        argv = [
            sys.executable,
            "-m",
            "helsewan.controller.slowpath.main",
            f"--plan={self.plan_file}",
            f"--sockets={sockets}",
        ]
        with (self.home / "slowpath.log").open("ab") as log:
            self.slow_path = subprocess.Popen(argv, cwd=REPOSITORY, stderr=log, stdin=subprocess.DEVNULL)

    def stop_controller(self, number: int = 0) -> None:
        """Kills a controller process."""
        controller = self.controllers.pop(number, None)
        if controller is not None:
            controller.send_signal(signal.SIGKILL)
            controller.wait()

    def signal_controller(self, sent: signal.Signals, number: int = 0) -> None:
        """Sends a controller process a signal."""
        self.controllers[number].send_signal(sent)

    def change_plan(self, plan: Plan) -> None:
        """Has the controllers read another plan."""
        write_plan(self.plan_file, plan)
        for number in self.controllers:
            self.signal_controller(signal.SIGHUP, number)

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """What the controller has reported so far."""
        lines = self.events_file.read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [event for event in found if name is None or event["event"] == name]

    def await_event(self, name: str, count: int = 1, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The ``count``-th event of this name."""

        def there() -> list[dict[str, Any]]:
            found = self.events(name)
            return found if len(found) >= count else []

        found: list[dict[str, Any]] = wait_for(there, f"{name} no. {count}, have {self.events()[-6:]}", deadline_s)
        return found[count - 1]

    def flows(self, router: str) -> str:
        """A router's flow entries."""
        return self.sh(f"ovs-ofctl -O OpenFlow13 dump-flows br{self.network.router[router].index}")

    def flows_without_counters(self, router: str) -> list[str]:
        """A router's flow entries, as they were written."""
        counters = r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^ ,]+,? ?"
        return sorted(re.sub(counters, "", line) for line in self.flows(router).splitlines()[1:])

    def all_flows(self) -> dict[str, list[str]]:
        """The flow entries of all routers, as they were written."""
        return {router: self.flows_without_counters(router) for router in self.network.router}

    def roles(self) -> set[str]:
        """The roles that switches have given connected controllers."""
        shown = self.sh("ovs-vsctl --format=json --columns=is_connected,role list controller")
        roles = {role for connected, role in json.loads(shown)["data"] if connected}
        return {str(role) for role in roles if isinstance(role, str)}

    def counted(self, router: str, cookie: int) -> int:
        """Packets counted by the rules with this cookie."""
        found = re.findall(rf"cookie={cookie:#x}, .*?n_packets=(\d+)", self.flows(router))
        return sum(map(int, found))

    def line_interface(self, line: AccessLinkId) -> str:
        """The name of the router's end of an access line."""
        return f"s{self.network.site[line[0]].index}-{line[1]}-pop"

    def set_line(self, line: AccessLinkId, state: str) -> None:
        """Sets the router's end of an access line up or down; the site's sees its carrier come and go."""
        self.sh(f"ip link set {self.line_interface(line)} {state}")

    def set_link(self, link: str, state: str) -> None:
        """Sets both ends of a fibre up or down."""
        ends = self.network.link[link]
        for router in (ends.a, ends.b):
            self.sh(f"ip link set {self.interface(router, link)} {state}")

    def ping(self, source: str, address: str, options: str = "-c 2 -i 0.05 -W 1") -> bool:
        """Whether any echo comes back to a site."""
        return ", 0 received" not in self.sh(f"ping -n {options} {address}", source, check=False)

    def python(self, program: str, site: str) -> subprocess.Popen[str]:
        """Starts a Python program at a site; it ends by itself, too."""
        limited = f"import signal; signal.alarm({DEADLINE_S:.0f})\n{program}"
        return self.popen(f"{sys.executable} -u -c {shlex.quote(limited)}", site)

    def behead(self, router: str) -> None:
        """Leaves a switch without its controller. (Without any controller named it would drop its flows.)"""
        self.sh(f"ovs-vsctl set-controller br{self.network.router[router].index} ssl:127.0.0.1:1")

    def reconnect(self, router: str) -> None:
        """Makes a switch connect anew, as after a restart."""
        index = self.network.router[router].index
        self.sh(f"ovs-vsctl del-controller br{index}")
        self.sh(f"ovs-vsctl set-controller br{index} {TARGETS}")

    def hops(self, source: str, address: str) -> set[tuple[str, str]]:
        """The (from, to) routers that echoes from a site and their answers pass, by the interfaces' counters."""
        before = self._received()
        assert self.ping(source, address, f"-c {PROBES} -i 0.01 -W 1")
        after = self._received()
        return {hop for hop, count in after.items() if count - before[hop] >= PROBES // 2}

    def _received(self) -> dict[tuple[str, str], int]:
        """Packets received so far, by (sending, receiving) router."""
        stats = {line["ifname"]: line["stats64"]["rx"]["packets"] for line in json.loads(self.sh("ip -j -s link"))}
        ends = ((end, link) for link in self.network.links for end in (link.a, link.b))
        return {(link.other(end), end): stats[self.interface(end, link.id)] for end, link in ends}


def running(home: Path, plan: Plan | None = None) -> Iterator[ControllerWorld]:
    """A programmed world, for a fixture to yield."""
    world = ControllerWorld(home, plan)
    try:
        world.start_controller()
        world.await_event("listening")
        world.build()
        world.await_event("all-programmed")
        yield world
    finally:
        world.close()


def replies(ping: subprocess.Popen[str], count: int) -> None:
    """Read what a ping prints until so many replies came; it ends by itself where they do not."""
    assert ping.stdout is not None
    while count:
        line = ping.stdout.readline()
        assert line, "too few replies"
        count -= " bytes from " in line
