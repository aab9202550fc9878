"""Applications between sites of the small network, and sipp as either side of calls: ``python applications_live.py``
in a sandbox prints what became of all as JSON."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from small_network import DESCRIPTION
from waiting import wait_for

from helsewan.emulation.sandbox import sandbox
from helsewan.lab import Emulation
from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.applications.sip.calls import CallPlan
from helsewan.lab.applications.sip.user_agent import UserAgent
from helsewan.lab.applications.sip_endpoint import SipEndpoint
from helsewan.lab.flows.applications import (
    Application,
    Dicom,
    Ebxml,
    Hl7,
    SipCall,
    SipTransport,
    Span,
    ThinClient,
    Transaction,
    Web,
)
from helsewan.lab.flows.flowspec import ExchangeSpec
from helsewan.topology.importers import network_from

CLIENT, SERVER, THIRD = "hospital-a", "hospital-b", "gp-c"
COUNT = 3
SIPP_CALLS = 5
DEADLINE_S = 60.0
RING_US, TALK_US = 100_000, 200_000


def exactly(value: int) -> Span:
    return Span(value, value)


APPLICATIONS: dict[int, Application] = {  # by port
    8443: Transaction(exactly(2_000), exactly(20_000)),
    2575: Hl7(Span(2_000, 10_000)),
    8080: Ebxml(Span(10_000, 25_000), Span(3_000, 6_000), Span(3_000, 6_000), exactly(10_000)),
    11112: Dicom("CT", exactly(3), exactly(524_288), associations=2),
    3128: Web(exactly(20_000), exactly(5), exactly(3_000), 3, exactly(1), exactly(0)),
    1494: ThinClient(Span(40, 120), exactly(20_000)),
    5060: SipCall(SipTransport.UDP, exactly(RING_US), exactly(TALK_US)),
    5061: SipCall(SipTransport.TCP, exactly(RING_US), exactly(TALK_US)),
}


class Sites:
    """The sites of a running emulation."""

    def __init__(self, emulation: Emulation) -> None:
        self.node = emulation.net
        self._sites = {site.id: site for site in NETWORK.sites}

    def address(self, site: str, version: int) -> IPv4Address | IPv6Address:
        return self._sites[site].address4 if version == 4 else self._sites[site].address6

    def socket_in(self, site: str, family: int, kind: int) -> socket.socket:
        opened: socket.socket = self.node.get(site).namespace.socket(family, kind)
        return opened

    def sipp(self, site: str, version: int, *arguments: str) -> subprocess.Popen[str]:
        """sipp at a site, its files in a directory of their own."""
        address = str(self.address(site, version))
        argv = ["sipp", *arguments, "-i", address, "-m", str(SIPP_CALLS), "-nostdin", "-timeout", "40", "-trace_err"]
        directory = tempfile.mkdtemp()
        opened: subprocess.Popen[str] = self.node.get(site).spawn(
            argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return opened


def exchanges(sites: Sites) -> dict[str, Any]:
    """All kinds of applications at once, over IPv4 and IPv6, and sipp calls their agent meanwhile."""
    specs = [
        ExchangeSpec(
            id=number,
            name=f"{application.kind} {port} IPv{version}",
            class_name="data",
            service="any",
            client=CLIENT,
            server=SERVER,
            client_address=sites.address(CLIENT, version),
            server_address=sites.address(SERVER, version),
            port=port,
            dscp=26,
            application=application,
            begins_us=tuple(range(0, COUNT * 50_000, 50_000)),
            seed=str(number),
            deadline_us=20_000_000,
            start_us=0,
            stop_us=20_000_000,
            groups=("entry",),
        )
        for number, (port, application, version) in enumerate(
            (port, application, version) for port, application in APPLICATIONS.items() for version in (4, 6)
        )
    ]
    engine = ApplicationEngine(specs, sites.socket_in)
    try:
        engine.start(time.time_ns())
        called = {}
        for version in (4, 6):
            host = str(sites.address(SERVER, version))
            target = f"[{host}]:5060" if version == 6 else f"{host}:5060"
            called[version] = sites.sipp(THIRD, version, "-sn", "uac", target, "-p", "5060", "-d", "200").wait(60)
        wait_for(lambda: len(engine.results) == COUNT * len(specs), "the exchanges to end", DEADLINE_S)
        engine.stop()
    finally:
        engine.close()
    done = {spec.name: [[one.ok, one.error] for one in engine.results if one.spec_id == spec.id] for spec in specs}
    return {"exchanges": done, "sipp calls": called}


async def calls_to_sipp(sites: Sites, version: int) -> list[list[Any]]:
    """Calls of one of our agents to sipp: error, time to the answer and from there to the end, in us."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    own, peer = str(sites.address(CLIENT, version)), str(sites.address(SERVER, version))
    opened = sites.socket_in(CLIENT, family, socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.bind((own, 5060))
    agent = UserAgent((own, 5060), range(16_384, 16_640), "seed")
    endpoint = SipEndpoint(agent, lambda: time.monotonic_ns() // 1000)
    await endpoint.over_udp(opened)
    plan = CallPlan(0, TALK_US, 20_000_000)
    try:
        calls = await asyncio.gather(*(endpoint.call((peer, 5070), plan) for _ in range(SIPP_CALLS)))
    finally:
        endpoint.close()
        await asyncio.sleep(0)
    return [[call.error, (call.answered_us or 0) - call.began_us, (call.ended_us or 0) - (call.answered_us or 0)]
            for call in calls]  # fmt: skip


def answered_by_sipp(sites: Sites) -> dict[str, Any]:
    found = {}
    for version in (4, 6):
        answering = sites.sipp(SERVER, version, "-sn", "uas", "-p", "5070")
        calls = asyncio.run(calls_to_sipp(sites, version))
        found[f"IPv{version}"] = {"calls": calls, "sipp": answering.wait(60)}
    return {"answered by sipp": found}


NETWORK = network_from(DESCRIPTION)

if __name__ == "__main__":
    if shutil.which("sipp") is None:
        sys.exit("no sipp here (hint: tools/setup dev)")
    sandbox.inhabit()
    os.chdir(tempfile.mkdtemp())
    with Emulation(NETWORK, policy="open") as emulation:
        here = Sites(emulation)
        print(json.dumps({**exchanges(here), **answered_by_sipp(here)}))
