"""Address of a running lab's northbound interface: a unix socket or a loopback port, with a token file beside it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

from helsewan.common.errors import InputError, Problem
from helsewan.controller.northbound.tokens import new_token
from helsewan.lab.client.registry import LabRegistry

UNIX = "unix"


@dataclass(frozen=True)
class Interface:
    """A northbound interface: ``listener`` is the listening socket's descriptor, ``address`` is ``unix:PATH`` or a URL,
    ``token_file`` a file that contains ``token``."""

    listener: int
    address: str
    token_file: str
    token: str

    @property
    def usage(self) -> str:
        """An example of a command that uses it."""
        scheme, _, path = self.address.partition(":")
        where = f"--unix-socket {path} http://helsewan" if scheme == UNIX else self.address
        return f'curl -H "Authorization: Bearer $(cat {self.token_file})" {where}/v1/topology'


@contextmanager
def northbound_interface(registry: LabRegistry, name: str, request: str | None) -> Iterator[Interface | None]:
    """Create the interface of lab ``name``, whose lock the caller holds. ``request`` is ``unix``, ADDRESS:PORT, or None
    (yields None). Raises InputError for anything else, and for an address in use."""
    if request is None:
        yield None
        return
    token = new_token()
    token_file = registry.write(name, "token", f"{token}\n")
    if request == UNIX:
        with registry.listening(name, "api", socket.SOCK_STREAM) as listener:
            yield Interface(listener.fileno(), f"{UNIX}:{registry.path / name}.api", str(token_file), token)
    else:
        with _loopback(request) as listener:
            host, port = listener.getsockname()
            yield Interface(listener.fileno(), f"http://{host}:{port}", str(token_file), token)


def _loopback(request: str) -> socket.socket:
    host, _, port = request.rpartition(":")
    hint = f"write {UNIX}, or a loopback address and a port, such as 127.0.0.1:8080"
    try:
        address = IPv4Address(host), int(port)
    except ValueError:
        raise InputError(Problem("--api", request, "is no address", hint)) from None
    if not address[0].is_loopback:
        raise InputError(Problem("--api", request, "is no loopback address", hint))
    try:
        return socket.create_server((str(address[0]), address[1]))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise InputError(Problem("--api", request, reason.lower(), "use another port")) from None


def refuse(listener: int) -> None:
    """From now on refuse connections to the listening socket (descriptor), whoever else holds it, and close those that
    wait to be accepted."""
    with socket.socket(fileno=os.dup(listener)) as sock:
        sock.setblocking(False)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):  # none is left, or none can be taken any more
            while True:
                sock.accept()[0].close()
