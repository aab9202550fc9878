"""``python -m helsewan.lab.server.rules_process --plan FILE --sockets PATH --taken TEXT``: writes the rules of all
switches of a sandbox to standard output, as a dump. Each switch is read through its management socket.

A process of its own, so that it takes no time of the lab's process. With ``--done FD`` standard input controls it: at
the first line it reads the switches, and writes a line to that descriptor when all have replied; when the input ends it
decodes the replies. It can therefore be started in advance, and only the reading itself loads a busy network.
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from helsewan.common.errors import InputError
from helsewan.common.exit_codes import ExitCode, exit_code_of
from helsewan.common.processes import die_with_parent
from helsewan.controller.framework import ofproto_v1_3
from helsewan.controller.openflow.decoder import Decoder, dead_ports
from helsewan.controller.openflow.encoder import Encoder
from helsewan.controller.openflow.entries import RuleSet
from helsewan.controller.openflow.table_reader import TableReader, ports_request
from helsewan.controller.plan_file import read_plan
from helsewan.controller.rules.paths import Failures
from helsewan.policies.language.timestamps import utc_now
from helsewan.topology.model import Network
from helsewan.verification.dump.dump import Dump, write

_of: Any = ofproto_v1_3
_HEADER, _MULTIPART = struct.Struct("!BBHI"), struct.Struct("!HH4x")
REPLY_DEADLINE_S = 30.0  # for each reply of a switch, on a busy machine
_PARALLEL = 4  # switches read at a time; each replies in its forwarding thread


class ReadingFailed(RuntimeError):
    """A switch's rules could not be read; the message names the switch and the reason."""


@dataclass(frozen=True)
class SwitchState:
    """The rules of a switch, and which of its ports have a dead link."""

    rules: RuleSet
    dead: frozenset[int]


@dataclass(frozen=True)
class SwitchReply:
    """The replies of the switch behind a management socket, not decoded yet."""

    path: Path
    reading: TableReader
    ports: bytes

    def decode(self) -> SwitchState:
        """The switch's state. Raises ReadingFailed where a reply is malformed."""
        with _named(self.path):
            return SwitchState(self.reading.rule_set(), dead_ports(self.ports))


def read_switch(path: Path) -> SwitchReply | None:
    """Read the switch behind a management socket; None where there is none, because the router is off.

    Raises ReadingFailed where it does not reply."""
    with _named(path), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(REPLY_DEADLINE_S)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        connection.sendall(Encoder().hello())
        with connection.makefile("rb") as answers:
            return _answer(path, connection, answers)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, IndexError, struct.error) as error:
        raise ReadingFailed(f"{path.parent.name} cannot be read: {error}") from error


def _answer(path: Path, connection: socket.socket, answers: BufferedReader) -> SwitchReply:
    reading, xid = TableReader(Decoder()), 1
    connection.sendall(ports_request(xid))
    ports = b"".join(_parts(connection, answers, xid))
    while (request := reading.next_request(xid := xid + 1)) is not None:
        connection.sendall(request)
        for part in _parts(connection, answers, xid):
            reading.take(part)
    return SwitchReply(path, reading, ports)


def _parts(connection: socket.socket, answers: BufferedReader, xid: int) -> Iterator[bytes]:
    """The parts of a multipart reply to request ``xid`` (OpenFlow 1.3.5, 7.3.5). Raises ConnectionError for an error or
    the end of the connection."""
    more = True
    while more:
        header = answers.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise ConnectionError("the connection was closed")
        _, kind, length, number = _HEADER.unpack(header)
        body = answers.read(length - _HEADER.size)
        if kind == _of.OFPT_ECHO_REQUEST:
            connection.sendall(_HEADER.pack(_of.OFP_VERSION, _of.OFPT_ECHO_REPLY, length, number) + body)
        elif kind == _of.OFPT_ERROR:
            raise ConnectionError(f"it replied with an error: {body[:4].hex()}")
        elif kind == _of.OFPT_MULTIPART_REPLY and number == xid:
            _, flags = _MULTIPART.unpack_from(body)
            more = bool(flags & _of.OFPMPF_REPLY_MORE)
            yield body[_MULTIPART.size :]


def read_all(network: Network, sockets: str) -> dict[str, SwitchReply | None]:
    """Every switch's reply, by router; None for a router that is off. ``sockets`` is the path of a management socket,
    with ``{router}`` for the router's id. Raises ReadingFailed."""
    routers = [router.id for router in network.routers]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        answers = pool.map(lambda router: read_switch(Path(sockets.format(router=router))), routers)
        return dict(zip(routers, answers, strict=True))


def observed_failures(network: Network, found: dict[str, SwitchState | None]) -> Failures:
    """The failures that the switches report: a link is down if either end reports it, except for links of routers that
    are off."""
    off = frozenset(router for router, held in found.items() if held is None)
    dead = {router: held.dead if held else frozenset() for router, held in found.items()}
    links = frozenset(
        link.id
        for link in network.links
        if not {link.a, link.b} & off and any(network.ports[end][link.id] in dead[end] for end in (link.a, link.b))
    )
    lines = frozenset(
        line
        for router, ports in network.access_link_ports.items()
        for line, port in ports.items()
        if port in dead[router]
    )
    return Failures(links, off, access_links=lines)


def main(argv: list[str] | None = None) -> int:
    """Command line. Exit status 3 where a switch does not reply, others as `exit_code_of` has them."""
    parser = argparse.ArgumentParser(prog="rules", description="the rules of all switches of a sandbox")
    parser.add_argument("--plan", required=True, type=Path, help="pickled plan, readable by this user alone")
    parser.add_argument("--sockets", required=True, help="management sockets, with {router} in the path")
    parser.add_argument("--taken", required=True, help="description of the source of the rules")
    parser.add_argument(
        "--done", type=int, help="be controlled by standard input; descriptor notified when all switches were read"
    )
    options = parser.parse_args(argv)
    die_with_parent()
    try:
        plan = read_plan(options.plan)
        if options.done is not None and not sys.stdin.readline():
            return ExitCode.PASS  # the input ended without a line: not needed
        answers, at = read_all(plan.network, options.sockets), utc_now()
        if options.done is not None:
            os.write(options.done, b"\n")
            sys.stdin.read()
        held = {router: each.decode() if each else None for router, each in answers.items()}
        rules = {router: each.rules if each else RuleSet() for router, each in held.items()}
        taken = f"{options.taken} at {at:%Y-%m-%dT%H:%M:%SZ}"
        for line in write(Dump.of(plan, rules, taken, observed_failures(plan.network, held), at)):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    except (InputError, ReadingFailed, OSError) as error:
        print(error, file=sys.stderr)
        return exit_code_of(error)
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return exit_code_of(error)
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main())
