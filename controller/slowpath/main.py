"""``python -m helsewan.controller.slowpath.main --plan FILE --sockets PATH``: the routers' own processors.

What a router cannot pass on, its switch hands up; here it is answered as the router would, and the same switch sends
the answer. That happens beside each router, not at the operations centre: an answer takes no time of the management
network's, needs no controller, and however much is handed up, the controller does not hear of it.
"""

from __future__ import annotations

import argparse
import asyncio
import pickle
import struct
import sys
import traceback
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path
from typing import Any

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode
from helsewan.common.processes import die_with_parent
from helsewan.controller.framework import describer, ofproto_v1_3, ofproto_v1_3_parser
from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.errors import in_words
from helsewan.controller.plan_file import read_plan
from helsewan.controller.rules.mtu import MTU_REGISTER
from helsewan.controller.rules.punt import Punt
from helsewan.controller.slowpath.icmp_responder import IcmpResponder

_of: Any = ofproto_v1_3
_AGAIN_S = 0.2  # after a router could not be reached
_LOOK_S = 1.0  # at whether the plan is another
_MOST_TOLD = 20  # of one router, of each kind of trouble: who has more says nothing new
_HEADER_BYTES = 8  # version, type, length, transaction (OpenFlow 1.3.5, 7.1)


async def serve(plan_file: Path, sockets: str) -> None:
    """Answers for all routers of a plan, for ever, and as its file says at the time. ``sockets`` is the path of a
    switch's management socket, with ``{router}`` for the router's id and ``{index}`` for its number."""
    seen, plan = _version(plan_file), read_plan(plan_file)
    answers, encoder = IcmpResponder(plan), Encoder()
    routers = [
        _Router(router.id, sockets.format(router=router.id, index=router.index), answers, encoder)
        for router in plan.network.routers
    ]
    attending = asyncio.gather(*(router.attend() for router in routers))
    while not attending.done():
        await asyncio.wait([attending], timeout=_LOOK_S)
        with suppress(OSError, InputError, pickle.UnpicklingError, EOFError):  # it is being written
            if (now := _version(plan_file)) != seen:
                answers, seen = IcmpResponder(read_plan(plan_file)), now
                for router in routers:
                    router.answers = answers
    await attending


def _version(plan_file: Path) -> tuple[int, int]:
    """Another where the controller has put another plan in its place."""
    status = plan_file.stat()
    return status.st_ino, status.st_mtime_ns


class _Router:
    """One router's slow path."""

    def __init__(self, router: str, path: str, answers: IcmpResponder, encoder: Encoder) -> None:
        self.router, self.path, self.answers, self.encoder = router, path, answers, encoder
        self.refusals = self.failures = 0

    async def attend(self) -> None:
        """Serves the switch whenever it is up."""
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self.path)
                try:
                    await self._serve(reader, writer)
                finally:
                    writer.close()
            except (OSError, asyncio.IncompleteReadError):  # it is off, or went
                await asyncio.sleep(_AGAIN_S)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(self.encoder.hello() + self.encoder.whole_packets() + self.encoder.reports(packets=True))
        while True:
            header = await reader.readexactly(_HEADER_BYTES)
            length = int.from_bytes(header[2:4], "big")
            message = header + await reader.readexactly(max(0, length - _HEADER_BYTES))
            if message[1] == _of.OFPT_ECHO_REQUEST:
                writer.write(message[:1] + bytes([_of.OFPT_ECHO_REPLY]) + message[2:])
            elif message[1] == _of.OFPT_PACKET_IN:
                writer.write(self._answered(message))
            elif message[1] == _of.OFPT_ERROR:
                self._refused(message)
            await writer.drain()

    def _answered(self, message: bytes) -> bytes:
        """The message that has the answer sent, or none. One that breaks something is reported and forgotten."""
        try:
            answer = self.answers.to(self._punt(message))
            return self.encoder.packet_out(answer.actions, answer.frame) if answer else b""
        except Exception:
            self.failures += 1
            if self.failures <= _MOST_TOLD:
                traceback.print_exc()
            return b""

    def _refused(self, message: bytes) -> None:
        self.refusals += 1
        if self.refusals <= _MOST_TOLD:
            kind, code = struct.unpack_from("!HH", message.ljust(_HEADER_BYTES + 4, b"\0"), _HEADER_BYTES)
            print(f"{self.router} refused an answer: {in_words(kind, code)}", file=sys.stderr, flush=True)

    def _punt(self, message: bytes) -> Punt:
        length, number = int.from_bytes(message[2:4], "big"), int.from_bytes(message[4:8], "big")
        read = ofproto_v1_3_parser.OFPPacketIn.parser(describer(), message[0], message[1], length, number, message)
        metadata, mtu_bytes = (read.match.get(field, 0) for field in ("metadata", MTU_REGISTER))
        expired = read.reason == _of.OFPR_INVALID_TTL
        return Punt(self.router, expired, read.cookie, metadata, bytes(read.data), mtu_bytes)


def main(argv: list[str] | None = None) -> int:
    """Command line; runs until it is killed. Exit status 2 for bad input."""
    parser = argparse.ArgumentParser(prog="slowpath", description="the routers' slow path in one run")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--sockets", required=True, help="management sockets, with {router} or {index} in the path")
    options = parser.parse_args(argv)
    die_with_parent()
    try:
        asyncio.run(serve(options.plan, options.sockets))
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
    return ExitCode.BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
