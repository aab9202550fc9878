"""``python -m helsewan.controller.slowpath.main --plan FILE --sockets PATH [--too-long FD --link-ends FILE]``: the slow
path of all routers.

A switch punts packets that it cannot forward to this process, which responds as the router's CPU would; the switch
sends the ICMP error. The process is local to the routers: errors do not cross the management network, do not depend on
the controller, and put no load on it.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import socket
import struct
import sys
import time
import traceback
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import die_with_parent
from helsewan.controller.framework import ofproto_v1_3, ofproto_v1_3_parser, protocol_description
from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.errors import error_text
from helsewan.controller.plan_file import read_plan
from helsewan.controller.rules.mtu import MTU_REGISTER
from helsewan.controller.rules.punt import Punt
from helsewan.controller.slowpath.icmp_responder import IcmpResponder
from helsewan.controller.slowpath.too_long import MAX_REPORT_BYTES, LinkEnd, RateLimit, read_link_ends, reported_punt

Ends = Mapping[int, LinkEnd]

_of: Any = ofproto_v1_3
_RECONNECT_S = 0.2
_PLAN_POLL_S = 1.0
_MAX_LOGGED = 20  # log entries per router and kind of error
_HEADER_BYTES = 8  # version, type, length, transaction (OpenFlow 1.3.5, 7.1)


async def serve(plan_file: Path, sockets: str, reports: socket.socket | None = None, ends: Ends | None = None) -> None:
    """Runs the slow path of all routers of a plan, and reloads the plan whenever its file is replaced. ``sockets`` is
    the path of a switch's management socket, with ``{router}`` for the router's id and ``{index}`` for its number.
    ``reports``: where links report packets that are too long for them; ``ends``: the links, see `too_long`."""
    version, plan = _version(plan_file), read_plan(plan_file)
    responder, encoder = IcmpResponder(plan), Encoder()
    routers = [
        _RouterSlowPath(router.id, sockets.format(router=router.id, index=router.index), responder, encoder)
        for router in plan.network.routers
    ]
    by_name = {router.router: router for router in routers}
    if reports is not None:
        asyncio.get_running_loop().add_reader(reports, _take_report, reports, ends or {}, by_name)
    running = asyncio.gather(*(router.run() for router in routers))
    while not running.done():
        await asyncio.wait([running], timeout=_PLAN_POLL_S)
        with suppress(OSError, InputError, pickle.UnpicklingError, EOFError):  # it is being written
            if (current := _version(plan_file)) != version:
                responder, version = IcmpResponder(read_plan(plan_file)), current
                for router in routers:
                    router.responder = responder
    await running


def _take_report(reports: socket.socket, ends: Ends, routers: Mapping[str, _RouterSlowPath]) -> None:
    """Answers one report of a packet that was too long for a link. Exceptions are logged, as those of punted
    packets."""
    with suppress(BlockingIOError):
        report = reports.recv(MAX_REPORT_BYTES)
        if not report:  # the links have ended
            asyncio.get_running_loop().remove_reader(reports)
            return
        plan = next(iter(routers.values())).responder.plan
        try:
            punt = reported_punt(report, ends, plan)
        except Exception:
            traceback.print_exc()
            return
        if punt is not None:
            routers[punt.router].answer_report(punt)


def _version(plan_file: Path) -> tuple[int, int]:
    """Inode and modification time (ns), which change when the controller replaces the file."""
    status = plan_file.stat()
    return status.st_ino, status.st_mtime_ns


class _RouterSlowPath:
    """The slow path of one router: a connection to its switch."""

    def __init__(self, router: str, path: str, responder: IcmpResponder, encoder: Encoder) -> None:
        self.router, self.path, self.responder, self.encoder = router, path, responder, encoder
        self.refusals = self.failures = 0
        self._reports = RateLimit()
        self._writer: StreamWriter | None = None  # to the switch, while connected

    async def run(self) -> None:
        """Connects to the switch and serves it; reconnects forever."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self.path)
                self._writer = writer
                try:
                    await self._serve(reader, writer)
                finally:
                    self._writer = None
                    writer.close()
            except (OSError, asyncio.IncompleteReadError):  # the switch is down or closed the connection
                await asyncio.sleep(_RECONNECT_S)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(self.encoder.hello() + self.encoder.full_packet_ins() + self.encoder.set_async(packets=True))
        while True:
            header = await reader.readexactly(_HEADER_BYTES)
            length = int.from_bytes(header[2:4], "big")
            message = header + await reader.readexactly(max(0, length - _HEADER_BYTES))
            if message[1] == _of.OFPT_ECHO_REQUEST:
                writer.write(message[:1] + bytes([_of.OFPT_ECHO_REPLY]) + message[2:])
            elif message[1] == _of.OFPT_PACKET_IN:
                writer.write(self._respond(message))
            elif message[1] == _of.OFPT_ERROR:
                self._log_error(message)
            await writer.drain()

    def answer_report(self, punt: Punt) -> None:
        """Sends the ICMP error about a packet that a link reported, if the switch is connected and the rate permits."""
        if self._writer is not None and self._reports.permits(time.monotonic()):
            self._writer.write(self._response(lambda: punt))

    def _respond(self, message: bytes) -> bytes:
        """The packet-out message for a packet-in; empty if no error is sent."""
        return self._response(lambda: self._punt(message))

    def _response(self, read: Callable[[], Punt]) -> bytes:
        """The packet-out message for the punt that ``read`` returns. Exceptions are logged: a packet that triggers one
        must not end the process."""
        try:
            response = self.responder.respond(read())
            return self.encoder.packet_out(response.actions, response.frame) if response else b""
        except Exception:
            self.failures += 1
            if self.failures <= _MAX_LOGGED:
                traceback.print_exc()
            return b""

    def _log_error(self, message: bytes) -> None:
        """Logs an OpenFlow error message of the switch."""
        self.refusals += 1
        if self.refusals <= _MAX_LOGGED:
            kind, code = struct.unpack_from("!HH", message.ljust(_HEADER_BYTES + 4, b"\0"), _HEADER_BYTES)
            print(f"{self.router} rejected an ICMP error: {error_text(kind, code)}", file=sys.stderr, flush=True)

    def _punt(self, message: bytes) -> Punt:
        """Decodes a packet-in message."""
        length, number = int.from_bytes(message[2:4], "big"), int.from_bytes(message[4:8], "big")
        read = ofproto_v1_3_parser.OFPPacketIn.parser(
            protocol_description(), message[0], message[1], length, number, message
        )
        metadata, mtu_bytes = (read.match.get(field, 0) for field in ("metadata", MTU_REGISTER))
        expired = read.reason == _of.OFPR_INVALID_TTL
        return Punt(self.router, expired, read.cookie, metadata, bytes(read.data), mtu_bytes)


def main(argv: list[str] | None = None) -> int:
    """Command line; runs until it is killed. Exit status 2 for bad input."""
    parser = argparse.ArgumentParser(prog="slowpath", description="the routers' slow path in one run")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--sockets", required=True, help="management sockets, with {router} or {index} in the path")
    parser.add_argument("--too-long", type=int, help="descriptor of a socket on which links report packets too long")
    parser.add_argument("--link-ends", type=Path, help="the links that report there, by number")
    options = parser.parse_args(argv)
    die_with_parent()
    try:
        reports = None if options.too_long is None else socket.socket(fileno=options.too_long)
        ends = None if options.link_ends is None else read_link_ends(options.link_ends)
        asyncio.run(serve(options.plan, options.sockets, reports, ends))
    except (InputError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
    return ExitCode.BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
