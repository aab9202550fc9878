"""The doctor's measurements inside a sandbox: the machine's capacity, a router, creation of namespaces. Prints JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helsewan.emulation.kernel.probe import probe
from helsewan.emulation.links.engine import EngineProcess
from helsewan.emulation.links.engine_backend import EngineBackend
from helsewan.emulation.links.link_backend import CORE_MTU, TAP_QUEUE
from helsewan.emulation.links.pipe_model import PipeModel
from helsewan.emulation.netlink.interfaces import NetlinkIntf
from helsewan.emulation.nodes.nodes import NamespaceNode
from helsewan.emulation.routers.private_switch import PrivateSwitch
from helsewan.emulation.routers.shared_switch import SharedOpenVSwitch, SharedSwitch
from helsewan.emulation.routers.switches import RouterKind, RouterSwitch
from helsewan.emulation.sandbox import sandbox
from helsewan.emulation.sandbox.namespaces import Namespace, open_tap
from helsewan.lab.calibration.capacity import RATE_BPS, burst_through, measure_capacity

NAMESPACES = 100


def router_us(run_dir: Path, kind: RouterKind) -> float:
    """Processor time (us) of a router of that ``kind`` for a full frame, when frames arrive in bursts."""
    with EngineProcess(max_ports=8, max_pipes=4) as engine:
        backend = EngineBackend(engine, PipeModel)
        sites = [NamespaceNode(f"end{number}") for number in range(2)]
        router: RouterSwitch
        if kind is RouterKind.SHARED:
            router = SharedSwitch(
                "router", run_dir, run_dir, SharedOpenVSwitch(run_dir, run_dir, backend.rings), dpid="1"
            )
        else:
            router = PrivateSwitch("router", run_dir, run_dir, dpid="1")
        for number, site in enumerate(sites):
            ends = backend.end(site, "link0"), backend.end(router, f"port{number + 1}")
            site.bring_up("link0", mtu=CORE_MTU, txqlen=TAP_QUEUE)
            router.bring_up(f"port{number + 1}", mtu=CORE_MTU, txqlen=TAP_QUEUE)
            NetlinkIntf(f"port{number + 1}", node=router, port=number + 1)
            backend.join(f"link{number}", *ends, RATE_BPS, 0)
        backend.commit()
        router.batchStartup([router])
        router.ofctl("add-flow", "in_port=1,actions=output:2")
        burst_through(engine, sites[0], "link0")  # fills the switch's flow cache
        before_ns = router.switching_ns([router])
        crossings = burst_through(engine, sites[0], "link0")
        ran_ns = router.switching_ns([router]) - before_ns
        backend.rings.close()
        router.batchShutdown([router])
        return ran_ns / max(1, crossings / 2) / 1000  # each frame crosses two links


def namespaces_per_s() -> float:
    """Namespaces with a TAP that can be created per second."""
    began = time.monotonic()
    for _ in range(NAMESPACES):
        open_tap(Namespace(), "wan0")
    return NAMESPACES / (time.monotonic() - began)


def main() -> None:
    """Measure, with the kind of routers that is given, and print the figures as JSON."""
    sandbox.enter()
    found: dict[str, Any] = asdict(measure_capacity())
    found["namespaces_per_s"] = namespaces_per_s()
    found["router_us"] = router_us(sandbox.RUN_DIR, RouterKind(sys.argv[1]))
    found["kernel_parts"] = [{**asdict(finding.part), "refusal": finding.refusal} for finding in probe()]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
