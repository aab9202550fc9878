"""Relays the control connections of shared routers, so that each has its own identity and its own management link.

One Open vSwitch shows one certificate and connects from one namespace. Here each router's bridge connects to a Unix
socket of its own; the relay connects to the controller from the router's namespace, so over the router's management
link, with the router's certificate. TLS is between relay and controller.

``python -m helsewan.emulation.routers.management_relay CONFIGURATION`` is the relay's process.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from helsewan.common.ownership import create_log
from helsewan.emulation.sandbox.namespaces import entered

_CONNECT_S = 5.0  # to a controller; the switch tries again
_BUFFER_BYTES = 1 << 18
_READY = b"\n"
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: reset the connection, and forget it


@dataclass(frozen=True, slots=True)
class Relayed:
    """The connection of a router with a controller. ``socket``: what the router's bridge connects to; ``namespace``:
    descriptor of the namespace that the controller is connected to from; the rest as in `Credentials`."""

    socket: str
    namespace: int
    host: str
    port: int
    key: str
    certificate: str
    authority: str


class ManagementRelay:
    """The relay's process; its files are in ``home``."""

    def __init__(self, home: Path, log_dir: Path, relayed: Sequence[Relayed]) -> None:
        """Start it, and wait until its sockets are there."""
        self.log = log_dir / "management-relay.log"
        self._configuration = home / "relay.json"
        self._namespaces = [each.namespace for each in relayed]
        with open(os.open(self._configuration, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
            json.dump([asdict(each) for each in relayed], file)
        self.process = self._started()

    def restart(self) -> None:
        """Start it again, after it has ended. The switches connect again."""
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        create_log(self.log)
        argv = [sys.executable, "-m", "helsewan.emulation.routers.management_relay", str(self._configuration)]
        with self.log.open("a") as errors:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, pass_fds=self._namespaces
            )
        assert process.stdout
        with process.stdout as ready:
            ready.read(len(_READY))
        return process

    def close(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()


class _Connection:
    """The relayed connections of one router with one controller."""

    def __init__(self, relayed: Relayed) -> None:
        self._relayed = relayed
        self.path = relayed.socket

    async def serve(self) -> None:
        """Accept the switch's connections from now on."""
        with suppress(FileNotFoundError):  # of a relay that has ended
            os.unlink(self.path)
        await asyncio.start_unix_server(self._relay, self.path, limit=_BUFFER_BYTES)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Relay one connection in both directions until either side ends it."""
        try:
            far_reader, far_writer = await asyncio.wait_for(self._connect(), _CONNECT_S)
        except (OSError, TimeoutError) as error:
            print(f"{self.path}: {error or 'no answer'}", file=sys.stderr, flush=True)
            writer.transport.abort()
            return
        directions = ((reader, far_writer), (far_reader, writer))
        copying = [asyncio.ensure_future(_copy(*direction)) for direction in directions]
        await asyncio.wait(copying, return_when=asyncio.FIRST_COMPLETED)
        for direction in copying:
            direction.cancel()
        far_writer.transport.abort()
        writer.transport.abort()

    def _context(self) -> ssl.SSLContext:
        """The router's credentials as they are now: a switch reads its own anew when they were renewed."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the authority issues certificates of this network alone
        context.load_verify_locations(self._relayed.authority)
        context.load_cert_chain(self._relayed.certificate, self._relayed.key)
        return context

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with entered(self._relayed.namespace):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)  # a router without power sends no FIN later
        try:
            await asyncio.get_running_loop().sock_connect(sock, (self._relayed.host, self._relayed.port))
            context = self._context()
            return await asyncio.open_connection(sock=sock, ssl=context, server_hostname="", limit=_BUFFER_BYTES)
        except BaseException:
            sock.close()
            raise


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy what arrives until the end of either connection."""
    with suppress(OSError):
        while data := await source.read(_BUFFER_BYTES):
            target.write(data)
            await target.drain()


async def _serve(relayed: Sequence[Relayed]) -> None:
    for each in relayed:
        await _Connection(each).serve()
    os.write(1, _READY)
    os.close(1)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, ended.set)  # not a signal with the thread that started this: others go on
    await ended.wait()


def main() -> None:
    """Relay until killed, or until the process that started it has ended, which closes its standard input."""
    rows = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    asyncio.run(_serve([Relayed(**row) for row in rows]))


if __name__ == "__main__":
    main()
