"""What the controller takes from its end of the control channel: false certificates, broken OpenFlow, floods, silence.

Each test ends with a sound switch being served: whatever one end does is its own affair.
"""

from __future__ import annotations

import random
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from controller_process import (
    BARRIER_REPLY,
    BARRIER_REQUEST,
    DEADLINE_S,
    ECHO_REPLY,
    ECHO_REQUEST,
    ERROR,
    FEATURES_REPLY,
    FEATURES_REQUEST,
    HELLO,
    MULTIPART_REPLY,
    PORT_STATUS,
    Controller,
    FakeSwitch,
    running,
)
from waiting import wait_for

from helsewan.controller.control.connection_limiter import MAX_CONNECTIONS
from helsewan.emulation.routers.certificate_authority import CertificateAuthority, Credentials

PACKET_IN = 10
HELLO_FAILED = 0
FLOOD = 20_000
ENDED = (EOFError, ConnectionError, ssl.SSLError)


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    """One controller for all of them: it must outlive each."""
    with running(tmp_path_factory.mktemp("controller")) as made:
        yield made


@pytest.fixture(autouse=True)
def sound_switch(controller: Controller) -> Iterator[None]:
    """After each test a sound switch is programmed, which also makes every complaint news again."""
    yield
    before = len(controller.events("switch-programmed"))
    with closing(controller.switch(2)) as sound:
        sound.serve_until(BARRIER_REQUEST)
        wait_for(lambda: len(controller.events("switch-programmed")) > before, "a sound switch to be served")


def refusals(controller: Controller, since: int, reason: str) -> list[str]:
    """Why anybody was turned away since event number ``since``, for ``reason``."""
    told = controller.events("switch-turned-away")[since:]
    return [event["reason"] for event in told if reason in event["reason"]]


def until_ended(switch: FakeSwitch) -> None:
    """Returns when the controller has ended the connection."""
    with suppress(*ENDED):
        while True:
            switch.receive()


def _stranger(controller: Controller, home: Path) -> Credentials:
    theirs = CertificateAuthority(home / "other").for_switch("one", [1])
    ours = controller.authority.for_switch(f"none-{home.name}", [1])
    return Credentials(theirs.key, theirs.certificate, ours.authority)


def _expired(controller: Controller, home: Path) -> Credentials:
    return controller.authority.for_switch(f"expired-{home.name}", [1], timedelta(hours=-1))


def _controllers_own(controller: Controller, _: Path) -> Credentials:
    return controller.credentials


@pytest.mark.parametrize(
    ("credentials", "reason"),
    [
        (_stranger, "TLS: self-signed certificate in certificate chain|TLS: unable to get local issuer certificate"),
        (_expired, "TLS: certificate has expired"),
        (_controllers_own, "TLS: unsuitable certificate purpose|TLS: unsupported certificate purpose"),
    ],
)
def test_certificate_that_does_not_count_is_told_once(
    controller: Controller, tmp_path: Path, credentials: Callable[[Controller, Path], Credentials], reason: str
) -> None:
    since = len(controller.events("switch-turned-away"))
    shown = credentials(controller, tmp_path)
    for _ in range(3):
        with suppress(*ENDED), closing(FakeSwitch(controller.address, 1, shown)) as switch:
            until_ended(switch)
    wait_for(lambda: any(refusals(controller, since, words) for words in reason.split("|")), reason)
    assert len(controller.events("switch-turned-away")) == since + 1


def test_missing_certificate_is_told_once(controller: Controller) -> None:
    since = len(controller.events("switch-turned-away"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(3):
        with suppress(*ENDED), context.wrap_socket(socket.create_connection(controller.address, DEADLINE_S)) as stream:
            while stream.recv(1000):
                pass
    wait_for(lambda: refusals(controller, since, "peer did not return a certificate"), "the event")
    assert len(controller.events("switch-turned-away")) == since + 1


def test_switch_cannot_say_it_is_another(controller: Controller) -> None:
    since, joined = len(controller.events("switch-turned-away")), len(controller.events("switch-up"))
    shown = controller.authority.for_switch("impostor", [3])
    with closing(FakeSwitch(controller.address, 1, shown)) as impostor:
        impostor.serve_until(FEATURES_REQUEST)
        until_ended(impostor)
    reason = "its certificate is not for its datapath id dpid:0000000000000001"
    assert wait_for(lambda: refusals(controller, since, reason), "the event") == [reason]
    assert len(controller.events("switch-up")) == joined


def test_old_tls_is_refused(controller: Controller) -> None:
    since = len(controller.events("switch-turned-away"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ENDED):
        context.wrap_socket(socket.create_connection(controller.address, DEADLINE_S)).recv(1)
    wait_for(lambda: refusals(controller, since, "TLS: unsupported protocol"), "the event")


def test_what_is_no_tls_is_refused(controller: Controller) -> None:
    since = len(controller.events("switch-turned-away"))
    with socket.create_connection(controller.address, DEADLINE_S) as stream:
        stream.sendall(struct.pack("!BBHI", 4, HELLO, 8, 1))
        while stream.recv(1000):
            pass
    wait_for(lambda: refusals(controller, since, "TLS: "), "the event")


def message(kind: int, body: bytes = b"", version: int = 4, length: int | None = None) -> bytes:
    """An OpenFlow message, or what has its header."""
    return struct.pack("!BBHI", version, kind, 8 + len(body) if length is None else length, 7) + body


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (message(ECHO_REQUEST, length=0), "sent a message of length 0"),
        (message(ECHO_REQUEST, length=7), "sent a message of length 7"),
        (message(ECHO_REQUEST, version=1), "sent a message of version 1, agreed was 4"),
        (message(ERROR, struct.pack("!HH", HELLO_FAILED, 0) + b"\xff\xfe\xfd\xfc"), "UnicodeDecodeError"),
    ],
)
def test_what_is_no_openflow_ends_its_connection(controller: Controller, sent: bytes, reason: str) -> None:
    since = len(controller.events("switch-turned-away"))
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        switch.stream.sendall(sent)
        until_ended(switch)
    wait_for(lambda: refusals(controller, since, reason), reason)


def raw_switch(controller: Controller, first: bytes) -> FakeSwitch:
    """A switch that says ``first`` where others say hello."""

    class Rude(FakeSwitch):
        def send(self, kind: int, xid: int, body: bytes = b"") -> None:
            self.stream.sendall(first) if kind == HELLO else super().send(kind, xid, body)

    return Rude(controller.address, 1, controller.authority.for_switch(f"rude-{random.random()}", [1]))


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (message(BARRIER_REPLY), f"began with a message of type {BARRIER_REPLY}, not with hello"),
        (message(HELLO, version=1), "it does not support OpenFlow 1.3"),
        (message(HELLO, length=1), "sent a message of length 1"),
    ],
)
def test_it_must_begin_with_hello(controller: Controller, first: bytes, reason: str) -> None:
    since = len(controller.events("switch-turned-away"))
    with closing(raw_switch(controller, first)) as switch:
        until_ended(switch)
    wait_for(lambda: refusals(controller, since, reason), reason)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("established", [False, True])
def test_random_messages_do_no_harm(controller: Controller, seed: int, established: bool) -> None:
    """Bodies of any content under good headers, of the kinds that a controller's handlers look into."""
    chance = random.Random(seed)
    kinds = (ERROR, ECHO_REPLY, FEATURES_REPLY, PACKET_IN, PORT_STATUS, MULTIPART_REPLY, BARRIER_REPLY, 4, 11, 15, 30)
    for _ in range(10):
        with closing(controller.switch(1)) as switch:
            if established:
                switch.serve_until(BARRIER_REQUEST)
            with suppress(*ENDED):  # it may be turned away at any of them
                for _ in range(30):
                    body = chance.randbytes(chance.choice((0, 1, 3, 8, 24, 40, 72, 200)))
                    switch.stream.sendall(message(chance.choice(kinds), body))


def test_damaged_port_list_does_no_harm(controller: Controller) -> None:
    with closing(controller.switch(1)) as switch:
        xid = switch.serve_until(FEATURES_REQUEST)
        switch.send(MULTIPART_REPLY, xid, struct.pack("!HH4x", 13, 0) + switch.port(1)[:-3])


def test_handshake_without_end_is_ended(controller: Controller) -> None:
    """A list of ports that never ends would fill the memory."""
    since = len(controller.events("switch-turned-away"))
    with closing(controller.switch(1)) as switch:
        switch.serve_until(FEATURES_REQUEST)
        more = struct.pack("!HH4x", 13, 1) + b"".join(switch.port(number) for number in range(1000))
        with suppress(*ENDED):
            for _ in range(100):
                switch.send(MULTIPART_REPLY, 1, more)
        until_ended(switch)
    wait_for(lambda: refusals(controller, since, "before it was through the handshake"), "the event")


def test_flood_does_not_keep_others_waiting(controller: Controller) -> None:
    packet = message(PACKET_IN, struct.pack("!IHBBQHH4x2x", 0xFFFFFFFF, 60, 0, 0, 0, 1, 4) + bytes(60))
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)

        def flood() -> None:
            with suppress(OSError):
                for _ in range(FLOOD // 100):
                    switch.stream.sendall(packet * 100)

        flooding = threading.Thread(target=flood)
        flooding.start()
        before = len(controller.events("switch-programmed"))
        with closing(controller.switch(3)) as sound:
            sound.serve_until(BARRIER_REQUEST)
            wait_for(lambda: len(controller.events("switch-programmed")) > before, "a sound switch to be served")
    flooding.join()


def test_switch_that_takes_nothing_is_given_up(controller: Controller) -> None:
    """It asks for echoes and reads none: the answers pile up, and then the connection ends."""
    asked = message(ECHO_REQUEST, bytes(10_000)) * 10
    with closing(controller.switch(1)) as switch:
        switch.serve_until(BARRIER_REQUEST)
        with pytest.raises(OSError):
            for _ in range(10_000):
                switch.stream.sendall(asked)


def test_silent_connections_leave_room_for_others(controller: Controller) -> None:
    """From one address no more than so many; other addresses do not notice."""
    since = len(controller.events("switch-turned-away"))
    silent = [
        socket.create_connection(controller.address, DEADLINE_S, ("127.0.0.9", 0)) for _ in range(2 * MAX_CONNECTIONS)
    ]
    wait_for(lambda: refusals(controller, since, "too many connections"), "the event")
    with closing(controller.switch(3)) as sound:
        sound.serve_until(BARRIER_REQUEST)
    for each in silent:
        each.close()
