"""The only module that imports the OpenFlow framework: os-ken, or Ryu 4.34 where os-ken is not installed.

Under os-ken's native hub (threads) these fail without a word; each is held here:

* a lost switch is noticed only when an echo is due: `_Datapath` says so the moment its socket closes,
  and echoes are on for switches that hang;
* an exception in a handler ends the application's event loop: `handles` guards every handler;
* ``hub.spawn`` swallows exceptions: `spawn` hands them to a callback;
* ``hub.Event.wait`` never times out: `Queue.get` does, and is the only wait there is;
* its threads keep the process alive: all are started from a daemon thread, and so are daemons.

What a switch sends may be anything, so whatever goes wrong on its connection ends that connection and nothing else.
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
        warnings.simplefilter("ignore")  # eventlet advises against itself, to whoever runs it
        importlib.import_module("eventlet.wsgi").__dict__["ALREADY_HANDLED"] = object()  # Ryu imports it; it is gone
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
    "describer",
    "handles",
    "listen",
    "ofp_event",
    "ofproto_v1_3",
    "ofproto_v1_3_parser",
    "sleep",
    "spawn",
    "start",
    "wait_for_signal",
]


class _Whole:
    """The body of a statistics reply as it came: `readback` takes it apart, ten times as fast as the framework."""

    def __init__(self, data: bytes) -> None:
        self.data, self.length = data, len(data)

    @classmethod
    def parser(cls, buf: Any, offset: int) -> _Whole:
        """All that is left of the message."""
        return cls(bytes(buf[offset:]))


Queue, QueueEmpty, sleep = hub.Queue, hub.QueueEmpty, hub.sleep
OnFault = Callable[[BaseException], None]
OnRefusal = Callable[[str, str], None]  # address, reason

_ECHO_INTERVAL_S = 5.0
_ECHOES_UNREPLIED = 3
_SIGNAL_INTERVAL_S = 0.1
_BACKLOG = 1024  # switches that connect at the same moment
_MOST_UNSENT = 1024  # messages to one switch; the framework would wait, and all switches with it
_MOST_PORTS = 10_000  # of one switch
_RETRY_S = 0.1  # where the machine has no room for a connection
_NATIVE = getattr(hub, "HUB_TYPE", "eventlet") == "native"  # Ryu knows eventlet only


def describer() -> Any:
    """What the parser's classes need to know of a switch: that it speaks OpenFlow 1.3."""
    return ofproto_protocol.ProtocolDesc(version=ofproto_v1_3.OFP_VERSION)


def handles(event: Any, *states: str) -> Callable[[Callable[[Any, Any], None]], Any]:
    """Makes a method the handler of an event; what it raises goes to the application's ``fault``."""

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
    """Runs ``function`` in a thread of its own, which keeps no process alive; what it raises goes to ``on_fault``."""

    def guarded() -> None:
        try:
            function()
        except BaseException as error:
            on_fault(error)

    _from_daemon(functools.partial(hub.spawn, guarded))


def start(application: type[Any], *args: Any) -> Any:
    """Makes the application and starts it, with the framework's own OpenFlow handler beside it."""
    hub.patch()  # under eventlet: from here on whatever waits lets others go on
    for reply in ("Flow", "GroupDesc", "MeterConfig"):
        getattr(ofproto_v1_3_parser, f"OFP{reply}StatsReply").cls_stats_body_cls = _Whole
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
    """Takes in switches over TLS, each in a thread of its own; returns where, as soon as the socket listens.
    ``on_refusal`` is told of those that are turned away, from any thread.

    Raises OSError where the socket cannot be made."""
    server = socket.create_server(address, backlog=_BACKLOG)
    door = _Door(context, on_refusal)

    def accept() -> None:
        while True:
            try:
                stream, (peer, _) = server.accept()
                hub.spawn(door.admit, stream, peer)
            except (OSError, RuntimeError):  # the peer is gone again; no descriptor, no thread left
                hub.sleep(_RETRY_S)

    spawn(accept, on_fault)
    host, port = server.getsockname()
    return host, port


def wait_for_signal(*signals: signal.Signals) -> int:
    """The one of these (blocked) signals that has come; the framework's threads run meanwhile."""
    while (come := signal.sigtimedwait(signals, 0)) is None:
        hub.sleep(_SIGNAL_INTERVAL_S)
    return come.si_signo


def _from_daemon(function: Callable[[], object]) -> None:
    """Calls ``function`` so that the threads it starts are daemons: what a daemon starts is one. Eventlet's threads
    all live in the one that runs its hub."""
    if not _NATIVE:
        function()
        return
    starter = threading.Thread(target=function, daemon=True)
    starter.start()
    starter.join()


class _Door:
    """Accepts switches' connections: an error on one affects no other, and is reported once."""

    def __init__(self, context: ssl.SSLContext, on_refusal: OnRefusal) -> None:
        self._context, self._on_refusal = context, on_refusal
        self._entrance = ConnectionLimiter()

    def admit(self, raw: Any, address: str) -> None:
        """One connection, until it ends."""
        if not self._entrance.enter(address):
            raw.close()
            self._turned_away(address, "it has too many connections already")
            return
        try:
            self._serve(raw, address)
        except MessageRefused as refused:
            self._turned_away(address, str(refused))
        except OSError:  # the connection broke
            pass
        except Exception as error:  # the framework's own handlers trust what they are sent
            self._turned_away(address, f"it sent what cannot be dealt with: {type(error).__name__}: {error}")
        finally:
            self._entrance.leave(address)

    def _serve(self, raw: Any, address: str) -> None:
        stream = TlsStream(raw, self._context)
        try:
            names = stream.handshake()
            datapath = _Datapath(stream, address, names, lambda: self._entrance.accepted(address))
            try:
                datapath.serve()
            finally:
                datapath.close()
        finally:
            stream.release()
        if stream.refusal:
            raise MessageRefused(stream.refusal)

    def _turned_away(self, address: str, reason: str) -> None:
        if self._entrance.is_first_report(address, reason):
            self._on_refusal(address, reason)


class _Unreadable(logging.Handler):
    """The framework logs a message that it cannot read, at length, and reads on. That would fill a disk; here it ends
    the connection."""

    def emit(self, record: logging.LogRecord) -> None:
        """Called in the thread of the connection, whose reading this ends."""
        raise MessageRefused("sent a message that cannot be read")


class _Handler(ofp_handler.OFPHandler):  # type: ignore[misc]
    """The framework's handshake, port and echo handling, without its TCP server: switches come in by `listen`."""

    def start(self) -> None:
        self.logger.setLevel(logging.CRITICAL)  # of what switches send it says too much, and we tell ourselves
        unreadable = logging.getLogger(ofproto_parser.__name__)
        unreadable.addHandler(_Unreadable())
        unreadable.propagate = False
        RyuApp.start(self)

    def _hello_failed(self, datapath: Any, error_desc: str) -> None:
        datapath.socket.refusal = "it speaks no OpenFlow 1.3"
        super()._hello_failed(datapath, error_desc)  # says so to the switch, and closes

    @set_ev_handler(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)  # type: ignore[untyped-decorator]
    def switch_features_handler(self, ev: Any) -> None:
        """A switch says which datapath it is: its certificate must say so too."""
        name = datapath_name(ev.msg.datapath_id)
        if name not in ev.msg.datapath.certified:
            raise MessageRefused(f"it says it is {name}, its certificate does not")
        super().switch_features_handler(ev)

    @set_ev_handler(ofp_event.EventOFPPortStatus, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def port_status_handler(self, ev: Any) -> None:
        """A port came, went or changed; the framework remembers every number it hears of."""
        if len(ev.msg.datapath.ports) > _MOST_PORTS:
            raise MessageRefused(f"it has more than {_MOST_PORTS} ports")
        super().port_status_handler(ev)


class _Datapath(controller.Datapath):  # type: ignore[misc]
    """A switch whose loss is known at once, not when the next echo is due, and that nobody waits for to take what it
    is sent. ``certified`` are the datapaths its certificate names."""

    def __init__(self, stream: TlsStream, address: str, certified: frozenset[str], on_join: Callable[[], None]) -> None:
        self.certified, self._on_join = certified, on_join
        self._gone = threading.Event()
        super().__init__(stream, address)
        self.send_q, self._send_q_sem = hub.Queue(_MOST_UNSENT), hub.BoundedSemaphore(_MOST_UNSENT)

    def set_state(self, state: str) -> None:
        if state == MAIN_DISPATCHER:
            self.socket.reader.established = True
            self._on_join()
        super().set_state(state)

    def send(self, buf: bytes, close_socket: bool = False) -> bool:
        """Puts a message on its way; a switch with too many under way is given up."""
        queue = self.send_q
        if queue is None or not self._send_q_sem.acquire(blocking=False):
            self.close()
            return False
        queue.put((buf, close_socket))
        return True

    def _echo_request_loop(self) -> None:
        """As the framework's, but over as soon as the connection is: a switch that comes and goes leaves no threads."""
        while self.send_q and len(self.unreplied_echo_requests) <= self.max_unreplied_echo_requests:
            request = self.ofproto_parser.OFPEchoRequest(self)
            self.unreplied_echo_requests.append(self.set_xid(request))
            self.send_msg(request)
            if self._gone.wait(self.echo_request_interval):
                return
        self.close()

    def _recv_loop(self) -> None:
        try:
            super()._recv_loop()
        finally:
            self._gone.set()
            self.close()
            self.send(b"", close_socket=True)  # wakes the sending thread, which ends
