"""Failures that show no sign: the sessions of both ends notice, and the network turns away and comes back."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator

import pytest
from mininet_client import Script

pytestmark = pytest.mark.alone

LINE, ENDS = "north-middle", {"north", "middle"}
INTERFACE = "link2"  # the first in the network's file
STALL_S = 0.2
ATTEMPTS = 5  # one must succeed: on a busy machine a switch may stand still for longer than it was made to
CLASSES = "{queue: int(record['frames_in']) for queue, record in emulation.testbed.engine.of_classes(%s).items()}"
PIPE = "emulation.testbed.engine_backend.links['north-middle'].forward"


@pytest.fixture(scope="module")
def do(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    script = Script(tmp_path_factory.mktemp("bfd"))
    try:
        yield script
    finally:
        script.process.kill()
        script.process.communicate()


def _said(do: Script, since: int) -> list[tuple[str, str]]:
    """(event, router) of what the controller reported of the line's ports since its event number ``since``."""
    of_line = f"e.get('link') == {LINE!r}"
    told = do(f"[(e['event'], e['router']) for e in emulation.events[{since}:] if {of_line}]")
    return [(event, router) for event, router in told]


def _ports(do: Script, router: str) -> str:
    """The router's ports, as ovs-ofctl shows them."""
    return str(do(f"net[{router!r}].ofctl('dump-ports-desc')"))


def _until(do: Script, since: int, event: str, **details: object) -> None:
    do.until(f"any(e.items() >= { ({'event': event} | details)!r}.items() for e in emulation.events[{since}:])")


@pytest.mark.parametrize("direction", ["forward", "back", "both"])
def test_a_line_that_loses_all_in_silence_is_left_by_both_ends_and_taken_again(do: Script, direction: str) -> None:
    since = do("len(emulation.events)")
    do(f"emulation.set_line({LINE!r}, {direction!r}, silent=True)")
    for router in ENDS:
        _until(do, since, "port-down", link=LINE, router=router)
    _until(do, since, "paths-switched", links_down=[LINE])
    assert do("a.cmd('ping -n -q -c 3 -i 0.1 -W 5', c.IP())").count(" 0% packet loss") == 1
    (port,) = re.findall(rf"\d+\((?:r\d+-)?{INTERFACE}\).*?state: +([\w ]+)", _ports(do, "north"), re.DOTALL)
    assert "LINK_DOWN" not in port, "it has carrier all the time"
    do(f"emulation.set_line({LINE!r}, {direction!r}, silent=False)")
    for router in ENDS:
        _until(do, since, "port-up", link=LINE, router=router)
    _until(do, since, "paths-switched", links_down=[])
    assert len(_said(do, since)) == 4, "each end said once that the line went, and once that it came"


def test_sessions_have_the_network_control_class(do: Script) -> None:
    """With nobody else at it, all that is on a line between routers is BFD's."""
    before = do(CLASSES % PIPE)
    do.until(f"({CLASSES % PIPE}).get(0, 0) >= {before.get('0', 0) + 3}")
    after = do(CLASSES % PIPE)
    assert {queue: count for queue, count in after.items() if queue != "0"} == {
        queue: count for queue, count in before.items() if queue != "0"
    }


def test_a_switch_that_stands_still_for_a_moment_loses_no_session(do: Script) -> None:
    pid = do("net['north'].forwarding_thread().pid")
    for _ in range(ATTEMPTS):
        since = do("len(emulation.events)")
        do(f"__import__('os').kill({pid}, {int(signal.SIGSTOP)})")
        time.sleep(STALL_S)
        do(f"__import__('os').kill({pid}, {int(signal.SIGCONT)})")
        time.sleep(3 * do("emulation.testbed.bfd.interval_ms") / 1000)
        if not _said(do, since):
            return
        _until(do, since, "port-up", link=LINE, router="north")
    pytest.fail(f"each of {ATTEMPTS} stalls of {STALL_S} s took the line down")
