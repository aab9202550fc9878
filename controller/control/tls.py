"""TLS between a switch's socket and the OpenFlow framework, and the identity of the peer.

The framework reads in one thread and writes in another, and an OpenSSL connection must not be used by two threads at
the same time. So TLS runs on memory buffers, under a lock that no thread holds while it waits for the network.
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
_SEND_TIMEOUT_S = 30.0  # a switch that receives nothing for so long is disconnected
_IDLE_S = 3600.0  # receive timeout of a connection without a deadline
# A peer that vanished is noticed after about two seconds (tcp(7)): a live peer's kernel answers, however busy the
# switch is.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1_500),  # ms
)


def server_context(key: Path, certificate: Path, authority: Path) -> ssl.SSLContext:
    """Mutual TLS 1.2 or later: ``authority`` must have signed the other end's certificate.

    Raises OSError where a file cannot be read or is not in PEM format (ssl.SSLError)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET  # a resumed session shows no certificate
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    return context


class TlsStream:
    """A TLS connection with the socket methods that the framework calls; `recv` returns whole OpenFlow messages."""

    def __init__(self, raw: Any, context: ssl.SSLContext) -> None:
        self.reader = MessageReader(time.monotonic())
        self.refusal = ""  # why the peer was rejected, once it was
        for option in _KEEPALIVE:
            raw.setsockopt(*option)
        raw.settimeout(_SEND_TIMEOUT_S)
        self._sender, self._receiver = raw, raw.dup()  # two descriptors, since their timeouts differ
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._tls_lock = threading.Lock()
        self._send_lock = threading.Lock()  # keeps TLS records in order: held while they are sent
        self._messages = bytearray()

    def handshake(self) -> frozenset[str]:
        """Performs the TLS handshake; returns the URIs in the peer's certificate (subjectAltName). Raises
        MessageRefused, or OSError where the connection breaks."""
        while not self._step():
            self._receive()
        certificate: Any = self._tls.getpeercert()
        return frozenset(value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI")

    def recv(self, limit: int) -> bytes:
        """Up to ``limit`` bytes of completely received messages; empty when the connection has ended. Raises OSError
        where it breaks, MessageRefused for a message that is not allowed."""
        try:
            while not self._messages:
                data = self._decrypted()
                if data is None:
                    return b""
                self._messages += self.reader.take(data, time.monotonic())
                if pause_s := self.reader.pause_s():
                    time.sleep(pause_s)
        except MessageRefused as refused:
            self.refusal = str(refused)
            raise
        part = bytes(self._messages[:limit])
        del self._messages[:limit]
        return part

    def sendall(self, data: bytes) -> None:
        """Sends all of ``data``; raises OSError where the peer is gone or receives nothing."""
        view = memoryview(data)
        for at in range(0, len(view), _CHUNK_BYTES):
            with self._send_lock:
                with self._tls_lock:
                    self._tls.write(view[at : at + _CHUNK_BYTES])
                    encrypted = self._outgoing.read()
                self._sender.sendall(encrypted)

    def shutdown(self, _how: int) -> None:
        """Ends the connection in both directions, which wakes threads that wait on it; raises OSError when it has
        ended already."""
        self._sender.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Like `shutdown`, without raising. The framework closes while another thread may still be sending, so the
        descriptors stay open until `release`."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Closes the descriptors, once no other thread uses the connection."""
        self._sender.close()
        self._receiver.close()

    def setsockopt(self, *option: int) -> None:
        """Sets a socket option: the framework sets TCP_NODELAY."""
        self._sender.setsockopt(*option)

    def settimeout(self, _seconds: float) -> None:
        """Ignores the framework's timeout: this class sets its own."""

    def _step(self) -> bool:
        """Continues the handshake with the data received so far; returns whether it is complete."""
        done = False
        try:
            with self._tls_lock:
                self._tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLEOFError:
            raise ConnectionError("it ended the connection during the TLS handshake") from None
        except ssl.SSLError as error:
            with suppress(OSError):  # sends the TLS alert; the peer may be gone
                self._flush()
            raise MessageRefused(_reason(error)) from None
        self._flush()
        return done

    def _decrypted(self) -> bytes | None:
        """The next decrypted bytes from the peer; None at the end of the connection."""
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
            if self._outgoing.pending:
                self._flush()
            self._receive()

    def _flush(self) -> None:
        with self._send_lock:
            with self._tls_lock:
                encrypted = self._outgoing.read()
            self._sender.sendall(encrypted)

    def _receive(self) -> None:
        """Waits for encrypted bytes up to the reader's deadline; raises MessageRefused when that has passed."""
        while True:
            now = time.monotonic()
            self.reader.check(now)
            deadline = self.reader.deadline
            self._receiver.settimeout(_IDLE_S if deadline is None else deadline - now)
            try:
                data = self._receiver.recv(_CHUNK_BYTES)
            except TimeoutError:
                continue
            with self._tls_lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            return


def _reason(error: ssl.SSLError) -> str:
    """The reason of a TLS error as text."""
    text = getattr(error, "verify_message", None) or (error.reason or str(error)).replace("_", " ").lower()
    return f"TLS: {text}"
