"""In a sandbox: stock Mininet builds and starts the national network with N sites. Prints JSON.

Everything is Mininet's own: its ``Host``, ``Link`` (a veth pair; its ``TCLink`` needs netem) and ``OVSSwitch`` with the
userspace datapath, all in one Open vSwitch, configured in batches, its fastest mode. Nothing is shaped, delayed,
routed or programmed: an easier task than helsewan's.
"""

from __future__ import annotations

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

from mininet.link import Link
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import Host, OVSSwitch

from helsewan.common.processes import run
from helsewan.emulation.routers.switches import SCHEMA
from helsewan.emulation.sandbox import sandbox
from helsewan.topology.mininet_build import NationalTopo

OVS_DIR = Path("/run/openvswitch")  # of this sandbox only


def start_open_vswitch() -> None:
    """Start one database and one switch daemon for all bridges, as in an installed Open vSwitch."""
    OVS_DIR.mkdir()
    for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"):
        os.environ[name] = str(OVS_DIR)
    database, socket = str(OVS_DIR / "conf.db"), OVS_DIR / "db.sock"
    run(["ovsdb-tool", "create", database, str(SCHEMA)])
    run(["ovsdb-server", database, f"--remote=punix:{socket}", "--detach", "--no-chdir", "--pidfile", "--log-file"])
    run(["ovs-vsctl", "--no-wait", "init"])
    run(["ovs-vswitchd", f"unix:{socket}", "--detach", "--no-chdir", "--pidfile", "--log-file"])


def main(sites: int) -> None:
    """Build and start; print the seconds of each."""
    sandbox.enter()
    start_open_vswitch()
    setLogLevel("error")
    Mininet.inited = True  # Mininet.init would change the machine's sysctls
    topo = NationalTopo(sites=sites)
    switch = partial(OVSSwitch, datapath="user", failMode="secure", batch=True)
    began = time.monotonic()
    net = Mininet(topo=topo, host=Host, link=Link, switch=switch, controller=None)
    built = time.monotonic()
    net.start()
    started = time.monotonic()
    nodes = {"hosts": len(net.hosts), "switches": len(net.switches)}
    print(json.dumps({**nodes, "build_s": built - began, "start_s": started - built}), flush=True)
    os._exit(0)  # the kernel is quicker than Mininet's own stop, which would take another 40 ms a host


if __name__ == "__main__":
    main(int(sys.argv[1]))
