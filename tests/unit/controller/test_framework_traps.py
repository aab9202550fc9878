"""Silent failures of the framework's threads are detected: a test for each of them."""

from __future__ import annotations

import signal
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from controller_process import (
    BARRIER_REQUEST,
    DEADLINE_S,
    ERROR,
    FEATURES_REPLY,
    FEATURES_REQUEST,
    HELLO,
    MULTIPART_REPLY,
    MULTIPART_REQUEST,
    Controller,
    running,
)
from waiting import wait_for

from helsewan.controller import framework

SHORT_ECHO_INTERVAL = """
import sys
from helsewan.controller import framework, main
framework._ECHO_INTERVAL_S = 0.1
sys.exit(main.main())
"""

# The controller process with another application, whose handler has a defect, and with fewer ciphers. On SIGTERM it
# returns from main like any program.
DEFECTIVE = """
import signal, ssl
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before a library starts threads
from helsewan.controller import app, framework, main

class Application(framework.RyuApp):
    OFP_VERSIONS = (4,)

    def __init__(self, plan, emit, *_):
        super().__init__()
        self.emit = emit
        framework.spawn(self.broken, self.fault)
        framework.spawn(self.waiting, lambda error: emit("waited", {"error": type(error).__name__}))

    def fault(self, error):
        self.emit("fault", {"message": str(error)})

    def lead(self, *_):
        pass

    def broken(self):
        raise ValueError("a defect in a thread")

    def waiting(self):
        framework.Queue().get(timeout=0.05)

    @framework.handles(framework.ofp_event.EventOFPStateChange, framework.MAIN_DISPATCHER)
    def joined(self, ev):
        raise ValueError(f"a defect at switch {ev.datapath.id}")

def fewer_ciphers(*files):
    context = server_context(*files)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the ciphers of later versions cannot be selected
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    return context

server_context, main.server_context, app.HealthNetController = main.server_context, fewer_ciphers, Application
assert main.main() == 0
"""


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    """A running controller."""
    with running(tmp_path) as made:
        yield made


def test_a_lost_switch_is_noticed_at_once(controller: Controller) -> None:
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        controller.await_event("switch-programmed")
    left = time.monotonic()
    controller.await_event("switch-down")
    assert time.monotonic() - left < framework._ECHO_INTERVAL_S / 2  # long before an echo would be missed


def test_a_switch_that_hangs_is_noticed(tmp_path: Path) -> None:
    with running(tmp_path, "-c", SHORT_ECHO_INTERVAL) as controller, closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        controller.await_event("switch-down")  # it sends no more echo replies, though it stays connected


@pytest.fixture(scope="module")
def defective(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """The process of ``DEFECTIVE``."""
    with running(tmp_path_factory.mktemp("defective"), "-c", DEFECTIVE) as made:
        yield made


def faults(controller: Controller) -> list[str]:
    """The faults that the application reported."""
    return [event["message"] for event in controller.events("fault")]


def test_an_exception_in_a_handler_is_reported_and_the_next_event_handled(defective: Controller) -> None:
    for number in (1, 2):
        with closing(defective.switch(number)) as switch:
            switch.serve_until(MULTIPART_REQUEST)
            wait_for(lambda: f"a defect at switch {number}" in faults(defective), "the fault")  # noqa: B023


def test_fewer_ciphers_break_no_connection(defective: Controller) -> None:
    with closing(defective.switch(1)) as switch:
        switch.serve_until(MULTIPART_REQUEST)
        assert switch.stream.cipher()[0] == "ECDHE-ECDSA-AES128-GCM-SHA256"


def test_threads_let_the_process_end(tmp_path: Path) -> None:
    controller = Controller(tmp_path)
    controller.argv[1:3] = ["-c", DEFECTIVE]
    process = controller.start()
    with closing(controller.switch(1)) as switch:
        switch.serve_until(MULTIPART_REQUEST)
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0


def test_an_exception_in_a_thread_is_reported(defective: Controller) -> None:
    wait_for(lambda: "a defect in a thread" in faults(defective), "the fault")


def test_waiting_with_a_limit_ends(defective: Controller) -> None:
    assert defective.await_event("waited")["error"] in ("Empty", "QueueEmpty")


def test_nothing_that_never_times_out_is_exported() -> None:
    assert not {"Event", "Timeout", "hub"} & set(framework.__all__)


UNKNOWN_VERSION = struct.pack("!BBHI", 77, HELLO, 8, 1)
VERSION_1_0_ONLY = struct.pack("!BBHI", 1, HELLO, 8, 1)
PORTS_BEFORE_FEATURES = struct.pack("!BBHIHH4x", 4, MULTIPART_REPLY, 16 + 64, 1, 13, 0) + bytes(64)
HELLO_FAILED_IN_LATIN_1 = struct.pack("!BBHIHH", 4, ERROR, 14, 1, 0, 0) + b"\xe6\xf8"
FEATURES_CUT_SHORT = struct.pack("!BBHI", 4, FEATURES_REPLY, 9, 1) + b"?"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """A running controller, and what connects to it breaks."""
    with running(tmp_path_factory.mktemp("attacked")) as made:
        yield made


def sound_switch_is_programmed(controller: Controller) -> None:
    """Another switch connects, and leaves again."""
    before = len(of_sound_switch(controller, "switch-programmed"))
    with closing(controller.switch(2)) as sound:
        sound.serve_until(BARRIER_REQUEST)
        wait_for(lambda: len(of_sound_switch(controller, "switch-programmed")) > before, "the sound switch")
    wait_for(lambda: len(of_sound_switch(controller, "switch-down")) > before, "its departure to be noticed")


def of_sound_switch(controller: Controller, name: str) -> list[dict[str, Any]]:
    """Events of one kind."""
    return [event for event in controller.events(name) if event["router"] == "oslo2"]


@pytest.mark.parametrize(
    "nonsense",
    [
        UNKNOWN_VERSION,
        VERSION_1_0_ONLY,
        PORTS_BEFORE_FEATURES,
        HELLO_FAILED_IN_LATIN_1,
        FEATURES_CUT_SHORT,
        bytes(64),
        bytes(range(64)),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_nonsense_ends_one_connection_at_most(attacked: Controller, nonsense: bytes) -> None:
    with closing(attacked.switch(1)) as broken:
        broken.stream.sendall(nonsense)
        sound_switch_is_programmed(attacked)


def test_any_messages_at_any_time_end_one_connection_at_most(attacked: Controller, seed: int) -> None:
    """Messages of every type, content and length, before, during and after the handshake."""
    random = Random(seed)
    for last in (None, FEATURES_REQUEST, BARRIER_REQUEST):
        for _ in range(10):
            with closing(attacked.switch(1)) as broken:
                if last is not None:
                    broken.serve_until(last)
                with suppress(ConnectionError, ssl.SSLEOFError):  # the controller has hung up: as OpenSSL puts it
                    for kind in random.sample(range(40), 12):
                        broken.send(kind, random.randrange(1 << 32), random.randbytes(random.randrange(200)))
    sound_switch_is_programmed(attacked)
