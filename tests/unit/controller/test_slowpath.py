"""The slow path process: its responses to OpenFlow messages, and that no message ends it."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from controller_plan import small_plan
from hypothesis import given
from hypothesis import strategies as st
from ip_packets import ipv4

from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.pipeline import VRF, Drop, Purpose, cookie
from helsewan.controller.plan_file import write_plan
from helsewan.controller.slowpath.icmp_responder import IcmpResponder
from helsewan.controller.slowpath.main import _RouterSlowPath, serve

PLAN = small_plan()
ROUTER = _RouterSlowPath("bodo", "", IcmpResponder(PLAN), Encoder())
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, PACKET_IN, PACKET_OUT = 0, 1, 2, 3, 10, 13
ACTION = 1  # OFPR_ACTION


def packet_in(frame: bytes, number: int, metadata: int) -> bytes:
    """A packet-in message (OpenFlow 1.3.5, 7.4.1)."""
    match = struct.pack("!HHIQ", 1, 16, 0x80000408, metadata)
    body = struct.pack("!IHBBQ", 0xFFFFFFFF, len(frame), ACTION, 1, number) + match + bytes(2) + frame
    return struct.pack("!BBHI", 4, PACKET_IN, 8 + len(body), 7) + body


UNKNOWN = packet_in(
    bytes(12) + b"\x08\x00" + ipv4("10.2.0.2", "10.1.0.2", body=bytes(8)),
    cookie(Purpose.DROP, Drop.NO_ROUTE),
    VRF.of(PLAN.vpn["nord"].id)[0],
)


def test_a_punted_packet_gets_a_packet_out() -> None:
    answer = ROUTER._respond(UNKNOWN)
    assert answer[1] == PACKET_OUT and int.from_bytes(answer[2:4], "big") == len(answer)
    assert answer.endswith(ipv4("10.2.0.2", "10.1.0.2", body=bytes(8)))


@given(st.integers(0, len(UNKNOWN)), st.binary(max_size=40))
def test_no_message_ends_it(cut: int, rest: bytes) -> None:
    assert isinstance(ROUTER._respond(UNKNOWN[:cut].ljust(8, b"\0") + rest), bytes)


def test_it_replies_to_echoes_and_reconnects(tmp_path: Path) -> None:
    """A switch closes the connection in the middle of a message, and is connected to again."""

    async def connections() -> list[bytes]:
        greetings: list[bytes] = []
        twice = asyncio.Event()

        async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            greetings.append(await reader.readexactly(8))
            if len(greetings) == 1:
                writer.write(b"\x04\x0a\x00")
            else:
                writer.write(struct.pack("!BBHI", 4, ECHO_REQUEST, 8, 99))
                while (message := await reader.readexactly(8))[1] != ECHO_REPLY:
                    await reader.readexactly(int.from_bytes(message[2:4], "big") - 8)
                greetings.append(message)
                twice.set()
            writer.close()

        path = str(tmp_path / "switch")
        running = asyncio.create_task(_RouterSlowPath("bodo", path, IcmpResponder(PLAN), Encoder()).run())
        async with await asyncio.start_unix_server(switch, path):
            await asyncio.wait_for(twice.wait(), 20)
            running.cancel()
        return greetings

    first, second, echo = asyncio.run(connections())
    assert first[:2] == second[:2] == bytes([4, HELLO])
    assert echo == struct.pack("!BBHI", 4, ECHO_REPLY, 8, 99)


def test_it_reloads_the_plan(tmp_path: Path) -> None:
    """No more errors are sent once the plan has no route to the sender."""
    plan_file = tmp_path / "plan"
    write_plan(plan_file, PLAN)

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answered = 0
        while True:
            writer.write(UNKNOWN + struct.pack("!BBHI", 4, ECHO_REQUEST, 8, 99))
            kinds = []
            while ECHO_REPLY not in kinds:
                header = await reader.readexactly(8)
                await reader.readexactly(int.from_bytes(header[2:4], "big") - 8)
                kinds.append(header[1])
            if PACKET_OUT in kinds:
                answered += 1
                if answered == 1:
                    write_plan(plan_file, replace(PLAN, routes=()))
            elif answered:
                done.set()
                return
            await asyncio.sleep(0.02)

    async def run() -> None:
        serving = asyncio.create_task(serve(plan_file, str(tmp_path / "{router}")))
        async with await asyncio.start_unix_server(switch, str(tmp_path / "bodo")):
            await asyncio.wait_for(done.wait(), 20)
            serving.cancel()

    done = asyncio.Event()
    asyncio.run(run())


def test_error_messages_of_a_switch_are_logged_up_to_a_limit(capsys: pytest.CaptureFixture[str]) -> None:
    router = _RouterSlowPath("bodo", "", IcmpResponder(PLAN), Encoder())
    for _ in range(1000):
        router._log_error(struct.pack("!BBHIHH", 4, ERROR, 12, 7, 2, 4))
    logged = capsys.readouterr().err.splitlines()
    assert 1 <= len(logged) < 100 and "bodo" in logged[0] and "output to an invalid port" in logged[0]


@pytest.mark.parametrize(("packets", "masks"), [(True, (0b111, 0, 0, 0, 0, 0)), (False, (0, 0, 0b111, 0b111, 0, 0))])
def test_each_connection_selects_its_asynchronous_messages(packets: bool, masks: tuple[int, ...]) -> None:
    assert struct.unpack_from("!6I", Encoder().set_async(packets=packets), 8) == masks
