"""Dual-homed sites lose an access line while both its routers live: what is on its way to them goes on, in both
directions, and nothing is lost when the line is back."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from controller_world import ControllerWorld, replies, running
from waiting import wait_for

from helsewan.controller.openflow.pipeline import Drop, Purpose, cookie
from helsewan.topology.model import access_link_name

pytestmark = pytest.mark.emulated

SITE, OTHER = "st-olav", "trondheim-gp"  # the other hangs on the site's primary router
PRIMARY, BACKUP = (SITE, 0), (SITE, 1)
RATE_PPS, SECONDS = 1000, 8
# Sends numbered datagrams and notes those that come. Says when so many came as are sent in a second; in the end when it
# began, which did not come, and the longest silence.
TALK = f"""
import json, socket, threading, time
s = socket.socket(2, 2); s.bind(('', 20000)); s.settimeout(2); print('up', flush=True)
heard = []
def listen():
    try:
        while True:
            heard.append((int(s.recv(200)), time.monotonic()))
            if len(heard) % {RATE_PPS} == 0: print('heard', flush=True)
    except OSError: pass
listener = threading.Thread(target=listen); listener.start()
begun = time.monotonic() + 0.5
for i in range({RATE_PPS * SECONDS}):
    time.sleep(max(0, begun + i / {RATE_PPS} - time.monotonic()))
    s.sendto(b'%d' % i, ('PEER', 20000))
listener.join()
lost = sorted(set(range({RATE_PPS * SECONDS})) - {{number for number, _ in heard}})
silence = max(b - a for (_, a), (_, b) in zip(heard, heard[1:]))
print(json.dumps({{'begun': begun, 'lost': lost, 'silence_ms': silence * 1000}}))
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ControllerWorld]:
    """A programmed world for a test that breaks something; the site prefers a line that has light."""
    for world in running(tmp_path):
        site = world.network.site[SITE]
        world.sh("sysctl -qw net.ipv4.conf.all.ignore_routes_with_linkdown=1", SITE)
        world.sh(f"ip route add default via {site.gateway4} dev s{site.index}-1 metric 100", SITE)
        yield world


def address(world: ControllerWorld, site: str) -> str:
    """A site's address."""
    return str(world.network.site[site].address4)


def talk_goes_on(talkers: Iterable[subprocess.Popen[str]]) -> None:
    """Wait until everybody has heard what is sent in a second."""
    for talker in talkers:
        assert talker.stdout is not None and talker.stdout.readline() == "heard\n"


def test_cut_line_is_gone_round_and_mended_without_loss(world: ControllerWorld) -> None:
    """A flow of 1,000 packets a second each way."""
    assert world.ping(OTHER, address(world, SITE))
    peers = {SITE: OTHER, OTHER: SITE}
    talkers = {site: world.python(TALK.replace("PEER", address(world, peer)), site) for site, peer in peers.items()}
    for talker in talkers.values():
        assert talker.stdout is not None and talker.stdout.readline() == "up\n"
    talk_goes_on(talkers.values())
    world.set_line(PRIMARY, "down")
    assert world.await_event("paths-switched")["accesses_down"] == [access_link_name(*PRIMARY)]
    talk_goes_on(talkers.values())
    mended = time.monotonic()
    world.set_line(PRIMARY, "up")
    assert world.await_event("paths-switched", 2)["accesses_down"] == []
    for site, talker in talkers.items():
        assert talker.stdout is not None
        told = json.loads(talker.stdout.read().splitlines()[-1])
        lost = told["lost"]
        print(f"to {site}: {len(lost)} lost, silent for {told['silence_ms']:.1f} ms at most")
        assert lost == list(range(lost[0], lost[-1] + 1) if lost else []), "lost more than once"
        assert not [number for number in lost if told["begun"] + number / RATE_PPS > mended]
        assert len(lost) < RATE_PPS * SECONDS / 10


def test_a_cut_line_needs_no_controller(world: ControllerWorld) -> None:
    """From across the core, and with nobody to turn the routes."""
    world.stop_controller()
    assert world.ping("bergen-gp", address(world, SITE))
    with world.popen(f"ping -n -i 0.01 -c 300 -W 1 {address(world, SITE)}", OTHER) as ping:
        replies(ping, 30)
        world.set_line(PRIMARY, "down")
        assert ping.stdout is not None
        received = re.search(r"(\d+) received", ping.stdout.read())
    assert received is not None and int(received.group(1)) >= 280
    assert world.hops(OTHER, address(world, SITE)) >= {("trondheim", "bergen")}
    assert world.ping("bergen-gp", address(world, SITE))


def test_a_site_without_a_line_gets_nothing_and_nothing_goes_to_and_fro(world: ControllerWorld) -> None:
    world.set_line(PRIMARY, "down")
    world.set_line(BACKUP, "down")
    dropped = cookie(Purpose.DROP, Drop.NO_LINE)
    world.await_event("paths-switched")
    before = world.counted("bergen", dropped), world.counted("trondheim", dropped)
    assert not world.ping(OTHER, address(world, SITE), "-c 5 -i 0.05 -W 0.3")
    wait_for(lambda: world.counted("bergen", dropped) >= before[0] + 5, "the drops to be counted")
    assert world.counted("bergen", dropped) == before[0] + 5
    assert world.counted("trondheim", dropped) == before[1]
    for line in (PRIMARY, BACKUP):
        world.set_line(line, "up")
    wait_for(lambda: world.ping(OTHER, address(world, SITE)), "the site to be back")
