"""In a sandbox: bring up the national network with N sites, and reach every hospital with real packets. Prints JSON and
then waits until it is killed, so that its memory and its end can be measured from outside."""

from __future__ import annotations

import fcntl
import json
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from helsewan.emulation.sandbox import sandbox
from helsewan.lab.testbed.testbed import Testbed
from helsewan.policies.compile import compile_policy, library_path, load_policy
from helsewan.topology.model import Kind, Site, access_interface
from helsewan.topology.national.generator import national_network

VOICE_PORT = 16_384  # open between any two hospitals (policies/library/national.yaml)
REACH_DEADLINE_S = 20.0
ROUND_S = 1.0  # longer than any round trip
_SIOCGARP, _ATF_PERM = 0x8954, 0x04  # arp(7)


class Stages:
    """The duration of each stage; a stage ends when the next one begins."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._name, self._began = "", time.monotonic()

    def begin(self, name: str) -> None:
        """End the current stage and begin ``name``. Numbers are removed from names, as they vary."""
        now = time.monotonic()
        if self._name:
            self.seconds[self._name] = now - self._began
        self._name, self._began = " ".join(word for word in name.split() if not word.isdigit()), now


def unreached(testbed: Testbed, hospitals: list[Site]) -> list[str]:
    """The hospitals that did not receive a datagram from the previous one and the next one's answer to their own.

    Each sends to the next one, as in a ring, and answers what it receives, until all have succeeded or time is up."""
    selector = selectors.DefaultSelector()
    sockets = []
    for site in hospitals:
        opened = testbed.socket_in(site.id, socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((str(site.address4), VOICE_PORT))
        opened.setblocking(False)
        selector.register(opened, selectors.EVENT_READ, site)
        sockets.append(opened)
    waiting = {(site.id, what) for site in hospitals for what in (b"ask", b"answer")}
    end = time.monotonic() + REACH_DEADLINE_S
    while waiting and time.monotonic() < end:
        for number, opened in enumerate(sockets):
            following = hospitals[(number + 1) % len(hospitals)]
            if {(following.id, b"ask"), (hospitals[number].id, b"answer")} & waiting:
                opened.sendto(b"ask", (str(following.address4), VOICE_PORT))
        round_ends = time.monotonic() + ROUND_S
        while waiting and (left_s := round_ends - time.monotonic()) > 0:
            for key, _ in selector.select(left_s):
                what, sender = key.fileobj.recvfrom(64)  # type: ignore[union-attr]
                waiting.discard((key.data.id, what))
                if what == b"ask":
                    key.fileobj.sendto(b"answer", sender)  # type: ignore[union-attr]
    for opened in sockets:
        opened.close()
    return sorted({site for site, _ in waiting})


def asking(testbed: Testbed, sites: Iterable[Site]) -> int:
    """The number of ``sites`` that have no permanent entry for their gateway: each takes room in the kernel's neighbour
    table as soon as it sends, and that is full at 1024."""
    found = 0
    for site in sites:
        with testbed.socket_in(site.id, socket.AF_INET, socket.SOCK_DGRAM) as opened:
            name = access_interface(0).encode().ljust(16, b"\0")
            gateway = struct.pack("=HH4s8x", socket.AF_INET, 0, site.gateway4.packed)
            try:
                entry = fcntl.ioctl(opened, _SIOCGARP, gateway + bytes(16) + bytes(4) + bytes(16) + name)
            except OSError:
                found += 1
            else:
                found += not struct.unpack_from("=I", entry, 32)[0] & _ATF_PERM
    return found


def main(sites: int, logs: Path) -> None:
    """Bring the network up, print the result, wait for the end."""
    sandbox.enter()
    stages = Stages()
    stages.begin("planning")
    plan = compile_policy(load_policy(library_path("national")), national_network(sites, seed=1))
    events = []
    testbed = Testbed(plan, sandbox.RUN_DIR, logs, events.append)
    testbed.start(stages.begin)
    stages.begin("reaching every hospital")
    hospitals = [site for site in plan.network.sites if site.kind is Kind.HOSPITAL]
    missing = unreached(testbed, hospitals)
    stages.begin("end")
    (computed,) = (event for event in events if event["event"] == "rules-ready")
    (programmed,) = (event for event in events if event["event"] == "all-programmed")
    flows = [event["flows"] for event in events if event["event"] == "switch-programmed"]
    answer = {
        "stages_s": stages.seconds,
        "hospitals": len(hospitals),
        "unreached": missing,
        "asking": asking(testbed, plan.network.sites),
        "errors": [event for event in events if event["event"] == "error"],
        "computed_s": computed["seconds"],
        "installed_s": programmed["seconds"],
        "flows": programmed["flows"],
        "groups": programmed["groups"],
        "most_flows": max(flows),
        "dead": testbed.dead_parts(),
    }
    print(json.dumps(answer), flush=True)
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
