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
from itertools import product
from typing import Any

from small_network import DESCRIPTION
from waiting import wait_for

from helsewan.emulation.sandbox import sandbox
from helsewan.lab import Emulation
from helsewan.lab.applications.engine import ApplicationEngine
from helsewan.lab.applications.sip.calls import CallPlan
from helsewan.lab.applications.sip.user_agent import UserAgent
from helsewan.lab.applications.sip_endpoint import Connect, SipEndpoint
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
        for version, (transport, port) in product((4, 6), (("u1", 5060), ("t1", 5061))):
            host = str(sites.address(SERVER, version))
            target = f"[{host}]:{port}" if version == 6 else f"{host}:{port}"
            calling = sites.sipp(THIRD, version, "-sn", "uac", target, "-p", "5060", "-d", "200", "-t", transport)
            called[f"IPv{version} {transport}"] = calling.wait(DEADLINE_S)
        wait_for(lambda: len(engine.results) == COUNT * len(specs), "the exchanges to end", DEADLINE_S)
        engine.stop()
    finally:
        engine.close()
    done = {spec.name: [[one.ok, one.error] for one in engine.results if one.spec_id == spec.id] for spec in specs}
    return {"exchanges": done, "sipp calls": called}


async def calls_to_sipp(sites: Sites, version: int, transport: str) -> dict[str, Any]:
    """Calls of one of our agents to sipp: of each its error, the time to the answer and from there to the end, in us;
    and how sipp ended. Over TCP it counts calls as failed whose connection is closed too soon."""
    is_tcp = transport == "t1"
    own, peer = str(sites.address(CLIENT, version)), str(sites.address(SERVER, version))
    opened = bound(sites, own, version, is_tcp)
    endpoint = SipEndpoint(UserAgent((own, 5060), range(16_384, 16_640), "seed", is_tcp), now_us)

    async def connect(address: tuple[str, int]) -> socket.socket:
        line = sites.socket_in(CLIENT, opened.family, socket.SOCK_STREAM)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, address)
        return line

    await (endpoint.over_tcp(opened, connect) if is_tcp else endpoint.over_udp(opened))
    answering = sites.sipp(SERVER, version, "-sn", "uas", "-p", "5070", "-t", transport)
    plan = CallPlan(0, TALK_US, 20_000_000)
    try:
        if is_tcp:
            await listening(connect, (peer, 5070))
        calls = await asyncio.gather(*(endpoint.call((peer, 5070), plan) for _ in range(SIPP_CALLS)))
        ended = await asyncio.to_thread(answering.wait, DEADLINE_S)
    finally:
        endpoint.close()
        answering.kill()
        await asyncio.sleep(0)
    times = [(call.began_us, call.answered_us or 0, call.ended_us or 0) for call in calls]
    return {
        "calls": [[call.error, two - one, end - two] for call, (one, two, end) in zip(calls, times, strict=True)],
        "sipp": ended,
    }


def bound(sites: Sites, own: str, version: int, is_tcp: bool) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    opened = sites.socket_in(CLIENT, family, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
    opened.setblocking(False)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind((own, 5060))
    if is_tcp:
        opened.listen()
    return opened


async def listening(connect: Connect, address: tuple[str, int]) -> None:
    """Until somebody listens there."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        try:
            (await connect(address)).close()
            return
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
    raise TimeoutError("sipp does not listen")


def now_us() -> int:
    return time.monotonic_ns() // 1000


NETWORK = network_from(DESCRIPTION)

if __name__ == "__main__":
    if shutil.which("sipp") is None:
        sys.exit("no sipp here (hint: tools/setup dev)")
    sandbox.inhabit()
    os.chdir(tempfile.mkdtemp())
    with Emulation(NETWORK, policy="open") as emulation:
        here = Sites(emulation)
        answered = {
            f"IPv{version} {transport}": asyncio.run(calls_to_sipp(here, version, transport))
            for version, transport in product((4, 6), ("u1", "t1"))
        }
        print(json.dumps({**exchanges(here), "answered by sipp": answered}))
