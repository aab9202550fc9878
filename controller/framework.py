"""The only module that imports the OpenFlow framework: os-ken, or Ryu 4.34 where os-ken is not installed.

os-ken's native hub (threads) has the following silent failures, which this module prevents:

* the loss of a switch is noticed only when an echo is due: `_Datapath` reports it as soon as its socket closes, and
  echoes are enabled to detect switches that hang;
* an exception in a handler ends the application's event loop: `handles` catches it;
* ``hub.spawn`` discards exceptions: `spawn` passes them to a callback;
* ``hub.Event.wait`` never times out: only `Queue.get`, which does, is used to wait;
* its threads keep the process alive: all are started from a daemon thread, so that they are daemons, too.

Data from a switch is not trusted: any error on its connection ends this connection only.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import signal
import socket
import ssl
import threading
import warnings
from collections.abc import Callable
from typing import Any

from helsewan.controller.control.connection_limiter import ConnectionLimiter
from helsewan.controller.control.tls import TlsStream
from helsewan.controller.openflow.message_reader import MessageRefused
from helsewan.topology.management import datapath_name

os.environ.setdefault("OSKEN_HUB_TYPE", "native")

if importlib.util.find_spec("os_ken"):
    from os_ken import cfg
    from os_ken.base.app_manager import AppManager
    from os_ken.base.app_manager import OSKenApp as RyuApp
    from os_ken.controller import controller, ofp_event, ofp_handler
    from os_ken.controller.handler import (
        CONFIG_DISPATCHER,
        DEAD_DISPATCHER,
        MAIN_DISPATCHER,
        set_ev_cls,
        set_ev_handler,
    )
    from os_ken.lib import hub
    from os_ken.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser

    NAME = f"os-ken {importlib.metadata.version('os-ken')}"
else:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # eventlet warns that it is deprecated
        importlib.import_module("eventlet.wsgi").__dict__["ALREADY_HANDLED"] = (
            object()
        )  # removed from eventlet, but Ryu imports it
    from ryu import cfg
    from ryu.base.app_manager import AppManager, RyuApp
    from ryu.controller import controller, ofp_event, ofp_handler
    from ryu.controller.handler import (
        CONFIG_DISPATCHER,
        DEAD_DISPATCHER,
        MAIN_DISPATCHER,
        set_ev_cls,
        set_ev_handler,
    )
    from ryu.lib import hub
    from ryu.ofproto import ofproto_parser, ofproto_protocol, ofproto_v1_3, ofproto_v1_3_parser

    NAME = f"Ryu {importlib.metadata.version('ryu')}"

__all__ = [
    "DEAD_DISPATCHER",
    "MAIN_DISPATCHER",
    "NAME",
    "Queue",
    "QueueEmpty",
    "RyuApp",
    "handles",
    "listen",
    "ofp_event",
    "ofproto_v1_3",
    "ofproto_v1_3_parser",
    "protocol_description",
    "sleep",
    "spawn",
    "start",
    "wait_for_signal",
]


class _RawBody:
    """The undecoded body of a statistics reply: `decoder` decodes it ten times as fast as the framework."""

    def __init__(self, data: bytes) -> None:
        self.data, self.length = data, len(data)

    @classmethod
    def parser(cls, buf: Any, offset: int) -> _RawBody:
        """The message from ``offset`` to its end."""
        return cls(bytes(buf[offset:]))


Queue, QueueEmpty, sleep = hub.Queue, hub.QueueEmpty, hub.sleep
OnFault = Callable[[BaseException], None]
OnRefusal = Callable[[str, str], None]  # address, reason

_ECHO_INTERVAL_S = 5.0
_ECHOES_UNREPLIED = 3
_SIGNAL_INTERVAL_S = 0.1
_BACKLOG = 1024  # switches that connect at the same time
_MAX_UNSENT = 1024  # messages to one switch; the framework would block, and with it all other switches
_MAX_PORTS = 10_000  # per switch
_ACCEPT_RETRY_S = 0.1  # when a connection cannot be accepted
_NATIVE = getattr(hub, "HUB_TYPE", "eventlet") == "native"  # Ryu supports only eventlet


def protocol_description() -> Any:
    """Stands in for a datapath in the parser's classes, which need its protocol version: OpenFlow 1.3."""
    return ofproto_protocol.ProtocolDesc(version=ofproto_v1_3.OFP_VERSION)


def handles(event: Any, *states: str) -> Callable[[Callable[[Any, Any], None]], Any]:
    """Makes a method the handler of an event; its exceptions are passed to the application's ``fault``."""

    def decorate(handler: Callable[[Any, Any], None]) -> Any:
        @functools.wraps(handler)
        def guarded(app: Any, ev: Any) -> None:
            try:
                handler(app, ev)
            except Exception as error:
                app.fault(error)

        return set_ev_cls(event, list(states))(guarded)

    return decorate


def spawn(function: Callable[[], None], on_fault: OnFault) -> None:
    """Runs ``function`` in a new daemon thread; its exceptions are passed to ``on_fault``."""

    def guarded() -> None:
        try:
            function()
        except BaseException as error:
            on_fault(error)

    _from_daemon(functools.partial(hub.spawn, guarded))


def start(application: type[Any], *args: Any) -> Any:
    """Creates the application with ``args`` and starts it, together with the framework's OpenFlow handler."""
    hub.patch()  # under eventlet: blocking calls yield to other green threads from here on
    for reply in ("Flow", "GroupDesc", "MeterConfig"):
        getattr(ofproto_v1_3_parser, f"OFP{reply}StatsReply").cls_stats_body_cls = _RawBody
    cfg.CONF(args=[], project="helsewan", default_config_files=[], default_config_dirs=[])
    cfg.CONF.set_override("echo_request_interval", _ECHO_INTERVAL_S)
    cfg.CONF.set_override("maximum_unreplied_echo_requests", _ECHOES_UNREPLIED)
    manager = AppManager.get_instance()
    apps = [manager.instantiate(_Handler), manager.instantiate(application, *args)]
    for app in apps:
        _from_daemon(app.start)
    return apps[1]


def listen(
    address: tuple[str, int], context: ssl.SSLContext, on_refusal: OnRefusal, on_fault: OnFault
) -> tuple[str, int]:
    """Accepts connections of switches over TLS, each in its own thread; returns host and port once the socket listens.
    ``on_refusal`` is called for rejected connections, from any thread.

    Raises OSError if the socket cannot be created."""
    server = socket.create_server(address, backlog=_BACKLOG)
    acceptor = _SwitchAcceptor(context, on_refusal)

    def accept() -> None:
        while True:
            try:
                stream, (peer, _) = server.accept()
                hub.spawn(acceptor.run_connection, stream, peer)
            except (OSError, RuntimeError):  # the peer has gone, or there are no descriptors or threads left
                hub.sleep(_ACCEPT_RETRY_S)

    spawn(accept, on_fault)
    host, port = server.getsockname()
    return host, port


def wait_for_signal(*signals: signal.Signals) -> int:
    """Waits for one of the ``signals``, which must be blocked, and returns its number; other threads run meanwhile."""
    while (received := signal.sigtimedwait(signals, 0)) is None:
        hub.sleep(_SIGNAL_INTERVAL_S)
    return received.si_signo


def _from_daemon(function: Callable[[], object]) -> None:
    """Calls ``function`` in a daemon thread, so that the threads which it starts are daemons, too. Eventlet's green
    threads all run in the thread of its hub."""
    if not _NATIVE:
        function()
        return
    starter = threading.Thread(target=function, daemon=True)
    starter.start()
    starter.join()


class _SwitchAcceptor:
    """Runs the connections of switches: an error on one does not affect others, and is reported once."""

    def __init__(self, context: ssl.SSLContext, on_refusal: OnRefusal) -> None:
        self._context, self._on_refusal = context, on_refusal
        self._limiter = ConnectionLimiter()

    def run_connection(self, raw: Any, address: str) -> None:
        """Runs one connection until it ends."""
        if not self._limiter.enter(address):
            raw.close()
            self._report_refusal(address, "it has too many connections")
            return
        try:
            self._serve(raw, address)
        except MessageRefused as refused:
            self._report_refusal(address, str(refused))
        except OSError:  # the connection broke
            pass
        except Exception as error:  # the framework's handlers do not validate messages
            self._report_refusal(
                address, f"it sent a message that cannot be processed: {type(error).__name__}: {error}"
            )
        finally:
            self._limiter.leave(address)

    def _serve(self, raw: Any, address: str) -> None:
        stream = TlsStream(raw, self._context)
        try:
            names = stream.handshake()
            datapath = _Datapath(stream, address, names, lambda: self._limiter.accepted(address))
            try:
                datapath.serve()
            finally:
                datapath.close()
        finally:
            stream.release()
        if stream.refusal:
            raise MessageRefused(stream.refusal)

    def _report_refusal(self, address: str, reason: str) -> None:
        if self._limiter.is_first_report(address, reason):
            self._on_refusal(address, reason)


class _ParseErrorHandler(logging.Handler):
    """Ends a connection on a message that cannot be parsed. The framework would only log it at length, and a switch
    could fill the disk."""

    def emit(self, record: logging.LogRecord) -> None:
        """Called in the receiving thread of the connection, which the exception ends."""
        raise MessageRefused("sent a message that cannot be parsed")


class _Handler(ofp_handler.OFPHandler):  # type: ignore[misc]
    """The framework's handshake, port and echo handling, without its TCP server: `listen` accepts connections."""

    def start(self) -> None:
        self.logger.setLevel(logging.CRITICAL)  # it logs messages of switches; errors are reported here
        parser_log = logging.getLogger(ofproto_parser.__name__)
        parser_log.addHandler(_ParseErrorHandler())
        parser_log.propagate = False
        RyuApp.start(self)

    def _hello_failed(self, datapath: Any, error_desc: str) -> None:
        datapath.socket.refusal = "it does not support OpenFlow 1.3"
        super()._hello_failed(datapath, error_desc)  # sends an error to the switch, and closes the connection

    @set_ev_handler(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)  # type: ignore[untyped-decorator]
    def switch_features_handler(self, ev: Any) -> None:
        """Checks that the certificate of a switch contains its datapath id."""
        name = datapath_name(ev.msg.datapath_id)
        if name not in ev.msg.datapath.certified:
            raise MessageRefused(f"its certificate is not for its datapath id {name}")
        super().switch_features_handler(ev)

    @set_ev_handler(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def port_status_handler(self, ev: Any) -> None:
        """Limits the ports of a switch: the framework stores every number reported."""
        if len(ev.msg.datapath.ports) > _MAX_PORTS:
            raise MessageRefused(f"it has more than {_MAX_PORTS} ports")
        super().port_status_handler(ev)


class _Datapath(controller.Datapath):  # type: ignore[misc]
    """A switch whose loss is noticed at once, not when the next echo is due, and to which sending never blocks.
    ``certified`` are the datapath names in its certificate."""

    def __init__(self, stream: TlsStream, address: str, certified: frozenset[str], on_join: Callable[[], None]) -> None:
        self.certified, self._on_join = certified, on_join
        self._closed = threading.Event()
        super().__init__(stream, address)
        self.send_q, self._send_q_sem = hub.Queue(_MAX_UNSENT), hub.BoundedSemaphore(_MAX_UNSENT)

    def set_state(self, state: str) -> None:
        if state == MAIN_DISPATCHER:
            self.socket.reader.established = True
            self._on_join()
        super().set_state(state)

    def send(self, buf: bytes, close_socket: bool = False) -> bool:
        """Queues a message; returns False and closes the connection if too many are unsent."""
        queue = self.send_q
        if queue is None or not self._send_q_sem.acquire(blocking=False):
            self.close()
            return False
        queue.put((buf, close_socket))
        return True

    def _echo_request_loop(self) -> None:
        """Like the framework's, but ends with the connection, so that reconnecting switches leave no threads behind."""
        while self.send_q and len(self.unreplied_echo_requests) <= self.max_unreplied_echo_requests:
            request = self.ofproto_parser.OFPEchoRequest(self)
            self.unreplied_echo_requests.append(self.set_xid(request))
            self.send_msg(request)
            if self._closed.wait(self.echo_request_interval):
                return
        self.close()

    def _recv_loop(self) -> None:
        try:
            super()._recv_loop()
        finally:
            self._closed.set()
            self.close()
            self.send(b"", close_socket=True)  # wakes the sending thread, so that it ends
