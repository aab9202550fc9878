"""The switches' side of a connection: TLS between the socket and the OpenFlow framework, and who the other end is.

The framework reads in one thread and writes in another, and OpenSSL allows no connection to be used by two threads at
once. So TLS runs on buffers in memory, under a lock that nobody holds while waiting for the network.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from helsewan.controller.openflow.message_reader import MessageReader, MessageRefused

_CHUNK_BYTES = 65_536
_SEND_TIMEOUT_S = 30.0  # a switch that takes nothing for so long is given up
_IDLE_S = 3600.0  # between looks at a connection on which nothing need come
# A peer that vanished without a word is noticed after some two seconds (tcp(7)): the kernel of a living one answers,
# however busy the switch is.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1_500),  # ms
)


def server_context(key: Path, certificate: Path, authority: Path) -> ssl.SSLContext:
    """Mutual TLS 1.2 or later: ``authority`` must have signed the other end's certificate.

    Raises OSError where a file cannot be read or is none such (ssl.SSLError)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET  # a session taken up again shows no certificate
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    return context


class TlsStream:
    """A connected socket as the framework knows it; what comes out of it are whole OpenFlow messages."""

    def __init__(self, raw: Any, context: ssl.SSLContext) -> None:
        self.inflow = MessageReader(time.monotonic())
        self.refusal = ""  # why the other end was refused, once it was
        for option in _KEEPALIVE:
            raw.setsockopt(*option)
        raw.settimeout(_SEND_TIMEOUT_S)
        self._sender, self._receiver = raw, raw.dup()  # each with a timeout of its own
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=True)
        self._tls_lock = threading.Lock()
        self._order = threading.Lock()  # of what leaves: held while it is sent
        self._messages = bytearray()

    def shake_hands(self) -> frozenset[str]:
        """Does TLS's handshake; the names (URIs) in the other end's certificate. Raises Refused, or OSError where the
        connection breaks."""
        while not self._step():
            self._receive()
        certificate: Any = self._tls.getpeercert()
        return frozenset(value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI")

    def recv(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of messages that have come whole; none when the connection has ended. Raises OSError
        where it breaks, Refused for what must not be sent."""
        try:
            while not self._messages:
                data = self._decrypted()
                if data is None:
                    return b""
                self._messages += self.inflow.take(data, time.monotonic())
                if pause_s := self.inflow.pause_s():
                    time.sleep(pause_s)
        except MessageRefused as refused:
            self.refusal = str(refused)
            raise
        part = bytes(self._messages[:limit])
        del self._messages[:limit]
        return part

    def sendall(self, data: bytes) -> None:
        """Sends all of it; raises OSError where the other end is gone or takes nothing."""
        view = memoryview(data)
        for at in range(0, len(view), _CHUNK_BYTES):
            with self._order:
                with self._tls_lock:
                    self._tls.write(view[at : at + _CHUNK_BYTES])
                    encrypted = self._leaving.read()
                self._sender.sendall(encrypted)

    def shutdown(self, _how: int) -> None:
        """Ends the connection both ways, so that whoever waits on it wakes; raises OSError when it has ended."""
        self._sender.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """The same, without a word. The framework closes while another thread may still be sending, so the descriptor
        stays until ``release``."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Lets go of the connection; no other thread uses it any more."""
        self._sender.close()
        self._receiver.close()

    def setsockopt(self, *option: int) -> None:
        """Sets a socket option: the framework asks for no delay."""
        self._sender.setsockopt(*option)

    def settimeout(self, _seconds: float) -> None:
        """The framework's timeout, in place of which this has its own."""

    def _step(self) -> bool:
        """Goes on with the handshake as far as it can; whether it is done."""
        done = False
        try:
            with self._tls_lock:
                self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:
            raise ConnectionError("it ended the connection before TLS stood") from None
        except ssl.SSLError as error:
            with suppress(OSError):  # the alert that says so; who sent this may be gone
                self._flush()
            raise MessageRefused(_reason(error)) from None
        self._flush()
        return done

    def _decrypted(self) -> bytes | None:
        """The next bytes from the other end, None when there will be none."""
        while True:
            try:
                with self._tls_lock:
                    return self._tls.read(_CHUNK_BYTES) or None
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return None
            except ssl.SSLError as error:
                raise MessageRefused(_reason(error)) from None
            if self._leaving.pending:
                self._flush()
            self._receive()

    def _flush(self) -> None:
        with self._order:
            with self._tls_lock:
                encrypted = self._leaving.read()
            self._sender.sendall(encrypted)

    def _receive(self) -> None:
        """Waits for something to come, as long as it may take; raises Refused when that has passed."""
        while True:
            now = time.monotonic()
            self.inflow.check(now)
            deadline = self.inflow.deadline
            self._receiver.settimeout(_IDLE_S if deadline is None else deadline - now)
            try:
                data = self._receiver.recv(_CHUNK_BYTES)
            except TimeoutError:
                continue
            with self._tls_lock:
                if data:
                    self._arrived.write(data)
                else:
                    self._arrived.write_eof()
            return


def _reason(error: ssl.SSLError) -> str:
    """What was wrong, in words."""
    said = getattr(error, "verify_message", None) or (error.reason or str(error)).replace("_", " ").lower()
    return f"TLS: {said}"
